"""Sheets of pictures as PNG, for people to look at: rows of tiles under titles, with captions below."""

import io
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

TILE, GAP, MARGIN = 240, 14, 24  # pixels
TITLE, CAPTION, LEADING = 17, 13, 1.4  # pixels a letter is high; a line takes 1.4 of them
INK, PALE_INK, RULE = "#1f2430", "#5b6270", "#d9dce3"


@dataclass
class Tile:
    """A picture uint8 (h, w, 3) over its caption, of which " · " ends a line; `is_map`: with sharp pixels."""

    pixels: np.ndarray
    caption: str = ""
    is_map: bool = False


@dataclass
class Row:
    """Tiles side by side, None leaving a place free, under a title of at most two lines."""

    title: str
    tiles: list[Tile | None] = field(default_factory=list)


def draw_sheet(rows: list[Row], tile: int = TILE) -> bytes:
    """Rows below one another as a PNG; longer sides of pictures are `tile` pixels."""
    across = max(len(row.tiles) for row in rows)
    width = across * (tile + GAP) - GAP
    drawn = [_draw_row(row, width, tile) for row in rows]
    height = sum(row.height + MARGIN for row in drawn) + MARGIN
    sheet, y = Image.new("RGB", (width + 2 * MARGIN, height), "white"), MARGIN
    for row in drawn:
        sheet.paste(row, (MARGIN, y))
        y += row.height + MARGIN
    buffer = io.BytesIO()
    sheet.save(buffer, format="png")
    return buffer.getvalue()


def _draw_row(row: Row, width, tile):
    title = wrap(row.title, TITLE, width, most=2)
    tiles = [given and _draw_tile(given, tile) for given in row.tiles]
    top = 14 + round(LEADING * TITLE * len(title)) + 8 if title else 0
    image = Image.new("RGB", (width, top + max(drawn.height for drawn in tiles if drawn)), "white")
    if title:
        draw = ImageDraw.Draw(image)
        draw.line((0, 0, width, 0), fill=RULE, width=2)
        write(draw, (0, 14), title, TITLE, INK)
    for i, drawn in enumerate(tiles):
        if drawn:
            image.paste(drawn, (i * (tile + GAP), top))
    return image


def _draw_tile(tile: Tile, side):
    """An image `side` pixels wide."""
    picture = scale_to_side(Image.fromarray(tile.pixels), side, tile.is_map)
    lines = [line for part in tile.caption.split(" · ") for line in wrap(part, CAPTION, side, most=1)]
    height = picture.height + (6 + round(LEADING * CAPTION * len(lines)) if lines else 0)
    image = Image.new("RGB", (side, height), "white")
    image.paste(picture)
    write(ImageDraw.Draw(image), (0, picture.height + 6), lines, CAPTION, PALE_INK)
    return image


def scale_to_side(image, side: int, is_map: bool):
    """A PIL image in RGB, its longer side `side` pixels; of a map that is made larger, pixels stay sharp."""
    scale = side / max(image.size)
    size = [max(1, round(scale * length)) for length in image.size]
    # the lines of a map that is made smaller stay to be seen
    resample = Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST
    return image.convert("RGB").resize(size, resample if is_map else Image.Resampling.LANCZOS)


def wrap(text: str, size: int, width: int, most: int) -> list[str]:
    """A text as at most `most` lines of `width` pixels, in letters `size` high; what is left out is dots."""
    font, lines = load_font(size), []
    for word in spell(text).split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
        if len(lines) > most:
            break
    kept = lines[:most]
    for i, line in enumerate(kept):
        dots = "..." if i == most - 1 and len(lines) > most else ""
        if dots or font.getlength(line) > width:
            lengths = range(1, len(line) + 1)
            fitting = bisect_right(lengths, width, key=lambda n: font.getlength(f"{line[:n]}..."))
            kept[i] = f"{line[:fitting]}..."
    return kept


def write(draw, place, lines: list[str], size: int, colour: str) -> None:
    """Draw lines of letters `size` high below one another, from `place` (x, y) on."""
    x, y = place
    for i, line in enumerate(lines):
        draw.text((x, y + round(LEADING * size * i)), line, fill=colour, font=load_font(size))


@cache
def load_font(size: int):
    """DejaVu Sans, which comes with matplotlib: Latin, Greek, Cyrillic, Hebrew, Arabic and many signs."""
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size)


def spell(text: str) -> str:
    """A text in letters that the font has: others without their marks, or as the code that names them."""
    return "".join(letter if letter.isspace() else _spell_letter(letter) for letter in text)


@cache
def _spell_letter(letter: str) -> str:
    if _has_letter(letter):
        return letter
    simpler = "".join(part for part in unicodedata.normalize("NFKD", letter) if _has_letter(part))
    return simpler or f"U+{ord(letter):04X} "


def _has_letter(letter: str) -> bool:
    font = load_font(CAPTION)
    # U+10FFFF is no letter of any font, which draws its sign for what it lacks
    return letter.isprintable() and bytes(font.getmask(letter)) != bytes(font.getmask("\U0010ffff"))
