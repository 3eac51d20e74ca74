"""Photos beside their maps, for people to look at."""

from pathlib import Path

from jobs.whole_files import write_atomically
from pictures.unusable import Unusable
from reporting.contact_sheets import evenly
from reporting.picture_sheet import Row, Tile, draw_sheet

MOST, ACROSS, SIDE = 24, 4, 200  # photos; pairs in a row; pixels of a tile's side


def write_sheet(job, path: Path) -> int:
    """A PNG of photos beside their maps, evenly chosen by name; returns how many."""
    pairs, maps = [], job.annotator.maps
    for name in evenly([name for name in job.maps if name in job.rows], MOST):
        try:
            photo, shown = job.read(name), maps.to_rgb(maps.read(job.out / "masks" / name))
        except (Unusable, OSError):
            continue  # gone or changed since
        found = job.rows[name]["found"] or "nothing found"
        pairs.append([Tile(photo, caption=job.maps[name]), Tile(shown, caption=found, is_map=True)])
    if not pairs:
        return 0
    lines = [pairs[i : i + ACROSS] for i in range(0, len(pairs), ACROSS)]
    rows = [Row(title="", tiles=[tile for pair in line for tile in pair]) for line in lines]
    write_atomically(path, draw_sheet(rows, SIDE))
    return len(pairs)
