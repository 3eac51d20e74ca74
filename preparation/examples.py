"""What a source of photos gives: examples, their annotations, and why one can't be used."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from pictures.unusable import Box, Rejection


class Annotation(Protocol):
    """What is known of one upright photo, before any mask is decoded.

    `height` and `width` are the photo's as annotated, None where the annotation does not say. `boxes` are the
    bounding boxes of all that will be painted; empty where the map is a picture or has no garment.
    `rejected` are rows that can't be used; `incomplete` says why the map lacks something, "" if it does not.
    `captions` join the example's, {} where the annotation tells nothing. `num_painted` good rows have a
    region in the map, `num_unpainted` have none and only captions speak of them.
    """

    height: int | None
    width: int | None
    boxes: list[Box]
    rejected: list[Rejection]
    incomplete: str
    captions: dict[str, str]
    num_painted: int
    num_unpainted: int

    def draw(self, crop) -> np.ndarray:
        """The map of a geometry.Crop, in its size: region ids uint8 (h, w) or a picture uint8 (h, w, 3)."""


@dataclass(frozen=True)
class Example(ABC):
    """One photo and its annotation's whereabouts: small, picklable, nothing decoded.

    `name` is unique and becomes source/NAME.png and target/NAME.jpg; `lines` are the lines of the table that
    annotate it; `upright`: it was annotated the way up that its EXIF notes.
    """

    name: str
    photo: Path
    captions: dict[str, str] = field(default_factory=dict)
    lines: tuple[int, ...] = ()
    upright: bool = False

    @property
    def title(self) -> str:
        """What tables call the photo."""
        return self.photo.name

    def files(self) -> list[Path]:
        """The files that are this example's alone: where one changes, what was rejected is tried again."""
        return [self.photo]

    @abstractmethod
    def annotation(self) -> Annotation:
        """Read and check what is annotated; Unusable says why nothing is."""


class Source(Protocol):
    """A raw data set: its examples in a fixed order, what was wrong already, and what its maps mean.

    `names`, `colours` (r, g, b) by region id and `regions_yaml` are None where maps are pictures. `num_rows`
    counts the table's rows, 0 where there is no table.
    """

    examples: list[Example]
    rejected: list[Rejection]
    names: tuple[str, ...] | None
    colours: tuple[tuple[int, int, int], ...] | None
    regions_yaml: bytes | None
    num_rows: int
