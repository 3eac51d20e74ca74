"""Outlines of shapes, masks of what they cover, and the paper shadow."""

import numpy as np
from PIL import Image, ImageFilter

SUPERSAMPLE = 3
SHADOW_OFFSET = 0.014  # of the longer side


def round_corners(points, corners: int = 2):
    """A closed polygon (n, 2) whose corners are cut off so often."""
    points = np.asarray(points, np.float64)
    for _ in range(corners):
        following = np.roll(points, -1, axis=0)
        cut = np.empty((2 * len(points), 2))
        cut[0::2] = 0.75 * points + 0.25 * following
        cut[1::2] = 0.25 * points + 0.75 * following
        points = cut
    return points


def arc_points(x, y, width, height, arc=(0, 360), turn: float = 0.0):
    """Points (33, 2) of an ellipse between two angles, the ellipse turned by `turn` radians."""
    angles = np.radians(np.linspace(*arc, 33))
    points = np.stack([width * np.cos(angles), height * np.sin(angles)], 1)
    cos, sin = np.cos(turn), np.sin(turn)
    return points @ np.array([[cos, sin], [-sin, cos]]) + (x, y)


def box(x: float, y: float, half_width: float, half_height: float):
    """The corners of a box around (x, y)."""
    w, h = half_width, half_height
    return [(x - w, y - h), (x + w, y - h), (x + w, y + h), (x - w, y + h)]


def majority(mask):
    """Pixels (bool) most of whose supersamples are set."""
    return np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).reduce(SUPERSAMPLE)) > 127


def lay_on_ground(drawn, painted, ground, shadow: float):
    """Paper on a ground, with a soft shadow to the lower right of it.

    Args:
        drawn: RGB uint8 at supersampled resolution, black where nothing is `painted` (bool).
        ground: RGB (H, W, 3) in [0, 255].
        shadow: how dark it is, in [0, 1].
    Returns:
        photo uint8 (H, W, 3); how much of each pixel is covered, uint8 (H, W), 255 for all of it.
    """
    figure = np.asarray(Image.fromarray(drawn).reduce(SUPERSAMPLE), np.float32)
    covered = Image.fromarray(painted.astype(np.uint8) * 255).reduce(SUPERSAMPLE)
    alpha = np.asarray(covered, np.float32)[:, :, None] / 255
    offset = max(1, round(max(covered.size) * SHADOW_OFFSET))
    soft = covered.filter(ImageFilter.GaussianBlur(offset))
    soft = soft.crop((-offset, -offset, covered.width - offset, covered.height - offset))
    soft = np.asarray(soft, np.float32)[:, :, None] / 255
    photo = figure + (1 - alpha) * ground * (1 - shadow * soft)
    return np.clip(photo.round(), 0, 255).astype(np.uint8), np.asarray(covered)
