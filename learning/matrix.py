"""A matrix of runs: rows that differ in options or in their recipe, each with the same seeds and data order.

Its yaml is read and every row checked before the first run begins. Runs are numbered, row by row and seed by
seed, so that several machines can share them; each resumes as any training does.
"""

import html
import json
import math
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml

from cldm.model import create_on_meta, read_config
from evaluation.comparison import student
from evaluation.tables import format_number
from jobs.json_files import read_json
from jobs.ranks import say
from jobs.whole_files import write_atomically
from jobs.yaml_files import read_yaml
from ldm.util import check_known
from learning.options import TrainOptions, parse_options
from learning.report import show_image_log
from reporting.html import page, table
from reporting.tables import column, read_rows, write_rows

SCRIPT, DRAWING = (Path(__file__).parents[1] / name for name in ("tutorial_train.py", "tool_evaluate.py"))
KEYS_OF_DRAWINGS = "run", "checkpoint", "options"
KEYS = "run", "config", "graft", "seeds", "options", "columns", "rows"
OWN = "run", "seed"  # options that the matrix gives each run itself
TABLES = "metrics", "validation", "control_miou", "garment_fidelity"  # csv files of a run
COLUMNS = (
    "metrics.loss", "validation.loss", "validation.gap", "control_miou.miou",
    "garment_fidelity.garment_at_16", "garment_fidelity.detail", "garment_fidelity.delta_e",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """What one row of a matrix changes: options of the training, and keys of the recipe.

    Args:
        options: option -> value.
        recipe: dotted key below the recipe's `model.params` -> value, None to leave the key out.
        graft: the base that a changed recipe is grafted onto, and any recipe, if the row names none.
    """

    name: str
    options: dict = field(default_factory=dict)
    recipe: dict = field(default_factory=dict)
    graft: str = ""

    @property
    def slug(self) -> str:
        """The name as a folder's."""
        return re.sub(r"\W+", "_", self.name).strip("_").lower()


@dataclass(frozen=True)
class Run:
    """One training of a matrix: its number from 1, row, seed, and folder."""

    number: int
    row: Row
    seed: int
    folder: Path


@dataclass(frozen=True)
class Matrix:
    """Runs to compare; `config` is the preset of options that all share, `columns` are what is compared."""

    folder: Path
    config: str
    seeds: tuple[int, ...]
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def runs(self) -> list[Run]:
        pairs = [(row, seed) for row in self.rows for seed in self.seeds]
        return [
            Run(number, row, seed, self.folder / row.slug / f"seed_{seed}")
            for number, (row, seed) in enumerate(pairs, 1)
        ]

    @classmethod
    def read(cls, path) -> "Matrix":
        """The matrix of a yaml.

        Raises:
            ValueError: an unknown key, no rows, two rows or seeds of one name.
        """
        content = read_yaml(path)
        if not isinstance(content, dict) or not isinstance(content.get("rows"), dict) or not content["rows"]:
            raise ValueError(f"{path} describes no matrix: it has no `rows` of name and changes")
        for key in content:
            check_known(str(key), KEYS, f"key of {path}")
        shared, graft = dict(content.get("options") or {}), content.get("graft", "")
        rows = tuple(read_row(path, str(n), c or {}, shared, graft) for n, c in content["rows"].items())
        seeds, columns = tuple(content.get("seeds", [0])), tuple(content.get("columns", COLUMNS))
        for what, values in (("seeds", seeds), ("names of rows", tuple(row.slug for row in rows))):
            if not values or len({*values}) < len(values):
                raise ValueError(f"{path}: {what} must differ, got {', '.join(map(str, values)) or 'none'}")
        for name in columns:
            check_known(name.partition(".")[0], TABLES, f"table in columns of {path}")
        folder = Path(content.get("run") or Path("runs", Path(path).stem))
        return cls(folder, str(content.get("config", "models/train_tryon_tiny.yaml")), seeds, columns, rows)


def read_drawings(path) -> list[str] | None:
    """The command of a yaml that names a `checkpoint`, and compares its drawings; None for one of trainings.

    Raises:
        ValueError: it has other keys than such a yaml has.
    """
    content = read_yaml(path)
    if not isinstance(content, dict) or "checkpoint" not in content:
        return None
    for key in content:
        check_known(str(key), KEYS_OF_DRAWINGS, f"key of {path}, which compares drawings")
    out = content.get("run") or Path("runs", Path(path).stem)
    options = format_options(dict(content.get("options") or {}) | dict(out=str(out)))
    return [sys.executable, str(DRAWING), str(content["checkpoint"]), *options]


def read_row(path, name: str, changes: dict, shared: dict, graft: str) -> Row:
    """A row's changes on top of the shared options."""
    if not isinstance(changes, dict):
        raise ValueError(
            f"{path}: row {name!r} must hold options, and `recipe` and `graft` where they change"
        )
    changes = dict(changes)
    recipe, graft = changes.pop("recipe", None) or {}, changes.pop("graft", graft)
    options = shared | changes
    if given := [key for key in OWN if key in options]:
        raise ValueError(f"{path}: row {name!r} gives {given[0]}, which the matrix gives each run itself")
    return Row(name, options, recipe, str(graft or ""))


def check_rows(matrix: Matrix) -> dict[str, TrainOptions]:
    """The options of each row by its name, with its recipe and base in them; writes the changed recipes.

    Raises:
        ValueError, FileNotFoundError: of any row, before one has been trained; it names the row.
    """
    found = {}
    for row in matrix.rows:
        try:
            found[row.name] = check_row(matrix, row)
        except (ValueError, OSError) as error:
            raise type(error)(f"row {row.name!r}: {error}") from error
    return found


def check_row(matrix: Matrix, row: Row) -> TrainOptions:
    options = parse_options([matrix.config], format_options(row.options))
    if row.recipe:
        content = read_yaml(options.model)
        change_recipe(content["model"]["params"], row.recipe)
        options.model = str(matrix.folder / row.slug / "recipe.yaml")
        Path(options.model).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(options.model, yaml.safe_dump(content, sort_keys=False).encode())
    create_on_meta(options.model)
    if row.graft and "base" not in row.options:
        if not Path(row.graft).exists():
            raise FileNotFoundError(f"{row.graft} does not exist: the base to graft is wanted")
        options.base = str(find_base(matrix, row, options.model))
    return options


def find_base(matrix: Matrix, row: Row, recipe: str) -> Path:
    """Where the graft of a recipe lies: rows whose recipes are alike share one, which may be large."""
    described = json.dumps([str(read_config(recipe)), row.graft])
    names = {other.slug for other in matrix.rows}
    index = matrix.folder / "bases.json"
    known = read_json(index) if index.exists() else {}
    if described not in known:
        known[described] = f"base_{len(known) + 1}"
        while known[described] in names:
            known[described] += "_"
        matrix.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(index, json.dumps(known, indent=1).encode())
    return matrix.folder / f"{known[described]}.safetensors"


def change_recipe(params: dict, changes: dict):
    """Set dotted keys of a recipe, or leave them out where the value is None.

    A dict with `before` goes before that key of its place: conditions enter in their order.

    Raises:
        ValueError: what a key lies in is not there.
    """
    for key, value in changes.items():
        *way, last = key.split(".")
        place = params
        for name in way:
            check_known(name, list(place), f"key of the recipe, in {key}")
            place = place[name]
            if not isinstance(place, dict):
                raise ValueError(f"the recipe's {key} lies in {name}, which is {place!r}")
        if value is None:
            check_known(last, list(place), f"key of the recipe, in {key}")
            del place[last]
        elif isinstance(value, dict) and "before" in value:
            check_known(value["before"], list(place), f"key of the recipe, before which {key} goes")
            rest = list(place.items())
            place.clear()
            for name, part in rest:
                if name == value["before"]:
                    place[last] = {k: v for k, v in value.items() if k != "before"}
                place[name] = part
        else:
            place[last] = value


def format_options(options: dict) -> list[str]:
    """Options as `key=value`."""
    return [f"{k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in options.items()]


def choose_runs(matrix: Matrix, numbers=(), machine: str = "") -> list[Run]:
    """The runs of given numbers, or those of machine K of N (`machine` "K/N"), or all.

    Raises:
        ValueError: a number that no run has, or no such machine.
    """
    runs = matrix.runs
    if machine:
        match = re.fullmatch(r"(\d+)/(\d+)", machine)
        part, parts = map(int, match.groups()) if match else (0, 0)
        if not 0 < part <= parts:
            raise ValueError(f"machine must be K/N, with K from 1 to N, got {machine!r}")
        runs = runs[part - 1 :: parts]
    if unknown := [n for n in numbers if not 0 < n <= len(matrix.runs)]:
        raise ValueError(f"there is no run {unknown[0]}: runs have the numbers 1 to {len(matrix.runs)}")
    return [run for run in runs if not numbers or run.number in numbers]


def steps_made(run: Run) -> int:
    """How many steps the tables of a run have."""
    rows = read_rows(run.folder / "metrics.csv")
    return int(rows[-1]["step"]) if rows else 0


def train_runs(matrix: Matrix, runs: list[Run]) -> list[Run]:
    """Train what is not finished yet, each run in a process of its own; returns those that failed."""
    options, failed = check_rows(matrix), []
    for run in runs:
        wanted = options[run.row.name]
        where = f"run {run.number} of {len(matrix.runs)}: {run.row.name}, seed {run.seed}"
        if steps_made(run) >= wanted.max_steps:
            say(f"{where}: has its {wanted.max_steps} steps already")
            continue
        say(where)
        graft(run.row, wanted)
        given = run.row.options | dict(model=wanted.model, base=wanted.base, seed=run.seed)
        command = [sys.executable, SCRIPT, "--config", matrix.config, *format_options(given)]
        if call([*map(str, command), f"run={run.folder}"]):
            failed.append(run)
    return failed


def graft(row: Row, options: TrainOptions):
    """The base of a row's runs, unless it is there already."""
    if not row.graft or "base" in row.options or Path(options.base).exists():
        return
    from cldm.weights.graft import add_control

    say(f"grafting {row.graft} by {options.model}")
    add_control(row.graft, options.base, options.model)


def call(command: list[str]) -> int:
    """The exit code of a command, which ends with this process, however it ends."""
    process = subprocess.Popen(command)
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def read_values(run: Run, columns) -> dict[str, float]:
    """Column ("table.name") -> its newest value in the tables of a run; what no table has is left out."""
    values = {}
    for name in columns:
        rows = read_rows(run.folder / f"{name.partition('.')[0]}.csv")
        found = [value for value in column(rows, name.partition(".")[2]) if math.isfinite(value)]
        values |= {name: found[-1]} if found else {}
    metrics = read_rows(run.folder / "metrics.csv")
    if metrics:
        pictures, rates = (np.array(column(metrics, name)) for name in ("pictures", "pictures_per_second"))
        values["minutes"] = float(np.nansum(np.diff(pictures, prepend=0) / rates) / 60)
        values["steps"] = float(metrics[-1]["step"])
    return values


def mean_and_reach(values: list[float]) -> tuple[float, float | None]:
    """(mean, half the width of its 95 % interval by Student's t), None for fewer than two values."""
    if len(values) < 2:
        return float(np.mean(values)), None
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return float(np.mean(values)), QUANTILES.get(len(values) - 1, student(1.96, len(values) - 1)) * error


# of Student's t with few degrees of freedom, where the series of `student` is too short
QUANTILES = {1: 12.706, 2: 4.303, 3: 3.182}


def compare_rows(matrix: Matrix) -> list[dict]:
    """Texts by column, a dict for each row: means over seeds, and how far they are from the first row's.

    Differences are paired by seed, since runs of one seed see the same pictures, noise and timesteps.
    """
    values = {run.number: read_values(run, matrix.columns) for run in matrix.runs}
    by_row = {row.name: [values[run.number] for run in matrix.runs if run.row == row] for row in matrix.rows}
    names = [n for n in (*matrix.columns, "steps", "minutes") if any(n in found for found in values.values())]
    first, texts = next(iter(by_row.values())), []
    for name, found in by_row.items():
        row = dict(row=name, seeds=str(sum(bool(v) for v in found)))
        for key in names:
            own = [v[key] for v in found if key in v]
            row[key] = format_mean(own)
            paired = [a[key] - b[key] for a, b in zip(found, first, strict=True) if key in a and key in b]
            if key in matrix.columns and found is not first and len(paired) > 1:
                row[key] += f" ({format_mean(paired, sign=True)})"
        texts.append(row)
    return texts


def format_mean(values: list[float], sign=False) -> str:
    """`0.512 ± 0.03`, with a sign if wanted; nothing of no values."""
    if not values:
        return ""
    mean, reach = mean_and_reach(values)
    text = ("+" if sign and mean > 0 else "") + format_number(mean)
    return text if reach is None else f"{text} ± {format_number(reach)}"


NOTE = (
    "Each number is the newest of its run, averaged over seeds, with its 95 % interval by Student's t. In "
    "brackets is the difference to the first row, paired by seed: runs of one seed see the same pictures, "
    "noise and timesteps in the same order."
)


def write_results(matrix: Matrix) -> Path:
    """matrix.csv, matrix.md and matrix.html in the matrix's folder, of the runs that are there."""
    rows, folder = compare_rows(matrix), matrix.folder
    tidy = [
        dict(row=run.row.name, seed=run.seed, column=name, value=value)
        for run in matrix.runs
        for name, value in read_values(run, matrix.columns).items()
    ]
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / "matrix.csv", tidy, ["row", "seed", "column", "value"])
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(row.values() for row in rows)]
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    write_atomically(folder / "matrix.md", f"{text}\n{NOTE}\n".encode())
    parts = [
        f"<h1>{html.escape(folder.name)}</h1>",
        f"<div class=scroll>{table(rows)}</div><p class=n>{NOTE}</p>",
    ]
    for row in matrix.rows:
        run = next(run for run in matrix.runs if run.row == row)
        shown = show_image_log(run.folder / "image_log" / "train", most=1)
        parts += [f"<h2>{html.escape(row.name)}, seed {run.seed}</h2>", *shown[1:]] if shown else []
    write_atomically(folder / "matrix.html", page(folder.name, parts))
    return folder / "matrix.html"
