"""Rows of a raw folder, read without any check, and a smaller raw folder of some of its photos."""

from pathlib import Path

import numpy as np


def read_rows(train_csv: Path) -> dict[str, list[list[str]]]:
    """The fields of all rows by image."""
    rows = {}
    for line in train_csv.read_text().splitlines()[1:]:
        fields = line.split(",")
        rows.setdefault(fields[0], []).append(fields)
    return rows
