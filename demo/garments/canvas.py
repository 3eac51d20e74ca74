"""Region maps and photos as the painter shows them, and as they go into files."""

import numpy as np
from PIL import Image

from pictures.painted_maps import resized, working_size
from pictures.region_maps import encode_map

SAME_SHAPE = 0.03  # share by which the aspects of a photo and its map may differ
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


def fit_photo(photo, shape, size):
    """A photo uint8 (h, w, 3) at the size (H, W) of a map that was painted with `shape` (h, w)."""
    (h, w), (map_h, map_w) = photo.shape[:2], shape
    if abs(h * map_w / (w * map_h) - 1) > SAME_SHAPE:
        raise ValueError(
            f"The photo is {w} x {h} pixels, the map {map_w} x {map_h}: not of one shape. Let the garments "
            "be found in the photo, or upload a map that was made of it."
        )
    return np.asarray(Image.fromarray(photo).resize(size[::-1], Image.Resampling.LANCZOS))
