"""The table of a training folder, prompt.json or metadata.jsonl, and the columns of captions in its lines.

What captioners have written goes into their columns, and nothing else there changes: lines keep their order,
and those that stay the same their bytes.
"""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path

from jobs.json_files import read_json
from jobs.whole_files import write_atomically
from pictures.pairs import TABLES, find_table, parse_content
from preparation.captions.column_files import (
    AGREEMENT,
    FOLDER,
    Column,
    add_agreement,
    find_current,
    list_columns,
)

KINDS = ("captions", "phrases", "scores")  # keys of a line; each holds a value by the column's name
MERGED = "columns.json"


class Table:
    """The lines of a folder's table, parsed once; ValueError names one that is no item.

    `items` are the lines as tutorial_dataset.py reads them: `source`, `target`, `prompt` and more.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise FileNotFoundError(f"{folder} is no folder: give a training folder, with a prompt.json")
        path = find_table(self.folder)
        if path is None:
            raise FileNotFoundError(
                f"{folder} has no {' or '.join(TABLES)}, into whose lines captions go: "
                f"python tool_prepare_data.py {folder} OUT makes a folder that has"
            )
        self.path, self.content = path, None
        self.refresh()

    def refresh(self) -> None:
        """Parse the file again if it has changed since, as another captioner's merge changes it."""
        content = self.path.read_bytes()
        if content == self.content:
            return
        numbered, spelt = {}, {}
        for number, fields, item in parse_content(content):
            _check(self.path, number, item)
            numbered[number] = item
            if fields != item:
                spelt[number] = fields
        if not numbered:
            raise ValueError(f"{self.path} has no lines to caption")
        # items by the number of their line, and the fields of those whose line has them otherwise
        self.content, self.numbered, self.spelt = content, numbered, spelt

    @property
    def items(self) -> list[dict]:
        return list(self.numbered.values())

    def rewrite(self, change) -> None:
        """Write each line as `change(item)` has its KINDS, if that changes them.

        Lines that stay the same keep their bytes; so does a table of nothing but such lines.
        """
        lines, numbered, spelt = self.content.split(b"\n"), dict(self.numbered), dict(self.spelt)
        for number, item in self.numbered.items():
            changed = change(item)
            if all(changed.get(kind) == item.get(kind) for kind in KINDS):
                continue
            numbered[number] = changed
            if number in spelt:
                there = {kind: changed[kind] for kind in KINDS if kind in changed}
                others = {k: v for k, v in spelt[number].items() if k not in KINDS or k in there}
                spelt[number] = changed = others | there
            end = b"\r" if lines[number - 1].endswith(b"\r") else b""
            lines[number - 1] = json.dumps(changed).encode() + end
        if (content := b"\n".join(lines)) != self.content:
            write_atomically(self.path, content)
            self.content, self.numbered, self.spelt = content, numbered, spelt


def _check(path: Path, number: int, item: dict | str) -> None:
    if isinstance(item, str):
        raise ValueError(f"{path}, line {number}: {item}")
    for kind in KINDS:
        if not isinstance(item.get(kind, {}), dict):
            raise ValueError(
                f"{path}, line {number}: {kind} is {type(item[kind]).__name__}, wanted an object by column"
            )


@dataclass(frozen=True)
class Content:
    """A column to be written.

    Args:
        captions: records by target.
        disagree: those that agree too little with the map.
        failed: reasons by target, of pictures that could not be read.
    """

    captions: dict[str, dict]
    disagree: dict[str, dict]
    failed: dict[str, str]


def collect_content(column: Column, lines: list[dict], min_agreement: float | None) -> Content:
    """What a column says of pictures as they are now; a caption without boxes has no agreement to lack."""
    found = column.read()
    failures = dict(found.failures)
    content = Content({}, {}, {})
    for target, line in {line["target"]: line for line in reversed(lines)}.items():
        record = find_current(found.records.get(target, []), column.training / target)
        try:
            record = record and add_agreement(column.training, line, record)
        except ValueError as error:
            record, failures[target] = None, str(error)
        if record is None:
            if target in failures:
                content.failed[target] = failures[target]
        elif min_agreement is not None and record["scores"].get(AGREEMENT, 1) < min_agreement:
            content.disagree[target] = record
        else:
            content.captions[target] = record
    return content


