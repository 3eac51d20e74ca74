"""What an annotated folder says of itself: its settings, a table of maps, and what has none."""

import csv
import io
import json
import os
from contextlib import contextmanager
from pathlib import Path

from jobs.whole_files import alone_in, remove_temporary, write_atomically

MASKS, TABLE, SETTINGS, REGIONS = "masks", "maps.csv", "settings.json", "regions.yaml"
REJECTED, NOTHING, SHEET = "rejected.csv", "nothing_found.csv", "sheet.png"
COLUMNS = "map", "photo", "width", "height", "found"
MINE = "tool_annotate.py"


@contextmanager
def open_folder(out: Path, settings: dict):
    """Make the folder, or check that it was made with these settings, and be the only one to write there.

    ValueError names a setting that differs, another run at work, or files that are not ours.
    """
    out.mkdir(parents=True, exist_ok=True)
    with alone_in(out):
        path = out / SETTINGS
        if path.exists():
            _check_settings(path, settings)
        else:
            ours = {MASKS, TABLE, REGIONS, REJECTED, NOTHING, SHEET, "prompt.json", "source", "target"}
            if others := sorted(ours.intersection(os.listdir(out))):
                raise ValueError(f"{out} holds {others[0]}, which is not of {MINE}: give another folder")
            write_atomically(path, (json.dumps(settings, indent=1) + "\n").encode())
        (out / MASKS).mkdir(exist_ok=True)
        for folder in (out, *(Path(place) for place, _, _ in os.walk(out / MASKS))):
            remove_temporary(folder)
        yield


def check_places(photos: Path, out: Path) -> None:
    """Raise where photos are missing, or maps and photos would mix."""
    if not photos.is_dir():
        problem = "is a file, not a folder" if photos.exists() else "does not exist"
        raise FileNotFoundError(f"the folder of photos {photos} {problem}")
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"{out} is a file: give a folder to make")
    inside = out.resolve()
    if photos.resolve() in (inside, *inside.parents):
        raise ValueError(f"{out} lies among the photos of {photos}: maps would be taken for photos")
    if inside / MASKS in (photos.resolve(), *photos.resolve().parents):
        raise ValueError(f"{photos} lies where the maps shall be, in {out / MASKS}: give another folder")


def _check_settings(path: Path, settings: dict) -> None:
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.get("made_by") != MINE:
        raise ValueError(f"{path} is not of {MINE}, or is damaged: give another folder")
    for key in dict.fromkeys([*settings, *found]):
        if found.get(key) != settings.get(key):
            raise ValueError(
                f"{path.parent} was made with {key} {found.get(key)}, not {settings.get(key)}: "
                "give another folder, or delete that one"
            )


def read_table(path: Path) -> dict[str, dict]:
    """The rows of a maps.csv by their map; what is damaged is left out, as maps are read where rows lack."""
    if not path.exists():
        return {}
    try:
        with open(path, newline="", encoding="utf-8", errors="replace") as file:
            rows = list(csv.DictReader(file))
    except csv.Error:
        return {}
    return {row["map"]: row for row in rows if {*COLUMNS} == {*row} and None not in row.values()}


def write_table(path: Path, rows, columns=COLUMNS) -> None:
    """Replace a table at once."""
    write_atomically(path, csv_text(rows, columns, head=True).encode())


def csv_text(rows, columns=COLUMNS, head=False) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    if head:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_or_remove(path: Path, rows: list[dict], columns) -> None:
    """A table that is there if it has a row."""
    if rows:
        write_table(path, rows, columns)
    else:
        path.unlink(missing_ok=True)
