"""The columns that captioners have written go into a folder's prompt.json, and nothing else there changes."""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path

from jobs.whole_files import write_atomically
from preparation.captions.column_files import FOLDER, Column, columns_of, current
from preparation.captions.record import AGREEMENT, agreed

KINDS = ("captions", "phrases", "scores")  # keys of a line; each holds a value by the column's name
MERGED = "columns.json"


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


def content_of(column: Column, lines: list[dict], min_agreement: float | None) -> Content:
    """What a column says of pictures as they are now; a caption without boxes has no agreement to lack."""
    records, failures = column.read()
    content = Content({}, {}, {})
    for target, line in {line["target"]: line for line in reversed(lines)}.items():
        record = current(records.get(target, []), column.training / target)
        try:
            record = record and agreed(column.training, line, record)
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


def with_caption(line: dict, column: str, record: dict | None) -> dict:
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
    table.rewrite(lambda line: with_caption(line, column.name, content.captions.get(line["target"])))


def check_owner(column: Column, lines: list[dict]) -> None:
    """Raise ValueError for a column of prompt.json that did not come from here."""
    if column.name in read_merged(column.training):
        return
    ours = {(target, record["text"]) for target, found in column.read()[0].items() for record in found}
    having = [line for line in lines if any(column.name in line.get(kind, {}) for kind in KINDS)]
    # columns.json may have been deleted
    if any((line["target"], line.get("captions", {}).get(column.name)) not in ours for line in having):
        raise ValueError(
            f"{column.training} has captions {column.name} that were not written from {column.path}: "
            "give another --column"
        )


def add_columns(training: Path, lines: list[dict]) -> list[dict]:
    """Lines of a table that is made anew, with the columns of all captioners.

    ValueError if a captioner's column is called like captions that the lines bring with them.
    """
    check_names(training, {name for line in lines for name in line["captions"]})
    before, merged = read_merged(training), {}
    for column in columns_of(training):
        fresh = dict(captioner=column.settings()["captioner"], min_agreement=None)
        merged[column.name] = before.get(column.name, fresh)
        content = content_of(column, lines, merged[column.name]["min_agreement"])
        lines = [with_caption(line, column.name, content.captions.get(line["target"])) for line in lines]
    if before or merged:
        _write_merged(training, merged)
    return lines


def check_names(training: Path, own: set[str]) -> None:
    """Raise ValueError where captions of the raw data and a captioner's column have one name."""
    for column in columns_of(training):
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
        found = json.loads(path.read_bytes())
        return {
            name: dict(captioner=c["captioner"], min_agreement=c["min_agreement"])
            for name, c in found.items()
        }
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: delete it; the next run of each captioner mends it") from error


def _write_merged(training: Path, merged: dict) -> None:
    write_atomically(Path(training) / FOLDER / MERGED, (json.dumps(merged, indent=1) + "\n").encode())


def _csv(header, rows) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()
