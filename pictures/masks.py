"""Maps of data that is not iMaterialist's, in its masks/: region maps in any exact coding, or pictures."""

import os
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from pictures.decoding import (
    BLACK,
    OPAQUE,
    Turn,
    blame,
    check_depth,
    decode,
    open_picture,
    put_on_background,
    read_bytes,
    turn_of,
)
from pictures.regions import match_colours
from pictures.unusable import Box, Unusable

SPECK = 0.001  # share of a map's pixels


def open_mask(path: Path) -> Image.Image:
    """The decoded file, upright; Unusable says why there is none."""
    if not os.path.isfile(path):
        raise Unusable(f"{path.name} is missing")
    with blame(path.name):
        data = read_bytes(path)
        image = open_picture(data)
        turned = turn_of(image) != Turn()
        image = decode(image, data)
        # unlike Turn's, Pillow's keeps a palette
        return ImageOps.exif_transpose(image) if turned else image


def mask_colours(image: Image.Image) -> np.ndarray:
    """A map that is a picture, uint8 (h, w, 3), black where transparent; Unusable if it has 16 bits."""
    with blame("the map"):
        check_depth(image)
    return np.asarray(put_on_background(image, BLACK))


def region_ids(image: Image.Image, colours) -> np.ndarray:
    """Region ids uint8 (h, w) of a map in exactly these colours, or of greys that are the ids themselves.

    What is transparent is background.
    """
    if image.mode in ("1", "L", "LA", "I", "I;16"):
        ids = np.asarray(image)
        if image.mode == "LA":
            ids = np.where(ids[..., 1] >= OPAQUE, ids[..., 0], 0)
        if ids.min() < 0 or ids.max() >= len(colours):
            raise Unusable(f"the map has values up to {ids.max()}, region ids go to {len(colours) - 1}")
        return ids.astype(np.uint8)
    rgb = np.asarray(put_on_background(image, colours[0]))
    ids, wrong = match_colours(rgb, colours)
    if wrong.any() and (rgb == rgb[..., :1]).all() and rgb.max() < len(colours):
        return rgb[..., 0]  # of one channel, before something saved it with three or a palette of greys
    if wrong.any():
        found = ", ".join(map(str, rgb[wrong][0]))
        raise Unusable(f"the map has {wrong.sum()} pixels off the regions' colours, such as ({found})")
    return ids


def region_boxes(ids) -> list[Box]:
    """The box of each connected part of each region; specks count only where a region has nothing else."""
    boxes = []
    for region in np.unique(ids[ids > 0]):
        _, _, parts, _ = cv2.connectedComponentsWithStats((ids == region).astype(np.uint8), connectivity=8)
        parts = parts[1:].tolist()
        large = [part for part in parts if part[4] >= SPECK * ids.size]
        for left, top, width, height, _ in large or [max(parts, key=lambda part: part[4])]:
            boxes.append(Box(left, top, left + width, top + height, int(region)))
    return boxes
