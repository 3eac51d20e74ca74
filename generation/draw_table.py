"""Many pictures into a folder, in batches; the same call goes on where it was stopped."""

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from generation.picture_text import png_with, read_facts
from generation.sheet import write_sheet
from jobs.whole_files import alone_in, write_atomically
from reporting.picture_sheet import Tile
from reporting.tables import write_rows

MANIFEST, REJECTED = "manifest.csv", "rejected.csv"
TOLD = 5


@dataclass
class Drawing:
    """What a command will draw, each row of its table having been checked against its files.

    Args:
        pictures: those that are to be there, each with its `name`, its `row`, and all that it depends on as
            `facts`.
        batches: the same in the groups that are drawn at once.
        draw: pictures of a batch -> uint8 (n, H, W, 3).
        rejected: rows of REJECTED, columns of which are listed; the last one is the reason.
        describe: a picture -> its row of MANIFEST, whose columns are listed.
        show: a picture -> (title, Tiles of what it was drawn from).
        what: what rows are called.
        notes: lines to be told before drawing.
    """

    pictures: list
    batches: list[list]
    draw: Callable
    rejected: list[dict]
    rejected_columns: tuple[str, ...]
    describe: Callable[..., dict]
    columns: tuple[str, ...]
    show: Callable[..., tuple[str, list[Tile]]]
    what: str
    notes: list[str]


def draw_table(drawing: Drawing, out: Path, progress) -> None:
    """Draw what `out` lacks, then write its tables and its sheet; `progress` is jobs.progress.Progress.

    Raises:
        ValueError: no row can be drawn, or `out` holds one of the pictures, made otherwise.
    """
    pictures, rejected = drawing.pictures, drawing.rejected
    print("\n".join([*drawing.notes, *tell_rejected(drawing)]), flush=True)
    out.mkdir(parents=True, exist_ok=True)
    with alone_in(out):
        done = find_drawn(pictures, out)
        report = progress(str(out), len(pictures), "pictures", len(done)).add
        try:
            draw_all(drawing, out, done, report)
        finally:
            write_tables(drawing, out)
        if not pictures:
            raise ValueError(f"no row can be drawn, see {out / REJECTED}: {rejected[0]['reason']}")
        shown = write_sheet(pictures, drawing.show, out)
    print(f"{out}: {len(pictures)} pictures, sheet.png shows those of the first {shown} {drawing.what}")


def group_into_batches(pictures: list, key: Callable, batch_size: int) -> list[list]:
    """Pictures of one key together, in their order."""
    groups = defaultdict(list)
    for picture in pictures:
        groups[key(picture)].append(picture)
    return [group[i : i + batch_size] for group in groups.values() for i in range(0, len(group), batch_size)]


def tell_rejected(drawing: Drawing) -> list[str]:
    """The first rows that will not be drawn, and why."""
    *names, reason = drawing.rejected_columns
    lines = []
    for row in drawing.rejected[:TOLD]:
        number, *which = (str(row[name]) for name in names)
        lines.append(f"  row {number}, {' '.join(which)}: {row[reason]}")
    more = len(drawing.rejected) - TOLD
    return [*lines, f"  and {more} more, see {REJECTED}"] if more > 0 else lines


def find_drawn(pictures: list, out: Path) -> set[str]:
    """The files of `pictures` that `out` has already.

    Raises:
        ValueError: one of them was made otherwise; says what differs.
    """
    names = {path.name for path in out.iterdir()}
    found = [picture for picture in pictures if picture.name in names]
    for picture in found:
        was, now = read_facts(out / picture.name), json.loads(json.dumps(picture.facts))
        if differing := [name for name in now if now[name] != was.get(name)]:
            name = differing[0]
            raise ValueError(
                f"{out / picture.name} was made with {name} {str(was.get(name))[:200]}, now {name} is "
                f"{str(now[name])[:200]}: delete it, or choose another --out"
            )
    return {picture.name for picture in found}


def draw_all(drawing: Drawing, out: Path, done: set[str], report):
    """Draw what isn't `done` into `out`, calling `report(number)` after each batch.

    A batch of which a file is missing is drawn as a whole, so that its pictures are, to the bit, those of a
    run that nobody stopped.
    """
    for batch in drawing.batches:
        missing = [picture for picture in batch if picture.name not in done]
        if not missing:
            continue
        try:
            drawn = drawing.draw(batch)
        except torch.OutOfMemoryError as error:
            raise ValueError("Out of memory: a smaller --batch-size or --size takes less") from error
        for picture, pixels in zip(batch, drawn, strict=True):
            if picture in missing:
                write_atomically(out / picture.name, png_with(pixels, picture.facts))
        report(len(missing))


def write_tables(drawing: Drawing, out: Path):
    """MANIFEST of the pictures that are there, and REJECTED, which is there if there is any."""
    rows = [drawing.describe(picture) for picture in drawing.pictures if (out / picture.name).exists()]
    write_rows(out / MANIFEST, rows, drawing.columns)
    (out / REJECTED).unlink(missing_ok=True)
    if drawing.rejected:
        write_rows(out / REJECTED, drawing.rejected, drawing.rejected_columns)
