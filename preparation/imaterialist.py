"""A raw iMaterialist (Fashion) 2019 folder: train.csv, label_descriptions.json, train/, captions.csv."""

import csv
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from annotator.imaterialist import (
    Place,
    Row,
    find_painted_boxes,
    garment_words,
    index_annotations,
    read_rows,
    region_map_at,
)
from pictures.regions import Regions
from pictures.unusable import Box, Rejection, Unusable
from preparation.examples import Example

GARMENTS = "garments"  # the caption source that annotations give


@dataclass
class GarmentAnnotation:
    """The good rows of a photo, see example.Annotation."""

    rows: list[Row]
    regions: Regions
    rejected: list[Rejection]
    incomplete: str

    @property
    def height(self) -> int:
        return self.rows[0].height

    @property
    def width(self) -> int:
        return self.rows[0].width

    @cached_property
    def boxes(self) -> list[Box]:
        return [Box(*box) for box in find_painted_boxes(self.rows, self.regions)]

    @cached_property
    def captions(self) -> dict[str, str]:
        words = garment_words(self.rows)
        return {GARMENTS: words} if words else {}

    @property
    def num_painted(self) -> int:
        return sum(self.regions.paints(row.category) for row in self.rows)

    @property
    def num_unpainted(self) -> int:
        return len(self.rows) - self.num_painted

    def draw(self, crop) -> np.ndarray:
        """The region ids of a crop, uint8 (h, w)."""
        return region_map_at(self.rows, crop, self.regions)


@dataclass(frozen=True, kw_only=True)
class GarmentExample(Example):
    """A photo, where its rows lie in train.csv, and its rows that were found wrong without their masks."""

    train_csv: Path
    places: tuple[Place, ...]
    wrong: tuple[Rejection, ...]
    regions: Regions

    def annotation(self) -> GarmentAnnotation:
        """Read the rows; Unusable if none of them can be used."""
        rows, rejected = read_rows(self.train_csv, self.places)
        faults = sorted([*self.wrong, *rejected], key=lambda rejection: rejection.line)
        if not rows:
            raise Unusable(f"none of its rows can be used: {_lines(faults)}", rejected)
        # a map that lacks one of its garments would teach that garments may be ignored
        missing = [r for r in faults if r.category is None or self.regions.paints(r.category)]
        return GarmentAnnotation(rows, self.regions, rejected, _lines(missing))


def _lines(rejections: list[Rejection]) -> str:
    return "; ".join(f"line {rejection.line}: {rejection.reason}" for rejection in rejections)


class IMaterialist:
    """The examples of a raw folder in train.csv's order, see example.Source.

    Captions come from captions.csv where there is one: beside the column ImageId, every column is a source of
    captions. A folder that lacks a file, or a file that is none of the 2019 edition, is an error.
    """

    def __init__(self, raw, regions: Regions):
        raw = Path(raw)
        for name in ("train.csv", "label_descriptions.json", "train"):
            if not (raw / name).exists():
                raise FileNotFoundError(f"{raw / name} is missing: a raw iMaterialist folder holds it")
        self.names, self.colours, self.regions_yaml = regions.names, regions.colours, regions.to_yaml()
        index = index_annotations(raw / "train.csv", raw / "label_descriptions.json")
        self.num_rows = index.total_rows
        wrong = {}
        for rejection in index.rejected:
            wrong.setdefault(rejection.image, []).append(rejection)
        photos = {name for name in os.listdir(raw / "train") if not name.startswith(".")}
        reason = "no row in train.csv annotates this photo"
        unknown = sorted(photos - index.places.keys() - wrong.keys())
        unknown = [name for name in unknown if not os.path.isdir(raw / "train" / name)]
        # a name that is no UTF-8 has its bytes spelt out
        unknown = [os.fsencode(name).decode(errors="backslashreplace") for name in unknown]
        self.rejected = [*index.rejected, *(Rejection(name, 0, reason) for name in unknown)]
        # a photo with nothing but wrong rows is an example, which says so
        images = [*index.places, *(name for name in wrong if name in photos and name not in index.places)]
        captions = read_captions(raw / "captions.csv", images)
        self.examples = [
            GarmentExample(
                name=Path(image).stem,
                photo=raw / "train" / image,
                captions=captions.get(image, {}),
                lines=tuple(place.line for place in index.places.get(image, ())),
                train_csv=raw / "train.csv",
                places=tuple(index.places.get(image, ())),
                wrong=tuple(wrong.get(image, ())),
                regions=regions,
            )
            for image in images
        ]


def read_captions(path: Path, images: Iterable[str]) -> dict[str, dict[str, str]]:
    """{source: caption} by image, of a csv with the column ImageId and one column per source.

    Empty captions are left out, as are columns without a name, which pandas writes; of doubles the first
    counts. {} if there is no such file. Lines on none of the images are told of; ValueError if all are.
    """
    if not path.exists():
        return {}
    captions = {}
    # spreadsheets begin the file with a byte order mark
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        try:
            sources = _caption_sources(path, reader.fieldnames or [])
            for entry in reader:
                if None in entry:
                    raise ValueError(
                        f"{path}: line {reader.line_num} has more than {len(reader.fieldnames)} fields: "
                        'put captions with commas into "quotes"'
                    )
                known = captions.setdefault(entry["ImageId"], {})
                for source in sources:
                    if text := " ".join((entry[source] or "").split()):
                        known.setdefault(source, text)
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{path} must be a csv file in UTF-8: {error}") from error
    _tell_unknown(path, captions, set(images))
    return captions


def _tell_unknown(path: Path, captions: dict, images: set[str]) -> None:
    unknown = [image for image in captions if image not in images]
    if unknown and images:
        text = f"{path}: {len(unknown)} of {len(captions)} images are not here, such as {unknown[0]!r}"
        if len(unknown) == len(captions):
            raise ValueError(f"{text}: ImageId must be a photo's name, such as {min(images)!r}")
        print(f"{text}; their captions are not used", flush=True)


def _caption_sources(path: Path, columns: list[str]) -> list[str]:
    sources = [name for name in columns if name and name != "ImageId" and not name.startswith("Unnamed:")]
    if "ImageId" not in columns or not sources:
        raise ValueError(
            f"{path} must have a column ImageId and one for each source of captions, "
            f"it has {', '.join(columns)[:200]}"
        )
    twice = [name for name in columns if columns.count(name) > 1 and name]
    if twice:
        raise ValueError(f"{path} has two columns {twice[0]}: rename one")
    if GARMENTS in sources:
        raise ValueError(f"{path}: captions named {GARMENTS} are made from train.csv; rename that column")
    return sources
