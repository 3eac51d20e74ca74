"""sheet.png: the first rows of a folder of pictures, to look at."""

from collections import defaultdict
from pathlib import Path

from generation.table_pictures import RowChecker, TablePicture
from jobs.whole_files import write_atomically
from pictures.decoding import read_photo
from reporting.picture_sheet import Row, Tile, draw_sheet
from reporting.strips import SHOWN

SHEET, ROWS = "sheet.png", 40  # rows at most


def write_sheet(checker: RowChecker, listed: list[TablePicture], out: Path) -> int:
    """A row for each map under its prompt: the first control's map, the photo if any, and the pictures.

    Returns how many rows are shown.
    """
    rows = defaultdict(list)
    for picture in listed:
        if picture.row.number in rows or len(rows) < ROWS:
            rows[picture.row.number].append(picture)
    drawn = []
    for number, pictures in rows.items():
        first, control = pictures[0], checker.controls[0]
        hint = control.read(first.maps[0])
        colours = control.encoder.to_rgb(hint) if control.encoder else hint
        tiles = [Tile(pixels=colours, caption="map", is_map=True)]
        tiles += [Tile(pixels=read_photo(photo), caption="photo") for photo in [first.photo] if photo]
        tiles += [Tile(pixels=read_photo(out / p.name), caption=f"seed {p.seed}") for p in pictures[:SHOWN]]
        drawn.append(Row(title=f"{number}. {first.row.prompt}", tiles=tiles))
    write_atomically(out / SHEET, draw_sheet(drawn))
    return len(rows)
