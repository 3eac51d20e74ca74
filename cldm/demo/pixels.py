"""Arrays as files: palette maps as PNG, maps at the painter's size, and what tells one array from another."""

import hashlib
import io

import numpy as np
from PIL import Image

from cldm.painting import resized, working_size

CANVAS = 512  # short side of the painter


def palette_png(ids, encoder) -> bytes:
    """Region ids uint8 (h, w) as a palette PNG in the encoder's colours, as a training folder's maps."""
    image, buffer = Image.fromarray(ids), io.BytesIO()
    image.putpalette([value for colour in encoder.colours for value in colour])
    image.save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def on_canvas(ids, longest_short_side: int = CANVAS):
    """Region ids uint8 (h, w) with a short side between CANVAS and another number of pixels."""
    working_size(ids.shape, CANVAS)  # says so if one side is far longer than the other
    short = min(ids.shape)
    scale = min(max(short, CANVAS), longest_short_side) / short
    return resized(ids, tuple(round(side * scale) for side in ids.shape))


def painted_again(painted, ids, resolution: int):
    """What gives a request's map `ids` again: the painted map as the painter shows it, or else `ids`.

    The former is finer, where pictures are small; it is another map where a program has sent a larger one.
    """
    shown = on_canvas(painted)
    same = np.array_equal(resized(shown, working_size(shown.shape, resolution)), ids)
    return shown if same else ids


def digest_of(array) -> str:
    """The start of the SHA-256 of an array's bytes and shape."""
    return hashlib.sha256(str(array.shape).encode() + array.tobytes()).hexdigest()[:16]
