"""Photos that people upload: upright RGB pixels of a bounded size, or an error in plain words."""

import hashlib

import numpy as np
from PIL import Image

from pictures.decoding import decode, open_picture, put_on_white, read_bytes, turn_of
from pictures.painted_maps import MAX_ASPECT, resized, working_size
from pictures.region_maps import encode_map
from pictures.unusable import Unusable

MAX_PIXELS, KEPT_SIDE = 50_000_000, 2048
SAME_SHAPE = 0.03  # share by which the aspects of a photo and its map may differ
DEEP_MODES = "I", "F", "I;16", "I;16B", "I;16L"
NO_PICTURE = "The photo is no picture that can be read, or it is damaged: save it as JPEG or PNG."


def read_photo(path):
    """A photo file -> uint8 (h, w, 3), the way up that its camera noted, on white where it is transparent.

    Sides longer than 2048 pixels are scaled down.
    """
    try:
        data = read_bytes(path)
        image = open_picture(data)
        _check(image)
        turn = turn_of(image)
        image.draft("RGB", (KEPT_SIDE, KEPT_SIDE))  # lets a JPEG be decoded small
        image = put_on_white(decode(image, data))
        image.thumbnail((KEPT_SIDE, KEPT_SIDE), Image.Resampling.LANCZOS)
        return turn.upright(np.asarray(image))
    except Unusable as error:
        too_large = isinstance(error.__cause__, Image.DecompressionBombError)
        raise ValueError(_too_large("far more") if too_large else NO_PICTURE) from error


def fit_photo(photo, shape, size):
    """A photo uint8 (h, w, 3) at the size (H, W) of a map that was painted with `shape` (h, w)."""
    (h, w), (map_h, map_w) = photo.shape[:2], shape
    if abs(h * map_w / (w * map_h) - 1) > SAME_SHAPE:
        raise ValueError(
            f"The photo is {w} x {h} pixels, the map {map_w} x {map_h}: not of one shape. Let the garments "
            "be found in the photo, or upload a map that was made of it."
        )
    return np.asarray(Image.fromarray(photo).resize(size[::-1], Image.Resampling.LANCZOS))


def _check(image):
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ValueError(_too_large(f"{width} x {height}"))
    if max(width, height) > MAX_ASPECT * min(width, height) or min(width, height) < 16:
        raise ValueError(
            f"The photo is {width} x {height} pixels: wanted are 16 pixels a side or more, and one side at "
            f"most {MAX_ASPECT} times the other."
        )
    # a telephone's JPEG may hold a second picture for other uses, which makes it no animation
    if getattr(image, "n_frames", 1) > 1 and image.format not in ("JPEG", "MPO"):
        raise ValueError(f"The photo is an animation ({image.format}): save one picture of it as PNG.")
    if image.mode in DEEP_MODES:
        raise ValueError("The photo has 16 bits or more a colour: save it with 8, as JPEG or PNG.")


def _too_large(said):
    return f"The photo has {said} pixels: at most {MAX_PIXELS // 10**6} million are read, scale it down."


CANVAS = 512  # short side of the painter


def palette_png(ids, encoder) -> bytes:
    """Region ids uint8 (h, w) as a palette PNG in the encoder's colours, as a training folder's maps."""
    return encode_map(ids, encoder.colours)


def scale_to_canvas(ids, longest_short_side: int = CANVAS):
    """Region ids uint8 (h, w) with a short side between CANVAS and another number of pixels."""
    working_size(ids.shape, CANVAS)  # says so if one side is far longer than the other
    short = min(ids.shape)
    scale = min(max(short, CANVAS), longest_short_side) / short
    return resized(ids, tuple(round(side * scale) for side in ids.shape))


def choose_stored_map(painted, ids, resolution: int):
    """What gives a request's map `ids` again: the painted map as the painter shows it, or else `ids`.

    The former is finer, where pictures are small; it is another map where a program has sent a larger one.
    """
    shown = scale_to_canvas(painted)
    same = np.array_equal(resized(shown, working_size(shown.shape, resolution)), ids)
    return shown if same else ids


def digest_of(array) -> str:
    """The start of the SHA-256 of an array's bytes and shape."""
    return hashlib.sha256(str(array.shape).encode() + array.tobytes()).hexdigest()[:16]
