"""A session's pictures on one sheet: a row a request, its map first, captions below."""

import io
import itertools
from bisect import bisect_right

from PIL import Image, ImageDraw, ImageFont

from generation.picture_text import read_facts

TILE, GAP, MARGIN, ACROSS = 240, 14, 24, 7  # pixels; tiles in a line, the map among them
TITLE, CAPTION = 18, 15  # pixels a letter is high; lines take 1.4 of them
INK, FAINT, RULE = "#1f2430", "#5b6270", "#d9dce3"


def contact_sheet(pictures) -> bytes:
    """A PNG of a session's (file, caption) pairs: NUMBER_map.png, NUMBER_seed_....png, by requests."""
    requests = [
        [*group] for _, group in itertools.groupby(pictures, lambda picture: picture[0].name.split("_")[0])
    ]
    lines = [_lines(request) for request in requests]
    across = max(len(line) for request in lines for line in request)
    width = across * (TILE + GAP) - GAP
    rows = [_row(request, group, width) for request, group in zip(requests, lines, strict=True)]
    height = sum(row.height + MARGIN for row in rows)
    sheet = Image.new("RGB", (width + 2 * MARGIN, height + MARGIN), "white")
    y = MARGIN
    for row in rows:
        sheet.paste(row, (MARGIN, y))
        y += row.height + MARGIN
    buffer = io.BytesIO()
    sheet.save(buffer, format="png")
    return buffer.getvalue()


def _lines(request):
    """A request's pictures in lines: the map stands first in the first one, None in others."""
    others = _without_map(request)
    groups = [others[i : i + ACROSS - 1] for i in range(0, len(others), ACROSS - 1)] or [[]]
    first = request[0] if len(others) < len(request) else None
    return [[first, *groups[0]], *([None, *group] for group in groups[1:])]


def _without_map(request):
    """A request's pictures but its map, which may be too old to be kept."""
    return [picture for picture in request if picture[0].stem.split("_")[1] != "map"]


def _row(request, lines, width):
    """An image of one request: its number and prompt over its lines."""
    drawn, number = _without_map(request), int(request[0][0].name.split("_")[0])
    prompt = read_facts(drawn[0][0])["prompt"] if drawn else "no picture yet"
    title = wrapped(f"{number}. {prompt}", TITLE, width, 2)
    tiles = [[picture and _tile(*picture) for picture in line] for line in lines]
    heights = [max(tile.height for tile in line if tile) for line in tiles]
    top = 14 + round(1.4 * TITLE * len(title)) + 8
    row = Image.new("RGB", (width, top + sum(heights) + GAP * (len(heights) - 1)), "white")
    draw = ImageDraw.Draw(row)
    draw.line((0, 0, width, 0), fill=RULE, width=2)
    _write(draw, 0, 14, title, TITLE, INK)
    for line, height in zip(tiles, heights, strict=True):
        for i, tile in enumerate(line):
            if tile:
                row.paste(tile, (i * (TILE + GAP), top))
        top += height + GAP
    return row


def _tile(file, caption):
    """An image TILE pixels wide: a picture over its caption."""
    with Image.open(file) as image:
        scale = TILE / max(image.size)
        size = [max(1, round(scale * side)) for side in image.size]
        resample = Image.Resampling.NEAREST if image.mode == "P" else Image.Resampling.LANCZOS
        picture = image.convert("RGB").resize(size, resample)
    text = [line for part in caption.split(" · ") for line in wrapped(part, CAPTION, TILE, 1)]
    tile = Image.new("RGB", (TILE, picture.height + 6 + round(1.4 * CAPTION * len(text))), "white")
    tile.paste(picture)
    _write(ImageDraw.Draw(tile), 0, picture.height + 6, text, CAPTION, FAINT)
    return tile


def wrapped(text, size, width, most) -> list[str]:
    """A text as lines of at most `width` pixels; of more than `most`, the last ends in dots.

    What the font has no letters for becomes a question mark.
    """
    font, lines = ImageFont.load_default(size), [""]
    for word in text.encode("latin-1", "replace").decode("latin-1").split():
        longer = f"{lines[-1]} {word}".strip()
        lines = [*lines[:-1], longer] if font.getlength(longer) <= width else [*lines, word]
    lines = [line for line in lines if line]
    kept = lines[:most]
    for i, line in enumerate(kept):
        dots = "..." if i == most - 1 and len(lines) > most else ""
        if dots or font.getlength(line) > width:
            lengths = range(1, len(line) + 1)
            fitting = bisect_right(lengths, width, key=lambda n: font.getlength(f"{line[:n]}..."))
            kept[i] = f"{line[:fitting]}..."
    return kept


def _write(draw, x, y, lines, size, colour):
    for i, line in enumerate(lines):
        draw.text((x, y + round(1.4 * size * i)), line, fill=colour, font=ImageFont.load_default(size))
