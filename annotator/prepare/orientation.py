"""How a photo lies in its file, as EXIF notes it."""

import struct
from typing import NamedTuple

import numpy as np
from einops import rearrange
from PIL import Image

DAMAGE = OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError  # what Pillow raises
ORIENTATION = 0x0112  # of EXIF


class Turn(NamedTuple):
    """How the stored picture lies: x and y swapped after counting x from the right, y from the bottom."""

    swapped: bool = False
    from_right: bool = False
    from_bottom: bool = False

    def stored_box(self, box: list[float], height: int, width: int) -> tuple[float, ...]:
        """Where a box (left, top, right, bottom) of the upright photo lies in the stored (height, width)."""
        left, top, right, bottom = (box[1], box[0], box[3], box[2]) if self.swapped else box
        if self.from_right:
            left, right = width - right, width - left
        if self.from_bottom:
            top, bottom = height - bottom, height - top
        return left, top, right, bottom

    def upright(self, pixels) -> np.ndarray:
        """Stored pixels (h, w, 3), turned."""
        pixels = pixels[:: -1 if self.from_bottom else 1, :: -1 if self.from_right else 1]
        return np.ascontiguousarray(rearrange(pixels, "h w c -> w h c") if self.swapped else pixels)


TURNS = {
    2: Turn(from_right=True),
    3: Turn(from_right=True, from_bottom=True),
    4: Turn(from_bottom=True),
    5: Turn(swapped=True),
    6: Turn(swapped=True, from_bottom=True),
    7: Turn(swapped=True, from_right=True, from_bottom=True),
    8: Turn(swapped=True, from_right=True),
}


def orientation_of(image: Image.Image) -> int:
    """EXIF's number for how the stored picture lies, a key of TURNS; 1 is upright."""
    if image.format == "TIFF":  # Pillow turns these itself
        return 1
    try:
        return image.getexif().get(ORIENTATION, 1)
    except DAMAGE:  # a note that can't be read says nothing; a damaged photo shows when it is decoded
        return 1
