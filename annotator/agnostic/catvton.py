"""Masks from two label maps and DensePose's body parts, as CatVTON makes them.

What no map calls background and nothing keeps, with the category's body parts, becomes convex, soft at its
rim, and takes in the garment. Hands, feet and face are kept strongly, hair and other clothes weakly: the last
steps eat a few pixels into those.
"""

import cv2
import numpy as np
from einops import repeat

from annotator.agnostic.person import Person
from annotator.agnostic.shapes import fill_convex_hulls, grow

MAPS = "atr", "lip"
ARMS, LEGS = {"atr": (14, 15), "lip": (14, 15)}, {"atr": (12, 13), "lip": (16, 17)}
HANDS, FEET, FACE = (3, 4), (5, 6), 13  # of DensePose; of LIP
SHRUNK = 4  # DensePose's parts are grown at a quarter of the size
THRESHOLD = 25  # of 255, of the blurred mask


def mask_by_parts(style, category: str, person: Person, mended: bool) -> np.ndarray:
    """Two label maps, DensePose's parts and a category -> bool (H, W).

    Raises:
        ValueError: the sides do not divide by 4.
    """
    part = style.parts[category]
    height, width = person.find_labels("atr", []).shape
    if height % SHRUNK or width % SHRUNK:
        raise ValueError(f"mask style catvton needs sides that divide by {SHRUNK}, got {height} x {width}")
    side = _odd(max(height, width) // 250)
    strong = grow(person.find_labels("densepose", HANDS), side) & _in_either(person, ARMS)
    strong |= grow(person.find_labels("densepose", FEET), side) & _in_either(person, LEGS)
    strong |= person.find_labels("lip", [FACE])
    weak = strong | _in_either(person, style.always_kept) | _in_either(person, part["kept"])
    background = person.find_labels("atr", [0]) & person.find_labels("lip", [0])
    mask = ~(weak | background) | _grow_body(person.find_labels("densepose", part["body"]), side)
    mask = fill_convex_hulls(mask) & ~weak
    blur = _odd(max(height, width) // 25)
    mask = cv2.GaussianBlur(mask.astype(np.uint8) * 255, (blur, blur), 0) >= THRESHOLD
    mask |= _in_either(person, part["garment"])
    return grow(mask & ~strong, side)


def _odd(number):
    return number if number % 2 else number + 1


def _in_either(person, ids):
    return person.find_labels("atr", ids["atr"]) | person.find_labels("lip", ids["lip"])


def _grow_body(body, side):
    grown = grow(
        body[::SHRUNK, ::SHRUNK], side, 2
    )  # OpenCV's nearest neighbour: the upper left of each block
    return repeat(grown, "h w -> (h i) (w j)", i=SHRUNK, j=SHRUNK)
