"""Photos that can't be used, and why; and where garments lie in those that can."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Rejection:
    """Something that is not used: the image, the line of train.csv (0: the image as a whole), and why.

    `category` is the row's where that is known.
    """

    image: str
    line: int
    reason: str
    category: int | None = None


class Unusable(ValueError):
    """A photo as a whole can't be prepared; the message is the reason that rejected.csv gives.

    `rejected` are the rows whose own reasons lead to it.
    """

    def __init__(self, reason: str, rejected: Iterable[Rejection] = ()):
        super().__init__(reason)
        self.rejected = list(rejected)


@dataclass(frozen=True)
class Box:
    """A garment's bounding box in pixels, right and bottom exclusive, and its region id."""

    left: float
    top: float
    right: float
    bottom: float
    region: int
