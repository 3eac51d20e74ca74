"""sheet.png: the first rows of a folder of pictures, to look at."""

from collections import defaultdict
from pathlib import Path

from jobs.whole_files import write_atomically
from pictures.decoding import read_photo
from reporting.picture_sheet import Row, Tile, draw_sheet
from reporting.strips import SHOWN

SHEET, ROWS = "sheet.png", 40  # rows at most


def write_sheet(listed: list, show, out: Path) -> int:
    """A row for each row of the table: what its pictures were drawn from, and the pictures.

    `show` gives (title, Tiles) of a picture's row. Returns how many rows are shown.
    """
    rows = defaultdict(list)
    for picture in listed:
        if picture.row.number in rows or len(rows) < ROWS:
            rows[picture.row.number].append(picture)
    drawn = []
    for number, pictures in rows.items():
        title, tiles = show(pictures[0])
        tiles += [Tile(pixels=read_photo(out / p.name), caption=f"seed {p.seed}") for p in pictures[:SHOWN]]
        drawn.append(Row(title=f"{number}. {title}", tiles=tiles))
    write_atomically(out / SHEET, draw_sheet(drawn))
    return len(rows)
