"""Which part of a photo becomes a picture of which size: buckets of sizes, and crops led by the garments."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pictures.persons import Span, group_persons, union
from pictures.unusable import Box, Unusable

MULTIPLE = 64
ROOM_ABOVE = 2  # margins: heads are mostly not annotated
HEAD = 1 / 3  # of the highest garment's height: a head above a shirt
SAME = 0.8  # a second crop that shares more than this with the first shows nothing new


@dataclass(frozen=True)
class Crop:
    """A box of the upright photo, in its pixels, right and bottom exclusive; and the picture's size.

    The corner lies on whole pixels and sides are multiples of a quarter pixel: short decimals in JSON, and
    exact in the single precision that Pillow's resize takes. That rounding, an eighth of a pixel, is the only
    stretch.
    """

    left: float
    top: float
    right: float
    bottom: float
    height: int
    width: int

    @property
    def scale(self) -> float:
        """Pixels of the photo per pixel of the picture; under 1 the photo is blown up."""
        return min((self.right - self.left) / self.width, (self.bottom - self.top) / self.height)

    def sample_points(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows (height,) and columns (width,), int64, of the photo's pixels under the picture's pixels.

        floor(top + (i + 0.5) * (bottom - top) / height), and so for columns: where Pillow's NEAREST looks.
        """
        return _centres(self.top, self.bottom, self.height), _centres(self.left, self.right, self.width)

    def to_list(self) -> list[float]:
        """[left, top, right, bottom]"""
        return [self.left, self.top, self.right, self.bottom]


def _centres(start: float, end: float, num: int) -> np.ndarray:
    steps = np.full(num, (end - start) / num)
    steps[0] = start + steps[0] * 0.5
    # added up one by one as Pillow does it: a product would round differently where a centre is on an edge
    return np.floor(np.cumsum(steps)).astype(np.int64)


def list_buckets(size: int = 512, square: bool = False, max_aspect: float = 2.0) -> list[tuple[int, int]]:
    """All (height, width) of nearly size * size pixels, sorted.

    For every multiple of 64 as the short side, the long one is the largest multiple of 64 that keeps the area
    within size * size; both ways round, up to max_aspect : 1. `square` leaves only (size, size).
    """
    if size < MULTIPLE or size % MULTIPLE:
        raise ValueError(f"size must be a multiple of {MULTIPLE}, got {size}")
    num, found = size // MULTIPLE, {(size, size)}
    for short in range(1, num):
        long = num * num // short
        if not square and long <= max_aspect * short:
            found |= {(long * MULTIPLE, short * MULTIPLE), (short * MULTIPLE, long * MULTIPLE)}
    return sorted(found)


def choose_crops(
    height: int,
    width: int,
    boxes: list[Box],
    buckets: Sequence[tuple[int, int]],
    margin: float,
    max_upscale: float,
    second_crop: bool = False,
) -> list[Crop]:
    """The crop of a photo (height, width) around all garments, and perhaps one around its largest person.

    The garments' common box is grown by margin * its longer side, and upwards, where a head may be that
    nobody annotates, by twice that or a third of the highest garment. In every bucket's aspect the smallest
    box around it is taken that lies inside the photo and is not blown up; a photo too small for that is blown
    up by max_upscale at most. Of these crops the one is chosen that keeps most of the garments, then most of
    the grown box, then is blown up least, then shows the garments largest. Without boxes it is the largest,
    central one. Unusable is raised for a photo too small for every bucket. Without margin nothing is grown.

    Args:
        boxes: what is painted, in pixels of the photo.
        second_crop: add one around the largest person where there are two or more (see group_persons).
    """
    fitting = [bucket for bucket in buckets if max_upscale * _largest(height, width, bucket) >= bucket[1]]
    if not fitting:
        needed, bucket = min((b[1] / _largest(height, width, b), b) for b in buckets)
        raise Unusable(
            f"tiny: the photo is {height} x {width} and would be blown up {needed:.2f} times "
            f"to {bucket[0]} x {bucket[1]}, {max_upscale:g} times at most is wanted: "
            "choose a smaller --size or a larger --max-upscale"
        )
    spans = [Span(box.left, box.top, box.right, box.bottom) for box in boxes] or [Span(0, 0, width, height)]
    crops = [_best_crop(height, width, spans, fitting, margin)]
    persons = group_persons(spans) if second_crop else []
    if len(persons) > 1:
        crop = _best_crop(height, width, persons[0], fitting, margin)
        first, second = Span(*crops[0].to_list()), Span(*crop.to_list())
        shared = first.shared(second)
        if shared < SAME * (first.area + second.area - shared):
            crops.append(crop)
    return crops


def _largest(height: int, width: int, bucket: tuple[int, int]) -> float:
    """Width of the largest box of a bucket's aspect in a photo."""
    return min(width, height * bucket[1] / bucket[0])


def _best_crop(height: int, width: int, spans: list[Span], fitting, margin: float) -> Crop:
    person, photo = union(spans), Span(0, 0, width, height)
    room = margin * max(person.width, person.height)
    highest = min(spans, key=lambda span: (span.top, -span.height))
    above = max(ROOM_ABOVE * room, HEAD * highest.height) if margin else 0
    grown = person.grown(room, above, room, room).within(photo)
    crops = [_crop_of(photo, person, grown, bucket) for bucket in fitting]
    area = sum(span.area for span in spans)

    def merit(crop: Crop):
        box = Span(*crop.to_list())
        kept = sum(span.shared(box) for span in spans) / area
        sharpness = round(min(crop.scale, 1), 2)
        return (
            round(kept, 2),
            round(grown.shared(box) / grown.area, 2),
            sharpness,
            person.shared(box) / box.area,
        )

    return max(crops, key=merit)


def _crop_of(photo: Span, person: Span, grown: Span, bucket: tuple[int, int]) -> Crop:
    """The smallest box of a bucket's aspect that holds the grown box as far as the photo has it."""
    largest = _largest(photo.height, photo.width, bucket)
    wanted = max(grown.width, grown.height * bucket[1] / bucket[0], bucket[1])
    box_width = _quarters(min(wanted, largest))
    box_height = _quarters(min(wanted, largest) * bucket[0] / bucket[1])
    left = _start(box_width, (person.left, person.right), (grown.left, grown.right), photo.width)
    top = _start(box_height, (person.top, person.bottom), (grown.top, grown.bottom), photo.height)
    return Crop(left, top, left + box_width, top + box_height, *bucket)


def _quarters(length: float) -> float:
    return round(length * 4) / 4


def _start(length: float, person, grown, limit: float) -> float:
    """Where a side of a crop begins: central to the grown box, the person in it, on a whole pixel."""
    start = (grown[0] + grown[1] - length) / 2
    if length >= person[1] - person[0]:
        start = min(max(start, person[1] - length), person[0])
    else:
        start = (person[0] + person[1] - length) / 2
    return float(min(max(round(start), 0), int(limit - length)))
