"""Many pictures into a folder, in batches; the same call goes on where it was stopped."""

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import torch

from generation.generate import sample
from generation.picture_text import png_with, read_facts
from generation.table import Rejected
from generation.table_pictures import RowChecker, TablePicture
from jobs.whole_files import write_atomically
from reporting.tables import write_rows

MANIFEST, REJECTED = "manifest.csv", "rejected.csv"
COLUMNS = "file", "row", "map", "photo", "prompt", "negative", "seed", "width", "height"
TOLD = 5


def group_into_batches(pictures: list[TablePicture], batch_size: int) -> list[list[TablePicture]]:
    """Pictures of one size and one negative prompt together, in their order."""
    groups = defaultdict(list)
    for picture in pictures:
        groups[picture.size, picture.row.negative].append(picture)
    return [group[i : i + batch_size] for group in groups.values() for i in range(0, len(group), batch_size)]


def summarize(checker: RowChecker, pictures, rejected, unused) -> str:
    """What a command will draw, and what of its table it won't."""
    lines = [f"{checker.loaded.source}: {len(pictures)} pictures to be there, {len(rejected)} rows rejected"]
    networks = {c.file.path: c.branch or checker.loaded.model.control_model for c in checker.controls}
    for path in (path for path, network in networks.items() if not network.is_trained):
        lines.append(f"{path} has an untrained control: pictures do not follow its maps yet")
    lines += [f"  row {row.row}, {row.map}: {row.reason}" for row in rejected[:TOLD]]
    lines += [f"  and {len(rejected) - TOLD} more, see {REJECTED}"] if len(rejected) > TOLD else []
    lines += [f"columns that are not used: {', '.join(unused)}"] if unused else []
    return "\n".join(lines)


def find_drawn(pictures: list[TablePicture], out: Path) -> set[str]:
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


def draw_all(checker: RowChecker, pictures, out: Path, batch_size: int, done: set[str], report):
    """Draw what isn't `done` into `out`, calling `report(number)` after each batch.

    A batch of which a file is missing is drawn as a whole, so that its pictures are, to the bit, those of a
    run that nobody stopped.
    """
    for batch in group_into_batches(pictures, batch_size):
        missing = [picture for picture in batch if picture.name not in done]
        if not missing:
            continue
        for picture, pixels in zip(batch, draw_batch(checker, batch), strict=True):
            if picture in missing:
                write_atomically(out / picture.name, png_with(pixels, picture.facts))
        report(len(missing))


def draw_batch(checker: RowChecker, batch: list[TablePicture]):
    """Pictures uint8 (n, H, W, 3) of a batch."""
    controls, photo = checker.inputs(batch)
    prompts, seeds = [p.row.prompt for p in batch], [p.seed for p in batch]
    settings = replace(checker.settings, negative_prompt=batch[0].row.negative)
    try:
        return sample(
            checker.loaded.model, controls, prompts, settings, batch[0].size, seeds=seeds, photo=photo
        )
    except torch.OutOfMemoryError as error:
        raise ValueError("Out of memory: a smaller --batch-size or --size takes less") from error


def write_tables(pictures: list[TablePicture], rejected: list[Rejected], out: Path):
    """manifest.csv of the pictures that are there, and rejected.csv, which is there if there is any."""
    rows = [
        dict(
            file=picture.name,
            row=picture.row.number,
            map=picture.row.map,
            photo=picture.photo,
            prompt=picture.row.prompt,
            negative=picture.row.negative,
            seed=picture.seed,
            width=picture.size[1],
            height=picture.size[0],
        )
        for picture in pictures
        if (out / picture.name).exists()
    ]
    write_rows(out / MANIFEST, rows, COLUMNS)
    (out / REJECTED).unlink(missing_ok=True)
    if rejected:
        write_rows(out / REJECTED, [vars(row) for row in rejected], ("row", "map", "reason"))
