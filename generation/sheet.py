"""sheet.png: the first rows of a folder of pictures, to look at."""

from collections import defaultdict
from pathlib import Path

import numpy as np

from generation.planned import Planned, Planner
from jobs.whole_files import write_atomically
from reporting.strips import SHOWN, png

SHEET = "sheet.png"
ROWS, TILE, LINE = 40, 256, 18  # rows at most; pixels of a tile's side at most, and of a line of text


def write_sheet(planner: Planner, planned: list[Planned], out: Path) -> int:
    """A strip a row: its prompt over the first control's map, the photo if any, and the pictures.

    Returns how many rows are shown.
    """
    from PIL import Image

    from pictures.decoding import read_photo

    rows = defaultdict(list)
    for picture in planned:
        if picture.row.number in rows or len(rows) < ROWS:
            rows[picture.row.number].append(picture)
    control, strips = planner.controls[0], []
    for number, pictures in rows.items():
        hint = control.read(pictures[0].maps[0])
        images = [("map", Image.fromarray(control.encoder.to_rgb(hint) if control.encoder else hint))]
        images += [("photo", Image.fromarray(read_photo(photo))) for photo in [pictures[0].photo] if photo]
        images += [(f"seed {p.seed}", Image.open(out / p.name)) for p in pictures[:SHOWN]]
        side = min(TILE, max(pictures[0].size))
        kept, smooth = Image.Resampling.NEAREST, Image.Resampling.LANCZOS
        tiles = [tile(image, side, kept if what == "map" else smooth) for what, image in images]
        width = side * len(tiles)
        heads = [written(f"{number}. {pictures[0].row.prompt}", width)]
        heads.append(np.concatenate([written(what, side) for what, _ in images], axis=1))
        strips.append(np.concatenate([*heads, np.concatenate(tiles, axis=1)]))
    width = max(strip.shape[1] for strip in strips)
    strips = [np.pad(s, ((0, 0), (0, width - s.shape[1]), (0, 0)), constant_values=255) for s in strips]
    write_atomically(out / SHEET, png(np.concatenate(strips)))
    return len(rows)


def written(text: str, width: int):
    """A line of text, uint8 (LINE, width, 3), cut at its width; letters that the font lacks become ?."""
    from PIL import Image, ImageDraw, ImageFont

    line = Image.new("RGB", (width, LINE), "white")
    text = text.replace("\n", " ").encode("latin-1", "replace").decode("latin-1")
    ImageDraw.Draw(line).text((3, 2), text, fill="#333", font=ImageFont.load_default(12))
    return np.asarray(line)


def tile(image, side, resample):
    """A PIL image inside a white square uint8 (side, side, 3)."""
    from PIL import Image

    scale = side / max(image.size)
    size = [max(1, round(length * scale)) for length in image.size]
    square = Image.new("RGB", (side, side), "white")
    square.paste(image.convert("RGB").resize(size, resample))
    return np.asarray(square)
