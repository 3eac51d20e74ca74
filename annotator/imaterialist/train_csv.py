"""train.csv of iMaterialist (Fashion) 2019: indexed once without its masks, rows read where they lie."""

import csv
import re
from collections import Counter
from collections.abc import Iterable
from functools import cache

from annotator.imaterialist.annotations import Index, Place, Row, read_labels
from pictures.regions import NUM_ATTRIBUTES, NUM_CATEGORIES
from pictures.unusable import Rejection

COLUMNS = ["ImageId", "EncodedPixels", "Height", "Width", "ClassId"]
LONGEST_SIDE = 65535  # of a JPEG
# no folder, nothing hidden, nothing that a file system or a terminal stumbles over
IMAGE_NAME = re.compile(r"[^./\\\x00-\x1f\ufffd][^/\\\x00-\x1f\ufffd]*\.jpg")


def index_annotations(train_csv, label_descriptions) -> Index:
    """Where the rows of train.csv lie, by image, and all of them but their masks.

    Rows that can't be right are collected in `rejected`, with the reason; `read_rows` does so for the masks.
    A wrong file (other columns, the 2020 edition, a truncated label file) raises ValueError.
    """
    categories, attributes = read_labels(label_descriptions)
    index = Index(categories=categories, attributes=attributes)
    # rows share the few thousand sizes and classes that there are
    read_size, read_class = cache(_read_size), cache(_read_class)
    with open(train_csv, "rb") as file:
        header = file.readline()
        columns = _read_columns(train_csv, header)
        for line, offset, content in _lines(file, len(header)):
            values = _split(content)
            fields = dict(zip(columns, values, strict=False))
            image = fields.get("ImageId", "")
            index.total_rows += 1
            try:
                if len(values) != len(columns):
                    raise ValueError(f"the row must have {len(columns)} fields, it has {len(values)}")
                if image not in index.places and not IMAGE_NAME.fullmatch(image):
                    raise ValueError(f"ImageId must be the name of a .jpg file, got {_shorten(image)}")
                height, width = read_size(fields["Height"], fields["Width"])
                category, attributes = read_class(fields["ClassId"])
                place = Place(
                    line=line,
                    offset=offset,
                    height=height,
                    width=width,
                    category=category,
                    attributes=attributes,
                )
            except ValueError as error:
                index.rejected.append(_reject(fields, line, str(error)))
            else:
                index.places.setdefault(image, []).append(place)
    _reject_other_sizes(index)
    index.rejected.sort(key=lambda rejection: rejection.line)
    return index


def read_rows(train_csv, places: Iterable[Place]) -> tuple[list[Row], list[Rejection]]:
    """The rows at these places of the file that was indexed, and those whose masks are wrong."""
    rows, rejected = [], []
    with open(train_csv, "rb") as file:
        columns = _read_columns(train_csv, file.readline())
        for place in places:
            file.seek(place.offset)
            fields = dict(zip(columns, _split(file.readline()), strict=True))
            row = Row(
                image=fields["ImageId"],
                rle=fields["EncodedPixels"],
                height=place.height,
                width=place.width,
                category=place.category,
                attributes=place.attributes,
            )
            try:
                # parsed once: the row keeps it
                _ = row.runs
            except ValueError as error:
                rejected.append(Rejection(row.image, place.line, str(error), place.category))
            else:
                rows.append(row)
    return rows, rejected


def _lines(file, offset: int):
    """(number, offset, content) of each line from the second on that is not empty."""
    for number, content in enumerate(file, 2):
        if content.strip():
            yield number, offset, content
        offset += len(content)


def _split(content: bytes) -> list[str]:
    """The fields of one line; a quote that is not closed there makes them too few."""
    # what is no UTF-8 shows up as a wrong ImageId, size, class or mask
    text = content.decode(errors="replace").rstrip("\r\n")
    if '"' not in text:
        return text.split(",")
    # an RLE may be longer than csv's limit of 131072 characters
    csv.field_size_limit(2**31 - 1)
    return next(csv.reader([text]))


def _read_columns(train_csv, header: bytes) -> list[str]:
    try:
        # spreadsheets begin the file with a byte order mark
        columns = _split(header.decode("utf-8-sig").encode())
    except UnicodeDecodeError as error:
        raise ValueError(f"{train_csv} must be a csv file in UTF-8: {error}") from error
    if "AttributesIds" in columns:
        raise ValueError(
            f"{train_csv} has a column AttributesIds: that is iMaterialist 2020, with other attribute ids; "
            "take train.csv of the 2019 edition"
        )
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        has = ", ".join(columns)[:200]
        raise ValueError(f"{train_csv} lacks the columns {', '.join(missing)}; it has {has}")
    return columns


def _read_size(*texts: str) -> list[int]:
    """Height and width."""
    for name, text in zip(("Height", "Width"), texts, strict=True):
        if not re.fullmatch("[0-9]{1,5}", text) or not 0 < int(text) <= LONGEST_SIDE:
            raise ValueError(f"{name} must be a whole number from 1 to {LONGEST_SIDE}, got {_shorten(text)}")
    return [int(text) for text in texts]


def _read_class(text: str) -> tuple[int, tuple[int, ...]]:
    """Category id and attribute ids of a ClassId such as 6_8_20."""
    if not re.fullmatch("[0-9]{1,5}(_[0-9]{1,5})*", text):
        raise ValueError(f"ClassId must look like 6 or 6_8_20, got {_shorten(text)}")
    category, *attributes = map(int, text.split("_"))
    if category >= NUM_CATEGORIES:
        raise ValueError(f"ClassId {_shorten(text)}: there is no category {category}")
    unknown = [a for a in attributes if a >= NUM_ATTRIBUTES]
    if unknown:
        raise ValueError(f"ClassId {_shorten(text)}: there is no attribute {unknown[0]}")
    return category, tuple(attributes)


def _shorten(text: str) -> str:
    """Enough of a text to recognise it, which a mask in a wrong column would not be."""
    return repr(text if len(text) <= 60 else text[:60] + "...")


def _reject(fields: dict[str, str], line: int, reason: str) -> Rejection:
    known = re.match("[0-9]{1,2}(?![0-9])", fields.get("ClassId", ""))
    category = int(known[0]) if known and int(known[0]) < NUM_CATEGORIES else None
    return Rejection(fields.get("ImageId", "")[:200], line, reason, category)


def _reject_other_sizes(index: Index) -> None:
    """Reject the rows whose size is not the one that most of their image's rows give."""
    for image, places in index.places.items():
        sizes = Counter((place.height, place.width) for place in places)
        if len(sizes) == 1:
            continue
        [(size, _)] = sizes.most_common(1)
        for place in places:
            if (place.height, place.width) != size:
                reason = (
                    f"size {place.height} x {place.width} does not match {size[0]} x {size[1]} "
                    "of the image's other rows"
                )
                index.rejected.append(Rejection(image, place.line, reason, place.category))
        index.places[image] = [place for place in places if (place.height, place.width) == size]
