"""Pieces of a page that needs no other file."""

import base64
import html
import io
from pathlib import Path

DATA_STYLE = Path(__file__).with_name("report.css")  # of reports on a training folder

STYLE = """:root{color-scheme:light} *{box-sizing:border-box}
body{font:16px/1.55 system-ui,sans-serif;max-width:1080px;margin:2.5em auto;padding:0 1.2em;color:#24292f}
h1{font-size:1.7em;margin:0} h2{font-size:1.2em;margin:2em 0 .4em} summary{cursor:pointer;margin:1em 0}
img{max-width:100%;display:block;margin:.6em 0} .n{color:#656d76;font-size:.9em} .scroll{overflow-x:auto}
.box{border-left:5px solid #8b949e;background:#f6f8fa;padding:.7em 1em;margin:1.2em 0;border-radius:4px}
.yes{border-color:#2da44e;background:#eefbf1} .bad{border-color:#d1495b;background:#fff1f1}
table{border-collapse:collapse;margin:.6em 0;font-variant-numeric:tabular-nums;font-size:.9em}
td,th{padding:.25em .8em;border-bottom:1px solid #d8dee4;text-align:right} .options td{text-align:left}
svg{width:100%;font:11px system-ui,sans-serif;fill:#57606a}
svg .t{font-weight:600;font-size:12.5px;fill:#24292f}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:1em 1.6em}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:1em}"""


def page(title, parts) -> bytes:
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title>"
    head += f"<meta name=viewport content='width=device-width'><style>{STYLE}</style>"
    return "\n".join([head, *parts]).encode()


def box(text, kind="") -> str:
    return f"<p class='box {kind}'>{html.escape(text)}</p>"


def fold(title, content) -> str:
    return f"<details><summary>{title}</summary><div class=scroll>{content}</div></details>"


def table(rows, kind="") -> str:
    head = "".join(f"<th>{html.escape(key)}</th>" for key in rows[-1])
    cells = [[html.escape(str(row.get(key, ""))) for key in rows[-1]] for row in rows]
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in cells)
    return f"<table class='{kind}'><tr>{head}</tr>{body}</table>"


def charts(drawn) -> str:
    return f"<div class=charts>{''.join(drawn)}</div>"


def picture(pixels, widest=1600) -> str:
    """A picture uint8 (H, W, 3), made smaller if it is wider than a page shows."""
    from PIL import Image

    image, buffer = Image.fromarray(pixels), io.BytesIO()
    image.thumbnail((widest, 10 * widest))
    image.save(buffer, format="jpeg", quality=92, subsampling=0)
    return f'<img alt="pictures" src="data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}">'