def put_caption(line: dict, column: str, record: dict | None) -> dict:
    """A line of prompt.json with a record in a column; without one, with nothing in that column."""
    changed = dict(line)
    values = (record["text"], record["phrases"], record["scores"]) if record else (None, None, None)
    for kind, value in zip(KINDS, values, strict=True):
        present = line.get(kind, {})
        # a caption may be empty; phrases and scores that are, are none
        if value or (record and kind == "captions"):
            changed[kind] = present | {column: value}
        elif column in present:
            changed[kind] = {name: other for name, other in present.items() if name != column}
            if not changed[kind]:
                del changed[kind]
    return changed


def write_column(table, column: Column, content: Content, min_agreement: float | None) -> None:
    """Write a column into prompt.json, and beside its records what is not in it, and why."""
    rows = [
        (target, record["scores"][AGREEMENT], record["text"]) for target, record in content.disagree.items()
    ]
    write_atomically(column.path / "disagree.csv", _csv(("target", AGREEMENT, "caption"), rows))
    write_atomically(column.path / "failed.csv", _csv(("target", "reason"), content.failed.items()))
    merged = read_merged(column.training)
    merged[column.name] = dict(captioner=column.settings()["captioner"], min_agreement=min_agreement)
    # before the table: a column that is there is known to be ours
    _write_merged(column.training, merged)
    table.rewrite(lambda line: put_caption(line, column.name, content.captions.get(line["target"])))


def check_owner(column: Column, lines: list[dict]) -> None:
    """Raise ValueError for a column of prompt.json that did not come from here."""
    if column.name in read_merged(column.training):
        return
    having = [line for line in lines if any(column.name in line.get(kind, {}) for kind in KINDS)]
    if not having:
        return
    # columns.json may have been deleted
    ours = {(target, record["text"]) for target, found in column.read().records.items() for record in found}
    if any((line["target"], line.get("captions", {}).get(column.name)) not in ours for line in having):
        raise ValueError(
            f"{column.training} has captions {column.name} that were not written from {column.path}: "
            "give another --column"
        )


def add_columns(training: Path, lines: list[dict]) -> list[dict]:
    """Lines of a table that is made anew, with the columns of all captioners.

    ValueError if a captioner's column is called like captions that the lines bring with them.
    """
    check_raw_columns(training, {name for line in lines for name in line["captions"]})
    before, merged = read_merged(training), {}
    for column in list_columns(training):
        fresh = dict(captioner=column.settings()["captioner"], min_agreement=None)
        merged[column.name] = before.get(column.name, fresh)
        content = collect_content(column, lines, merged[column.name]["min_agreement"])
        lines = [put_caption(line, column.name, content.captions.get(line["target"])) for line in lines]
    if before or merged:
        _write_merged(training, merged)
    return lines


def check_raw_columns(training: Path, own: set[str]) -> None:
    """Raise ValueError where captions of the raw data and a captioner's column have one name."""
    for column in list_columns(training):
        if column.name in own:
            raise ValueError(
                f"the raw data have captions {column.name}, as a captioner's column {column.path} is called: "
                "rename either of them"
            )


def read_merged(training: Path) -> dict[str, dict]:
    """What captions/columns.json says of the columns that were written: captioner and min_agreement."""
    path = Path(training) / FOLDER / MERGED
    if not path.is_file():
        return {}
    try:
        found = {
            name: dict(captioner=c["captioner"], min_agreement=c["min_agreement"])
            for name, c in read_json(path).items()
        }
        wanted = dict(captioner=str, min_agreement=(int, float, type(None)))
        if not all(isinstance(entry[key], kind) for entry in found.values() for key, kind in wanted.items()):
            raise TypeError("an entry has another type")
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is damaged: delete it; the next run of each captioner mends it") from error
    return found


def _write_merged(training: Path, merged: dict) -> None:
    write_atomically(Path(training) / FOLDER / MERGED, (json.dumps(merged, indent=1) + "\n").encode())


def _csv(header, rows) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()
