"""Maps that people paint or upload: region ids at the working size, or an error in plain words."""

from pathlib import Path

import numpy as np
from PIL import Image

from pictures.decoding import OPAQUE, decode, open_picture, turn_of
from pictures.unusable import Unusable

MAX_SIDE, MAX_BYTES, MAX_ASPECT = 4096, 32 * 2**20, 4
MAX_SMOOTHED = 0.05  # share of a painted layer: more than the rims of brush strokes is a wrong picture
GREY_MODES = {"1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L"}
EMPTY = "The map is empty: paint a region, upload a map or choose a template."
GREY = "The picture is greyscale: a map has one colour per region, as a palette PNG or an RGB picture."
REMEDY = "Use exactly these colours and save as PNG: JPEG, smoothed edges and smooth resizing mix colours."


def read_map(path, encoder):
    """Region ids uint8 (h, w) of a picture file in the encoder's colours; where transparent, background."""
    if (size := Path(path).stat().st_size) > MAX_BYTES:
        raise ValueError(
            f"The file has {size / 2**20:.0f} MB: maps of at most {MAX_BYTES // 2**20} MB are read."
        )
    return decode_map(Path(path).read_bytes(), encoder)


def decode_map(data: bytes, encoder):
    """As `read_map`, of a file's bytes, whose number is known to be bounded."""
    try:
        image = open_picture(data)
        _check_side(*image.size)
        if image.mode in GREY_MODES:
            raise ValueError(GREY)
        turn = turn_of(image)
        rgba = turn.upright(np.asarray(decode(image, data).convert("RGBA")))
    except Unusable as error:
        if isinstance(error.__cause__, Image.DecompressionBombError):
            told = f"The picture is far too large: sides of at most {MAX_SIDE} are read."
        else:
            told = "The file is no picture that can be read, or it is damaged: save it as PNG."
        raise ValueError(told) from error
    return _exact_ids(rgba, encoder)


def painted_map(value, encoder):
    """Region ids uint8 (h, w) of an image editor's value: layers over a background, all uint8 RGBA (h, w, 4).

    The background's colours must be exact; a brush may have smoothed the rims of its strokes.
    """
    value = value or {}
    background, layers = value.get("background"), value.get("layers") or []
    pictures = [picture for picture in (background, *layers) if picture is not None]
    if not pictures:
        raise ValueError(EMPTY)
    for picture in pictures:
        _check_side(picture.shape[1], picture.shape[0])
        if picture.shape != pictures[0].shape:
            (h, w), (other_h, other_w) = picture.shape[:2], pictures[0].shape[:2]
            raise ValueError(f"The map's layers differ in size: {w} x {h} on {other_w} x {other_h} pixels.")
    ids = np.zeros(pictures[0].shape[:2], np.uint8)
    if background is not None:
        ids = _exact_ids(background, encoder)
    for layer in layers:
        painted = layer[..., 3] >= OPAQUE
        ids[painted] = _nearest_ids(layer, encoder)[painted]
    return ids


def working_size(size, resolution: int) -> tuple[int, int]:
    """A map's (h, w) scaled to a short side of `resolution`, both rounded to multiples of 64."""
    h, w = size
    if max(h, w) > MAX_ASPECT * min(h, w):
        raise ValueError(
            f"The map is {w} x {h} pixels: one side may be {MAX_ASPECT} times the other at most."
        )
    scale = resolution / min(h, w) / 64
    return 64 * max(1, round(h * scale)), 64 * max(1, round(w * scale))


def resized(picture, size):
    """A map or picture uint8 (h, w) or (h, w, 3) at another size (H, W), nearest pixels only."""
    return np.asarray(Image.fromarray(picture).resize(size[::-1], Image.Resampling.NEAREST))


def working_map(ids, resolution: int):
    """Ids (h, w) resized to their `working_size`."""
    ids = resized(ids, working_size(ids.shape, resolution))
    if not ids.any():
        raise ValueError(EMPTY)
    return ids


def _check_side(width, height):
    if max(width, height) > MAX_SIDE:
        raise ValueError(f"The picture is {width} x {height} pixels: sides of at most {MAX_SIDE} are read.")


def _exact_ids(rgba, encoder):
    rgb = np.where(rgba[..., 3:] >= OPAQUE, rgba[..., :3], np.uint8(encoder.colours[0]))
    try:
        return encoder.to_ids(rgb)
    except ValueError as error:
        grey = (rgb[..., 0] == rgb[..., 1]).all() and (rgb[..., 1] == rgb[..., 2]).all()
        raise ValueError(GREY if grey else f"{error}. {REMEDY}") from error


def _nearest_ids(rgba, encoder):
    """Ids of the nearest colours: how smooth a stroke's rim is depends on the graphics card."""
    painted = rgba[..., 3] >= OPAQUE
    strokes = rgba[painted][:, :3].astype(np.int16)
    nearest, least = np.zeros(len(strokes), np.uint8), np.full(len(strokes), 3 * 255 + 1, np.int16)
    for region, colour in enumerate(encoder.colours):
        distance = np.abs(strokes - np.int16(colour)).sum(-1, dtype=np.int16)
        closer = distance < least
        nearest[closer], least[closer] = region, distance[closer]
    if (least > 0).sum() > MAX_SMOOTHED * len(strokes):
        return _exact_ids(rgba, encoder)  # says how many, and which
    ids = np.zeros(painted.shape, np.uint8)
    ids[painted] = nearest
    return ids
