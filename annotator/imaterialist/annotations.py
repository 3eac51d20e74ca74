"""Read iMaterialist (Fashion) 2019's train.csv and label_descriptions.json; say what is wrong in them."""

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path

from .rle import rle_runs

COLUMNS = ["ImageId", "EncodedPixels", "Height", "Width", "ClassId"]
NUM_CATEGORIES, NUM_ATTRIBUTES = 46, 92
LONGEST_SIDE = 65535  # of a JPEG


@dataclass(frozen=True)
class Row:
    """One annotated thing: its mask as RLE text for height x width, its category and attributes."""

    image: str
    rle: str
    height: int
    width: int
    category: int
    attributes: tuple[int, ...]


@dataclass(frozen=True)
class Rejection:
    """Something that is not used: the image, the line of train.csv (0: the image as a whole), and why."""

    image: str
    line: int
    reason: str


@dataclass
class Annotations:
    """Rows by image, in the file's order; rows that are wrong; names of categories and attributes by id."""

    images: dict[str, list[Row]] = field(default_factory=dict)
    rejected: list[Rejection] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)
    attributes: list[str] = field(default_factory=list)


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


def read_annotations(train_csv, label_descriptions) -> Annotations:
    """All rows of train.csv by image. Rows that can't be right are collected in `rejected`, with the reason.

    Every RLE is parsed and checked, none is decoded. A wrong file (other columns, the 2020 edition, a
    truncated label file) raises ValueError.
    """
    categories, attributes = read_labels(label_descriptions)
    found = Annotations(categories=categories, attributes=attributes)
    # an RLE may be longer than csv's limit of 131072 characters
    csv.field_size_limit(2**31 - 1)
    for line, entry in read_csv(train_csv, _check_columns):
        try:
            row = _read_row(entry)
            _check_size(row, found.images.get(row.image))
        except ValueError as error:
            found.rejected.append(Rejection(entry["ImageId"] or "", line, str(error)))
        else:
            found.images.setdefault(row.image, []).append(row)
    return found


def read_csv(path, check_columns):
    """(line, {column: text}) of each row of a csv file, once `check_columns(path, columns)` has passed."""
    # spreadsheets begin the file with a byte order mark
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        try:
            check_columns(path, reader.fieldnames or [])
            for entry in reader:
                yield reader.line_num, entry
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{path} must be a csv file in UTF-8: {error}") from error


def _check_columns(train_csv, columns: list[str]) -> None:
    if "AttributesIds" in columns:
        raise ValueError(
            f"{train_csv} has a column AttributesIds: that is iMaterialist 2020, with other attribute ids; "
            "take train.csv of the 2019 edition"
        )
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise ValueError(f"{train_csv} lacks the columns {', '.join(missing)}; it has {', '.join(columns)}")


def _read_row(entry: dict) -> Row:
    """One row of train.csv; ValueError says what is wrong with it."""
    if None in entry or None in entry.values():
        raise ValueError(f"the row must have {len(COLUMNS)} fields")
    image = entry["ImageId"]
    if image != Path(image).name or not image.endswith(".jpg"):
        raise ValueError(f"ImageId must be the name of a .jpg file, got {image!r}")
    numbers = {}
    for name in ("Height", "Width"):
        if not entry[name].isdecimal() or not 0 < int(entry[name]) <= LONGEST_SIDE:
            raise ValueError(f"{name} must be a whole number from 1 to {LONGEST_SIDE}, got {entry[name]!r}")
        numbers[name] = int(entry[name])
    category, *attributes = _read_class(entry["ClassId"])
    rle_runs(entry["EncodedPixels"], numbers["Height"], numbers["Width"])
    size = numbers["Height"], numbers["Width"]
    return Row(image, entry["EncodedPixels"], *size, category, tuple(attributes))


def _read_class(text: str) -> list[int]:
    """[category id, attribute ids...] of a ClassId such as 6_8_20."""
    words = text.split("_")
    if not all(word.isdecimal() for word in words):
        raise ValueError(f"ClassId must look like 6 or 6_8_20, got {text!r}")
    category, *attributes = map(int, words)
    if category >= NUM_CATEGORIES:
        raise ValueError(f"ClassId {text!r}: there is no category {category}")
    unknown = [a for a in attributes if a >= NUM_ATTRIBUTES]
    if unknown:
        raise ValueError(f"ClassId {text!r}: there is no attribute {unknown[0]}")
    return [category, *attributes]


def _check_size(row: Row, others: list[Row] | None) -> None:
    if others and (row.height, row.width) != (others[0].height, others[0].width):
        raise ValueError(
            f"size {row.height} x {row.width} does not match {others[0].height} x {others[0].width} "
            "of the image's first row"
        )
