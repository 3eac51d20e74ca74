"""The contact sheet and the page of an evaluation."""

import html

import numpy as np

from evaluation.protocol import flat
from evaluation.results import PHOTOS
from evaluation.tables import difference_text, notes, table_rows
from generation.sheet import tile
from jobs.whole_files import write_atomically
from reporting.html import box, folded, page, picture, table
from reporting.strips import png

SHOWN, SIDE, BAR = 12, 192, 26


def shown_items(held_out) -> list[int]:
    """At most SHOWN places, evenly spread."""
    return sorted({round(x) for x in np.linspace(0, len(held_out) - 1, min(SHOWN, len(held_out)))})


def contact_sheet(held_out, sets: dict):
    """A row for each shown item: its map, the first picture of each set, its photo; uint8 (H, W, 3)."""
    from PIL import Image, ImageDraw, ImageFont

    titles = ["map", *sets, "photo"]
    head = Image.new("RGB", (SIDE * len(titles), BAR), "white")
    for i, title in enumerate(titles):
        ImageDraw.Draw(head).text((SIDE * i + 4, 5), title, fill="#24292f", font=ImageFont.load_default(15))
    rows = [np.asarray(head)]
    for i in shown_items(held_out):
        item, key = held_out[i], held_out.keys[i]
        pictures = [item.map, *(pictures.pictures(key)[0] for pictures in sets.values()), item.photo]
        ways = [Image.Resampling.NEAREST] + [Image.Resampling.LANCZOS] * (len(pictures) - 1)
        tiles = [tile(Image.fromarray(p), SIDE, way) for p, way in zip(pictures, ways, strict=True)]
        rows.append(np.concatenate(tiles, axis=1))
    return np.concatenate(rows)


def sheet_sets(sets: dict) -> dict:
    """Sets in the order of columns: what was drawn without control first."""
    return dict(sorted(sets.items(), key=lambda entry: entry[1].folder.name.startswith("control")))


def write_page(out, held_out, sets, results, missing, protocol):
    """sheet.png, and evaluation.html, which needs no other file."""
    sheet = contact_sheet(held_out, sheet_sets(sets))
    write_atomically(out / "sheet.png", png(sheet))
    count = protocol["pictures"]["count_per_set"]
    legend = "".join(
        f"<li><b>{html.escape(label)}</b>: {html.escape(facts['file'])} ({facts['sha256']})</li>"
        for label, facts in protocol["checkpoints"].items()
    )
    items = [held_out[i] for i in shown_items(held_out)]
    prompts = "".join(f"<li>{html.escape(item.prompt)}</li>" for item in items)
    meanings = [dict(metric=r.metric.name, says=r.metric.meaning) for r in results]
    parts = [
        "<h1>Evaluation</h1>",
        f"<ul>{legend}</ul><p class=n>{len(held_out)} held-out maps, {count} pictures a set. "
        f"{PHOTOS.capitalize()}: the same numbers of the photos behind the maps. "
        "Differences with their 95 % intervals, paired over items.</p>",
        *verdicts(results),
        f"<div class=scroll>{table(table_rows(results, missing))}</div>",
        *(f"<p class=n>{html.escape(note)}</p>" for note in notes(results, missing, count)),
        "<h2>Pictures</h2>",
        picture(sheet),
        f"<ol class=n>{prompts}</ol>",
        folded("What the numbers are", table(meanings, "options")),
        folded("Protocol", table([dict(of=k, is_=v) for k, v in flat(protocol).items()], "options")),
    ]
    write_atomically(out / "evaluation.html", page("Evaluation", parts))


def verdicts(results) -> list[str]:
    """A box on the first metric's first difference, which is what the evaluation was made for."""
    if not results or not results[0].differences:
        return []
    result, first = results[0], results[0].differences[0]
    kind = dict(better="yes", worse="bad").get(first.verdict(result.metric.better), "")
    return [box(f"{result.metric.name}, {first.name}: {difference_text(first, result.metric.better)}", kind)]
