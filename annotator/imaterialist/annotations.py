"""What iMaterialist (Fashion) 2019's files hold: labels, annotated things, and what is wrong with some."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from .rle import rle_runs

NUM_CATEGORIES, NUM_ATTRIBUTES = 46, 92


@dataclass(frozen=True)
class Row:
    """One annotated thing: its mask as RLE text for height x width, its category and attributes."""

    image: str
    rle: str
    height: int
    width: int
    category: int
    attributes: tuple[int, ...]

    @cached_property
    def runs(self):
        """The mask as runs (starts, ends), see rle.py; ValueError for a wrong text."""
        return rle_runs(self.rle, self.height, self.width)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row of train.csv lies, its line and that line's offset in bytes, and all but image and mask."""

    line: int
    offset: int
    height: int
    width: int
    category: int
    attributes: tuple[int, ...]


@dataclass(frozen=True)
class Rejection:
    """Something that is not used: the image, the line of train.csv (0: the image as a whole), and why.

    `category` is the row's where that is known.
    """

    image: str
    line: int
    reason: str
    category: int | None = None


@dataclass
class Index:
    """Names of categories and attributes by id; places by image, in the file's order; rows that are wrong."""

    categories: list[str]
    attributes: list[str]
    places: dict[str, list[Place]] = field(default_factory=dict)
    rejected: list[Rejection] = field(default_factory=list)
    total_rows: int = 0


def read_labels(path) -> tuple[list[str], list[str]]:
    """The 46 category names and 92 attribute names of a label_descriptions.json, each at its id."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    names = []
    for key, count in (("categories", NUM_CATEGORIES), ("attributes", NUM_ATTRIBUTES)):
        entries = content.get(key) if isinstance(content, dict) else None
        entries = [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []
        if [entry.get("id") for entry in entries if "name" in entry] != list(range(count)):
            raise ValueError(
                f"{path} must list {count} {key} with ids 0 to {count - 1}, it lists {len(entries)}: "
                "take the complete file of iMaterialist (Fashion) 2019"
            )
        names.append([entry["name"] for entry in entries])
    return names[0], names[1]
