"""Many pictures into a folder, in batches; the same call goes on where it was stopped."""

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import torch

from generation.generate import sample
from generation.picture_text import png_with, read_facts
from generation.planned import Planned, Planner
from generation.table import Rejected
from jobs.whole_files import write_atomically
from reporting.tables import write_rows

MANIFEST, REJECTED = "manifest.csv", "rejected.csv"
COLUMNS = "file", "row", "map", "photo", "prompt", "negative", "seed", "width", "height"
TOLD = 5


def batches(planned: list[Planned], batch_size: int) -> list[list[Planned]]:
    """Pictures of one size and one negative prompt together, in their order."""
    groups = defaultdict(list)
    for picture in planned:
        groups[picture.size, picture.row.negative].append(picture)
    return [group[i : i + batch_size] for group in groups.values() for i in range(0, len(group), batch_size)]


def describe(planner: Planner, planned, rejected, unused) -> str:
    """What a command will draw, and what of its table it won't."""
    lines = [f"{planner.loaded.source}: {len(planned)} pictures to be there, {len(rejected)} rows rejected"]
    networks = {c.file.path: c.branch or planner.loaded.model.control_model for c in planner.controls}
    for path in (path for path, network in networks.items() if not network.is_trained):
        lines.append(f"{path} has an untrained control: pictures do not follow its maps yet")
    lines += [f"  row {row.row}, {row.map}: {row.reason}" for row in rejected[:TOLD]]
    lines += [f"  and {len(rejected) - TOLD} more, see {REJECTED}"] if len(rejected) > TOLD else []
    lines += [f"columns that are not used: {', '.join(unused)}"] if unused else []
    return "\n".join(lines)


def there(planned: list[Planned], out: Path) -> set[str]:
    """The files of `planned` that `out` has already.

    Raises:
        ValueError: one of them was made otherwise; says what differs.
    """
    names = {path.name for path in out.iterdir()}
    found = [picture for picture in planned if picture.name in names]
    for picture in found:
        was, now = read_facts(out / picture.name), json.loads(json.dumps(picture.facts))
        if differing := [name for name in now if now[name] != was.get(name)]:
            name = differing[0]
            raise ValueError(
                f"{out / picture.name} was made with {name} {str(was.get(name))[:200]}, now {name} is "
                f"{str(now[name])[:200]}: delete it, or choose another --out"
            )
    return {picture.name for picture in found}


def draw_all(planner: Planner, planned: list[Planned], out: Path, batch_size: int, done: set[str], report):
    """Draw what isn't `done` into `out`, calling `report(number)` after each batch.

    A batch of which a file is missing is drawn as a whole, so that its pictures are, to the bit, those of a
    run that nobody stopped.
    """
    for batch in batches(planned, batch_size):
        missing = [picture for picture in batch if picture.name not in done]
        if not missing:
            continue
        for picture, pixels in zip(batch, draw(planner, batch), strict=True):
            if picture in missing:
                write_atomically(out / picture.name, png_with(pixels, picture.facts))
        report(len(missing))


def draw(planner: Planner, batch: list[Planned]):
    """Pictures uint8 (n, H, W, 3) of a batch."""
    controls, photo = planner.inputs(batch)
    prompts, seeds = [p.row.prompt for p in batch], [p.seed for p in batch]
    settings = replace(planner.settings, negative_prompt=batch[0].row.negative)
    try:
        return sample(
            planner.loaded.model, controls, prompts, settings, batch[0].size, seeds=seeds, photo=photo
        )
    except torch.OutOfMemoryError as error:
        raise ValueError("Out of memory: a smaller --batch-size or --size takes less") from error


def write_tables(planned: list[Planned], rejected: list[Rejected], out: Path):
    """manifest.csv of the pictures that are there, and rejected.csv, which is there if there is any."""
    rows = [
        dict(
            zip(
                COLUMNS,
                (p.name, p.row.number, p.row.map, p.photo, p.row.prompt, p.row.negative),
                strict=False,
            )
        )
        | dict(seed=p.seed, height=p.size[0], width=p.size[1])
        for p in planned
        if (out / p.name).exists()
    ]
    write_rows(out / MANIFEST, rows, COLUMNS)
    (out / REJECTED).unlink(missing_ok=True)
    if rejected:
        write_rows(out / REJECTED, [vars(row) for row in rejected], ("row", "map", "reason"))
