"""The rows of a table of maps and prompts; a row that cannot be used comes with the reason."""

import csv
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pictures.texts import decode_text

COLUMNS = {"map", "prompt", "negative", "seed", "photo"}
MAX_PROMPT = 2000  # characters; text encoders read 75 tokens
MAX_SEED = 2**62
MAPS = ".png", ".bmp", ".webp", ".tif", ".tiff"
ANNOTATED = "maps.csv"  # what tool_annotate.py leaves beside its masks/


@dataclass(frozen=True)
class Row:
    number: int  # in the table, from 1
    map: str  # file name, relative to the folder of maps
    prompt: str
    negative: str
    seed: int | None
    photo: str | None  # file name, relative to the folder of photos


@dataclass(frozen=True)
class Rejected:
    row: int
    map: str
    reason: str


def read_rows(maps: Path, table: Path | None = None, prompt="", negative="") -> tuple[list, list, list]:
    """(Rows, Rejected rows, columns of the table that aren't used).

    Args:
        table: a .csv with a line of column names, or a .jsonl of objects: map, prompt, and where wanted
            negative, seed, photo. Without one, the held-out lines (split val) of a training folder `maps`, by
            its prompt.json, or all lines where none says a split; what tool_annotate.py has made, by its
            maps.csv; else every picture of the folder `maps`.
        prompt, negative: for rows that have none.
    """
    if not maps.is_dir():
        what = "is a file, not a folder" if maps.exists() else "does not exist"
        raise FileNotFoundError(f"the folder of maps {maps} {what}")
    lines, default = _lines(maps, table), dict(prompt=prompt, negative=negative)
    for name, text in default.items():
        check_text(f"--{name}", text)
    rows, rejected, unused = [], [], set()
    for number, line in lines:
        try:
            rows.append(_row(number, line, default))
            unused |= {*line} - COLUMNS if table else set()
        except ValueError as error:
            name = line.get("map") if isinstance(line, dict) else None
            rejected.append(Rejected(number, str(name or "")[:100], str(error)))
    if not rows and not rejected:
        wanted = "lines of split val" if (maps / "prompt.json").is_file() else f"pictures {', '.join(MAPS)}"
        raise ValueError(
            f"{table} has no row" if table else f"{maps} has no {wanted}: give a table, --prompts"
        )
    return rows, rejected, sorted(map(str, unused))


def inside(folder: Path, name: str) -> Path:
    """A file of a folder; ValueError for a name that leads out of it."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name) or "\0" in name:
        raise ValueError(f"{name!r} leads out of the folder {folder}")
    return folder / path


def _lines(maps, table):
    """(number, dict by column, or what else a line holds) of a table, a training folder or a folder."""
    if table is not None:
        if not table.is_file():
            what = "is a folder, not a file" if table.exists() else "does not exist"
            raise FileNotFoundError(f"the table {table} {what}")
        return list(csv_lines(table) if table.suffix.lower() == ".csv" else _json_lines(table))
    if not (maps / "prompt.json").is_file():
        if (maps / ANNOTATED).is_file():
            lines = list(csv_lines(maps / ANNOTATED, {"map", "photo"}))
            if not lines:
                raise ValueError(f"{maps / ANNOTATED} lists no map: tool_annotate.py goes on with its folder")
            return lines
        files = sorted(path.name for path in maps.iterdir() if path.suffix.lower() in MAPS)
        return list(enumerate((dict(map=name) for name in files if not name.startswith(".")), 1))
    lines = list(_json_lines(maps / "prompt.json"))
    splits = any(isinstance(line, dict) and "split" in line for _, line in lines)
    return [(n, line) for n, line in lines if not splits or _split(line) == "val"]


def _split(line):
    return line.get("split") if isinstance(line, dict) else None


def csv_lines(path, wanted=frozenset({"map", "prompt"}), columns=COLUMNS):
    """(number, dict by column) of a .csv, whose first line names its columns, all of `wanted` among them."""
    text = read_table_text(path)
    limit = csv.field_size_limit(len(text) + 1)  # a prompt too long is one bad row, not a bad table
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        if not wanted <= {*(reader.fieldnames or ())}:
            raise ValueError(
                f"{path}: its first line must name the columns {' and '.join(sorted(wanted))}, got "
                f"{text.splitlines()[:1]}"
            )
        twice = sorted(name for name in columns if reader.fieldnames.count(name) > 1)
        if twice:
            raise ValueError(f"{path}: its first line names the column {twice[0]} twice")
        yield from enumerate(reader, 1)
    except csv.Error as error:
        raise ValueError(f"{path}, behind line {reader.line_num}: {error}") from error
    finally:
        csv.field_size_limit(limit)


def _json_lines(path):
    for number, line in enumerate(read_table_text(path).split("\n"), 1):
        if line.strip():
            try:
                fields = json.loads(line)
            except (ValueError, RecursionError):
                fields = line
            if isinstance(fields, dict) and "source" in fields:
                # a training folder's line, whose photo is the raw one
                fields |= dict(map=fields["source"], photo=fields.get("target"))
            yield number, fields


def read_table_text(path) -> str:
    """The text of a table; ValueError names one that is none."""
    try:
        return decode_text(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} {error}") from error


def _row(number, line, default) -> Row:
    if not isinstance(line, dict):
        raise ValueError(f"no JSON object: {str(line)[:60]!r}")
    if None in line:
        raise ValueError("more cells than columns: a text with commas must stand in quotes")
    texts = {}
    for name in ("map", "prompt", "negative", "photo"):
        text = line.get(name)
        text = default.get(name) if text in (None, "") else text
        if text is not None:
            check_text(name, text)
        texts[name] = text
    if not texts["map"]:
        raise ValueError("no map is named")
    return Row(number, seed=read_seed(line.get("seed")), **texts)


def check_text(name, text) -> None:
    """Raise ValueError for what is no text, is far too long, or holds what no file takes."""
    if not isinstance(text, str):
        raise ValueError(f"{name} must be a text, got {str(text)[:60]!r}")
    if len(text) > MAX_PROMPT:
        raise ValueError(f"{name} has {len(text)} characters: {MAX_PROMPT} at most")
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError(f"{name} holds characters that no file takes: {text[:60]!r}")


def read_seed(value) -> int | None:
    """The seed of a table's cell, None of an empty one."""
    if value in (None, ""):
        return None
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole and not (isinstance(value, str) and re.fullmatch(r"\s*\d{1,20}\s*", value, re.ASCII)):
        raise ValueError(f"seed must be a whole number, got {str(value)[:60]!r}")
    if not 0 <= int(value) <= MAX_SEED:
        raise ValueError(f"seed must be between 0 and {MAX_SEED}, got {value}")
    return int(value)
