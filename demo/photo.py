"""Photos that people upload: upright RGB pixels of a bounded size, or an error in plain words."""

import hashlib

import numpy as np
from PIL import Image

from pictures.decoding import decode, open_picture, put_on_white, read_bytes, turn_of
from pictures.painted_maps import MAX_ASPECT
from pictures.unusable import Unusable

MAX_PIXELS, KEPT_SIDE = 50_000_000, 2048
DEEP_MODES = "I", "F", "I;16", "I;16B", "I;16L"
NO_PICTURE = "The {} is no picture that can be read, or it is damaged: save it as JPEG or PNG."


def read_photo(path, name="photo"):
    """A photo file -> uint8 (h, w, 3), the way up that its camera noted, on white where it is transparent.

    Sides longer than 2048 pixels are scaled down. Errors call it by `name`.
    """
    try:
        data = read_bytes(path)
        image = open_picture(data)
        _check(image, name)
        turn = turn_of(image)
        image.draft("RGB", (KEPT_SIDE, KEPT_SIDE))  # lets a JPEG be decoded small
        image = put_on_white(decode(image, data))
        image.thumbnail((KEPT_SIDE, KEPT_SIDE), Image.Resampling.LANCZOS)
        return turn.upright(np.asarray(image))
    except Unusable as error:
        too_large = isinstance(error.__cause__, Image.DecompressionBombError)
        raise ValueError(_too_large(name, "far more") if too_large else NO_PICTURE.format(name)) from error


def _check(image, name):
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ValueError(_too_large(name, f"{width} x {height}"))
    if max(width, height) > MAX_ASPECT * min(width, height) or min(width, height) < 16:
        raise ValueError(
            f"The {name} is {width} x {height} pixels: wanted are 16 pixels a side or more, and one side at "
            f"most {MAX_ASPECT} times the other."
        )
    # a telephone's JPEG may hold a second picture for other uses, which makes it no animation
    if getattr(image, "n_frames", 1) > 1 and image.format not in ("JPEG", "MPO"):
        raise ValueError(f"The {name} is an animation ({image.format}): save one picture of it as PNG.")
    if image.mode in DEEP_MODES:
        raise ValueError(f"The {name} has 16 bits or more a colour: save it with 8, as JPEG or PNG.")


def _too_large(name, said):
    return f"The {name} has {said} pixels: at most {MAX_PIXELS // 10**6} million are read, scale it down."


def digest_of(array) -> str:
    """The start of the SHA-256 of an array's bytes and shape."""
    return hashlib.sha256(str(array.shape).encode() + array.tobytes()).hexdigest()[:16]
