"""The contact sheet and the page of an evaluation."""

import html
import io

import numpy as np
from PIL import Image

from evaluation.comparison import PHOTOS
from evaluation.protocol import flatten
from evaluation.tables import format_difference, list_notes, make_rows
from jobs.whole_files import write_atomically
from reporting.html import box, fold, page, picture, table
from reporting.picture_sheet import Row, Tile, draw_sheet

SHOWN, SIDE = 12, 192


def choose_items(held_out) -> list[int]:
    """At most SHOWN places, evenly spread."""
    return sorted({round(x) for x in np.linspace(0, len(held_out) - 1, min(SHOWN, len(held_out)))})


def draw_contact_sheet(held_out, sets: dict) -> bytes:
    """A PNG with a row for each shown item: what it is drawn from, each set's first picture, its photo."""
    rows = []
    for i in choose_items(held_out):
        item, key = held_out[i], held_out.keys[i]
        drawn = [Tile(pictures.pictures(key)[0], caption=label) for label, pictures in sets.items()]
        tiles = [*held_out.show(item), *drawn, Tile(item.photo, caption=held_out.real)]
        rows.append(Row(title="", tiles=tiles))
    return draw_sheet(rows, SIDE)


def write_page(out, held_out, sets, results, missing, protocol):
    """sheet.png, and evaluation.html, which needs no other file."""
    sheet = draw_contact_sheet(held_out, sets)
    write_atomically(out / "sheet.png", sheet)
    count = protocol["pictures"]["count_per_set"]
    legend = "".join(
        f"<li><b>{html.escape(label)}</b>: {html.escape(facts['file'])} ({facts['sha256']})</li>"
        for label, facts in protocol["checkpoints"].items()
    )
    items = [held_out[i] for i in choose_items(held_out)]
    prompts = "".join(f"<li>{html.escape(item.prompt)}</li>" for item in items)
    meanings = [dict(metric=r.metric.name, says=r.metric.meaning) for r in results]
    parts = [
        "<h1>Evaluation</h1>",
        f"<ul>{legend}</ul><p class=n>{len(held_out)} {held_out.called}, {count} pictures a set. "
        f"{PHOTOS.capitalize()}: the same numbers of the photos, which a right picture would be like. "
        "Values and differences with their 95 % intervals, the latter paired over items.</p>",
        *show_verdict(results),
        f"<div class=scroll>{table(make_rows(results, missing))}</div>",
        *(
            f"<p class=n>{html.escape(note)}</p>"
            for note in list_notes(results, missing, count, held_out.notes)
        ),
        "<h2>Pictures</h2>",
        picture(np.asarray(Image.open(io.BytesIO(sheet)))),
        f"<ol class=n>{prompts}</ol>",
        fold("What the numbers are", table(meanings, "options")),
        fold("Protocol", table([dict(of=k, is_=v) for k, v in flatten(protocol).items()], "options")),
    ]
    write_atomically(out / "evaluation.html", page("Evaluation", parts))


def show_verdict(results) -> list[str]:
    """A box on the first metric's first difference, which is what the evaluation was made for."""
    if not results or not results[0].differences:
        return []
    result, first = results[0], results[0].differences[0]
    kind = dict(better="yes", worse="bad").get(first.verdict(result.metric.better), "")
    text = format_difference(first, result.metric.better)
    return [box(f"{result.metric.name}, {first.name}: {text}", kind)]
