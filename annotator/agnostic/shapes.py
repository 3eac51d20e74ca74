"""Thick lines, discs and polygons as masks, with the corners and roundings of the published mask rules.

They were drawn with Pillow and grown with OpenCV, so ours are, too: the same pixels come out.
"""

import cv2
import numpy as np
from PIL import Image, ImageDraw


class Canvas:
    """An empty mask (H, W) to draw on; coordinates are x, y in pixels, floats allowed."""

    def __init__(self, height: int, width: int):
        self._image = Image.new("L", (width, height))
        self._draw = ImageDraw.Draw(self._image)

    @property
    def mask(self) -> np.ndarray:
        """What has been drawn, bool (H, W)."""
        return np.asarray(self._image) > 0

    def draw_line(self, points, width: float, curved=False) -> None:
        """A line with square ends; `curved` puts discs on its inner corners."""
        points = [tuple(map(float, point)) for point in points]
        self._draw.line(points, fill=255, width=int(width), joint="curve" if curved else None)

    def draw_ellipse(self, centre, half_width: float, half_height: float) -> None:
        x, y = map(float, centre)
        self._draw.ellipse((x - half_width, y - half_height, x + half_width, y + half_height), fill=255)

    def draw_disc(self, centre, radius: float) -> None:
        self.draw_ellipse(centre, radius, radius)

    def draw_rectangle(self, left, top, right, bottom) -> None:
        self._draw.rectangle(tuple(map(float, (left, top, right, bottom))), fill=255)

    def draw_polygon(self, points) -> None:
        self._draw.polygon([tuple(map(float, point)) for point in points], fill=255)


def grow(mask, side: int, times: int = 1) -> np.ndarray:
    """The mask (H, W), dilated `times` times by a square; an even `side` reaches farther to one side."""
    kernel = np.ones((side, side), np.uint8)
    return cv2.dilate(np.asarray(mask, np.uint8), kernel, iterations=times) > 0


def fill_convex_hulls(mask) -> np.ndarray:
    """Each connected part of a mask (H, W) becomes its convex hull, filled."""
    contours, _ = cv2.findContours(np.asarray(mask, np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    filled = np.zeros(mask.shape, np.uint8)
    for contour in contours:
        cv2.fillPoly(filled, [cv2.convexHull(contour)], 1)
    return filled > 0


def fill_largest(mask) -> np.ndarray:
    """The largest connected part of a mask (H, W), without holes, along its approximated outline."""
    contours, _ = cv2.findContours(np.asarray(mask, np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_TC89_L1)
    filled = np.zeros(mask.shape, np.uint8)
    if contours:
        cv2.drawContours(filled, [max(contours, key=cv2.contourArea)], -1, 1, thickness=-1)
    return filled > 0


def fill_holes(mask) -> np.ndarray:
    """The mask (H, W) and all that it encloses."""
    contours, _ = cv2.findContours(np.asarray(mask, np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(mask.shape, np.uint8)
    cv2.drawContours(filled, contours, -1, 1, thickness=-1)
    return filled > 0
