"""Pieces of a page that needs no other file."""

import base64
import html
import io
from pathlib import Path

STYLE = Path(__file__).with_name("page.css")


def page(title, parts, more_css="") -> bytes:
    """A whole page of pieces, in the one style of all reports, in light and in dark."""
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title>"
    head += "<meta name=viewport content='width=device-width,initial-scale=1'>"
    return "\n".join([f"{head}<style>{STYLE.read_text()}{more_css}</style>", *parts]).encode()


def box(text, kind="") -> str:
    return f"<p class='box {kind}'>{html.escape(text)}</p>"


def fold(title, content) -> str:
    return f"<details><summary>{title}</summary><div class=scroll>{content}</div></details>"


def table(rows, kind="") -> str:
    head = "".join(f"<th>{html.escape(key)}</th>" for key in rows[-1])
    cells = [[html.escape(str(row.get(key, ""))) for key in rows[-1]] for row in rows]
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in cells)
    return f"<table class='numbers {kind}'><tr>{head}</tr>{body}</table>"


def charts(drawn) -> str:
    return f"<div class=charts>{''.join(drawn)}</div>"


def picture(pixels, widest=1600) -> str:
    """A picture uint8 (H, W, 3), made smaller if it is wider than a page shows."""
    from PIL import Image

    image, buffer = Image.fromarray(pixels), io.BytesIO()
    image.thumbnail((widest, 10 * widest))
    image.save(buffer, format="jpeg", quality=92, subsampling=0)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img class=drawn alt="pictures" src="data:image/jpeg;base64,{data}">'
