"""The tables of a run: csv files with a row per step or measurement, for its report and for anybody else."""

import csv
import io
from pathlib import Path

from jobs.whole_files import write_atomically


def read_rows(path) -> list[dict]:
    """The rows of a csv file as texts by column; none if it does not exist. Damaged rows are left out."""
    if not Path(path).exists():
        return []
    with open(path, newline="", encoding="utf-8", errors="replace") as file:
        rows = list(csv.DictReader(file))
    return [row for row in rows if (row.get("step") or "").isdecimal() and all(map(is_number, row.values()))]


def is_number(text) -> bool:
    """Whether a cell holds a number, or nothing; what lies beyond a row's end is None or a list."""
    try:
        float("nan" if text == "" else text)
    except (TypeError, ValueError):
        return False
    return True


def column(rows, name) -> list[float]:
    """A column of rows as numbers, nan where nothing is written."""
    return [float(row.get(name) or "nan") for row in rows]


def write_rows(path, rows, columns):
    """Replace a table at once."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())


def append_rows(path, rows, columns):
    """Add rows at the end of a table that `write_rows` has begun."""
    with open(path, "a", newline="", encoding="utf-8") as file:
        csv.DictWriter(file, columns, lineterminator="\n").writerows(rows)


def record(path, row):
    """Add a row, in place of those of its step or later. The table gets the columns of the new row."""
    # other held-out maps, measured before the run was resumed, may have had other regions
    rows = [former for former in read_rows(path) if int(former["step"]) < row["step"]]
    write_rows(path, [*rows, row], list(row))


def forget_after(path, step):
    """Drop the rows beyond a step, which will be made again."""
    rows = read_rows(path)
    kept = [row for row in rows if int(row["step"]) <= step]
    if len(kept) < len(rows):
        write_rows(path, kept, list(rows[0]))
