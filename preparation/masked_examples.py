"""Photos whose masks are files of their own."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pictures.masks import mask_colours, open_mask, region_boxes, region_ids
from pictures.unusable import Box, Rejection
from preparation.examples import Example


@dataclass(frozen=True)
class MaskedExample(Example):
    """A photo with a mask in a file.

    `target` is how the table names the photo, `colours` are those of region maps by id, None for pictures.
    """

    target: str = ""
    mask: Path = Path()
    colours: tuple[tuple[int, int, int], ...] | None = None

    @property
    def title(self) -> str:
        return self.target

    def files(self) -> list[Path]:
        return [self.photo, self.mask]

    def annotation(self) -> "Mask":
        image = open_mask(self.mask)
        if self.colours is None:
            return Mask(mask_colours(image), [])
        ids = region_ids(image, self.colours)
        return Mask(ids, region_boxes(ids))


@dataclass
class Mask:
    """Region ids uint8 (h, w) or a picture uint8 (h, w, 3), and the regions' boxes."""

    pixels: np.ndarray
    boxes: list[Box]
    rejected: list[Rejection] = field(default_factory=list)
    incomplete: str = ""
    captions: dict[str, str] = field(default_factory=dict)
    num_painted: int = 1
    num_unpainted: int = 0

    @property
    def height(self) -> int:
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        return self.pixels.shape[1]

    def draw(self, crop) -> np.ndarray:
        return self.pixels[np.ix_(*crop.sample_points())]
