"""Photos beside their maps, for people to look at."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jobs.whole_files import write_atomically
from pictures.unusable import Unusable
from reporting.contact_sheets import evenly

MOST, ACROSS = 24, 4  # photos; pairs in a row
TILE, GAP, CAPTION, MARGIN = 200, 4, 40, 16  # pixels
GREY, INK, PALE_INK = (238, 238, 238), (51, 51, 51), (120, 120, 120)


def write_sheet(job, path: Path) -> int:
    """A PNG of photos beside their maps, evenly chosen by name; returns how many."""
    pairs = []
    for name in evenly([name for name in job.maps if name in job.rows], MOST):
        try:
            images = (
                job.read(name),
                job.annotator.maps.to_rgb(job.annotator.maps.read(job.out / "masks" / name)),
            )
        except (Unusable, OSError):
            continue  # gone or changed since
        pairs.append(_draw_pair(*images, job.maps[name], job.rows[name]["found"] or "nothing found"))
    if not pairs:
        return 0
    across = min(ACROSS, len(pairs))
    blank = Image.new("RGB", pairs[0].size, "white")
    pairs += [blank] * (-len(pairs) % across)
    width, height = pairs[0].size
    sheet = Image.new(
        "RGB", (MARGIN + across * (width + MARGIN), MARGIN + len(pairs) // across * height), "white"
    )
    for number, pair in enumerate(pairs):
        row, column = divmod(number, across)
        sheet.paste(pair, (MARGIN + column * (width + MARGIN), MARGIN + row * height))
    data = io.BytesIO()
    sheet.save(data, "PNG")
    write_atomically(path, data.getvalue())
    return sum(pair is not blank for pair in pairs)


def _draw_pair(photo, shown, name: str, found: str) -> Image.Image:
    """A photo and its map side by side over two lines of words."""
    pair = Image.new("RGB", (2 * TILE + GAP, TILE + CAPTION), "white")
    draw, font = ImageDraw.Draw(pair), ImageFont.load_default(13)
    for left, pixels, resample in (
        (0, photo, Image.Resampling.LANCZOS),
        (TILE + GAP, shown, Image.Resampling.BOX),
    ):
        draw.rectangle([left, 0, left + TILE - 1, TILE - 1], GREY)
        scale = TILE / max(pixels.shape[:2])
        size = [max(1, round(side * scale)) for side in pixels.shape[1::-1]]
        # what is enlarged keeps its pixels, lines that are made smaller stay to be seen
        tile = Image.fromarray(pixels).resize(size, resample)
        pair.paste(tile, (left + (TILE - size[0]) // 2, (TILE - size[1]) // 2))
    for line, (text, ink) in enumerate(
        ((_cut_to_fit(name, font), INK), (_cut_to_fit(found, font), (120, 120, 120)))
    ):
        draw.text((0, TILE + 2 + 15 * line), text, ink, font)
    return pair


def _cut_to_fit(text: str, font) -> str:
    """The end of a text that is too long for a pair, without what the font can't draw."""
    text = np.str_(text).encode("latin-1", "replace").decode("latin-1")
    if font.getlength(text) <= 2 * TILE:
        return text
    while font.getlength("…" + text) > 2 * TILE:
        text = text[1:]
    return "…" + text
