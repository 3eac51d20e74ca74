"""Masks of data that is not iMaterialist's: region maps in any exact coding, or pictures."""

import os
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from pictures.photo import DAMAGE, FORMATS
from pictures.unusable import Box, Unusable

SPECK = 0.001  # share of a mask's pixels


def open_mask(path: Path) -> Image.Image:
    """The decoded file; Unusable says why there is none."""
    if not os.path.isfile(path):
        raise Unusable(f"the mask {path.name} is missing")
    try:
        with Image.open(path, formats=FORMATS) as image:
            image.load()
            return image
    except DAMAGE as error:
        raise Unusable(f"the mask {path.name} can't be read: {error}") from error


def region_ids(image: Image.Image, colours) -> np.ndarray:
    """Region ids uint8 (h, w) of a mask in exactly these colours, or of one channel that holds ids."""
    if image.mode in ("1", "L", "I", "I;16"):
        ids = np.asarray(image)
        if ids.min() < 0 or ids.max() >= len(colours):
            raise Unusable(f"the mask has values up to {ids.max()}, region ids go to {len(colours) - 1}")
        return ids.astype(np.uint8)
    codes = _codes(np.asarray(image.convert("RGB")))
    wanted = _codes(np.array(colours, np.uint8))
    order = np.argsort(wanted)
    places = order[np.searchsorted(wanted, codes, sorter=order).clip(max=len(wanted) - 1)]
    wrong = codes[wanted[places] != codes]
    if wrong.size:
        found = ", ".join(str(int(wrong[0]) >> shift & 255) for shift in (16, 8, 0))
        raise Unusable(f"the mask has {wrong.size} pixels off the regions' colours, such as ({found})")
    return places.astype(np.uint8)


def _codes(rgb) -> np.ndarray:
    """0xrrggbb (...) of uint8 (..., 3)."""
    red, green, blue = np.moveaxis(rgb.astype(np.int32), -1, 0)
    return red << 16 | green << 8 | blue


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
