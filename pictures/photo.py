"""A photo's file becomes the upright RGB pixels of a crop, and a JPEG of them."""

import io
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from pictures.crops import Crop
from pictures.decoding import (
    Turn,
    blame,
    check_depth,
    decode,
    open_picture,
    put_on_white,
    read_bytes,
    turn_of,
)
from pictures.unusable import Unusable

FILTER = Image.Resampling.LANCZOS
OVERSAMPLING = 1.5  # less of it shows: more than what a JPEG of quality 95 loses
REDUCTIONS = (8, 4, 2)
SMALL = 128
# of ITU-T T.81, annex K.1, which most encoders scale by their quality
LUMA_TABLE = np.array(
    """
    16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62
    18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99
    """.split(),
    np.int64,
)


@dataclass
class Photo:
    """A photo that was opened; nothing of it is decoded before a crop is cut.

    Args:
        data: the file.
        height, width: of the upright photo.
        turn: how the stored picture lies.
        is_plain: an RGB JPEG that every reader shows the same way up.
        jpeg_quality: 1 to 100 on the scale of IJG's cjpeg, None for other formats.
        decoded_scale: by how much the photo was reduced when it was decoded for the last crop: 1, 2, 4 or 8.
    """

    data: bytes
    height: int
    width: int
    turn: Turn
    is_plain: bool
    jpeg_quality: float | None
    decoded_scale: int = 1
    _decoded: dict[int, tuple[Image.Image, int]] = field(default_factory=dict, repr=False)

    def cut(self, crop: Crop) -> np.ndarray:
        """The crop's pixels, RGB uint8 (h, w, 3); Unusable if the file is damaged.

        A JPEG is decoded in 1/2, 1/4 or 1/8 of its size if that is still 1.5 times the crop's resolution.
        """
        reduction = next((r for r in REDUCTIONS if r * OVERSAMPLING <= crop.scale), 1)
        if reduction not in self._decoded:
            self._decoded = {reduction: _decode(self.data, reduction)}
        image, self.decoded_scale = self._decoded[reduction]
        (height, width), size = (self.height, self.width), (crop.width, crop.height)
        if self.turn.swapped:
            height, width, size = width, height, size[::-1]
        box = self.turn.stored_box(crop.to_list(), height, width)
        box = tuple(side / self.decoded_scale for side in box)
        pixels = image.resize(size, FILTER, box, reducing_gap=2.0)
        return self.turn.upright(np.asarray(pixels))

    def small(self) -> np.ndarray:
        """The whole photo as it was decoded for the last crop, squeezed to RGB uint8 (SMALL, SMALL, 3)."""
        [(image, _)] = self._decoded.values()
        pixels = image.resize((SMALL, SMALL), Image.Resampling.BILINEAR, reducing_gap=2.0)
        return self.turn.upright(np.asarray(pixels))

    def encode(self, crop: Crop, pixels) -> bytes:
        """A JPEG of the crop's pixels; the file itself where that is a JPEG of exactly the crop."""
        whole = Crop(0.0, 0.0, float(self.width), float(self.height), self.height, self.width)
        if self.is_plain and crop == whole:
            return self.data
        data = io.BytesIO()
        Image.fromarray(pixels).save(data, "JPEG", quality=95, subsampling=0)
        return data.getvalue()


def open_photo(
    path: Path, height: int | None = None, width: int | None = None, upright: bool = False
) -> Photo:
    """Read a photo's file and check it as far as its header tells.

    Some tools store a photo turned, with a note in EXIF. It is turned upright as the note says, unless the
    stored picture already has the annotation's (height, width): then it was annotated as it is stored, if
    not `upright`.

    Raises:
        Unusable: with the reason, for a photo that is missing, damaged, has over 8 bits a channel or another
            size than its annotation. Damage behind the header shows in `Photo.cut`.
    """
    # unlike Path.is_file, no error where the name is too long to be a file's
    if not os.path.isfile(path):
        raise Unusable("the photo is missing")
    with blame("the photo"):
        data = read_bytes(path)
        image = open_picture(data)
        noted, stored = turn_of(image), (image.height, image.width)
        turn = Turn() if stored == (height, width) and not upright else noted
        shown = stored[::-1] if turn.swapped else stored
        if height is not None and shown != (height, width):
            raise Unusable(f"is {stored[0]} x {stored[1]}, the table says {height} x {width}")
        check_depth(image)
    is_plain = (image.format, image.mode, noted) == ("JPEG", "RGB", Turn())
    return Photo(data, *shown, turn, is_plain, jpeg_quality(getattr(image, "quantization", None)))


def jpeg_quality(tables: dict[int, list[int]] | None) -> float | None:
    """Quantization tables of a JPEG -> the quality whose luma table in cjpeg is as coarse; None without."""
    if not tables:
        return None
    qualities = np.arange(1, 101)
    percents = np.where(qualities < 50, 5000 // qualities, 200 - 2 * qualities)
    coarseness = ((percents[:, None] * LUMA_TABLE + 50) // 100).clip(1, 255).sum(axis=1)
    return float(qualities[np.abs(coarseness - sum(tables[min(tables)])).argmin()])


def _decode(data: bytes, reduction: int) -> tuple[Image.Image, int]:
    """The picture as stored, in RGB, and by how much it was reduced, as far as its format allows."""
    with blame("the photo"):
        image = open_picture(data)
        reducible = image.draft(None, (image.width // reduction, image.height // reduction))
        return put_on_white(decode(image, data)), reduction if reducible else 1
