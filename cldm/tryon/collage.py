"""AnyDoor's pictures (arXiv 2307.09481): the garment cut out, its high-frequency map, the map in the scene.

Pictures are uint8 (H, W, 3), masks (H, W) or (H, W, 1) in [0, 1], boxes (top, bottom, left, right), the ends
excluded. Bytes are met to the last, so resizing is OpenCV's bilinear one, on uint8.
"""

import cv2
import numpy as np

MAP_SIDE, ERODED, THRESHOLD = 256, 5, 50
WHITE, OUTSIDE = 255, 255  # of masks in the padding of a square: published inference has 1 there


def trace_edges(picture) -> np.ndarray:
    """How strong the edges are, uint8 (H, W): the mean of both Sobel filters, the maximum over colours."""
    edges = [
        cv2.convertScaleAbs(cv2.Sobel(picture, cv2.CV_16S, *order, ksize=3)) for order in ((1, 0), (0, 1))
    ]
    return cv2.addWeighted(edges[0], 0.5, edges[1], 0.5, 0).max(-1)


def find_edges(picture, mask, threshold: int = THRESHOLD) -> np.ndarray:
    """The garment's high-frequency map, uint8 (H, W, 3): its colours where its edges are, 0 elsewhere.

    At 256 x 256, within the mask eroded twice by 5 x 5; what is below the threshold is 0.
    """
    height, width = picture.shape[:2]
    side = (MAP_SIDE, MAP_SIDE)
    small = cv2.resize(picture, side)
    inside = (cv2.resize(_flat(mask).astype(np.float32), side) > 0.5).astype(np.uint8)
    inside = cv2.erode(inside, np.ones((ERODED, ERODED), np.uint8), iterations=2)
    strength = trace_edges(small) * inside
    strength[strength < threshold] = 0
    found = (strength[..., None].astype(np.float32) / np.float32(255) * small).astype(np.uint8)
    return cv2.resize(found, (width, height))


def cut_garment(picture, mask, side: int = 224, ratio: float = 1.2) -> tuple[np.ndarray, np.ndarray]:
    """(garment uint8 (side, side, 3) on white, its mask float64 (side, side)): its box, `ratio` as large."""
    inside = _flat(mask) > 0.5
    top, bottom, left, right = find_box(inside)
    on_white = np.where(inside[..., None], picture, np.uint8(WHITE))
    cut, covered = (part[top:bottom, left:right] for part in (on_white, inside.astype(np.uint8) * 255))
    height, width = int(cut.shape[0] * ratio), int(cut.shape[1] * ratio)
    cut, covered = _pad(cut, height, width, WHITE), _pad(covered, height, width, 0)
    longer = max(height, width)
    cut, covered = _pad(cut, longer, longer, WHITE), _pad(covered, longer, longer, 0)
    return cv2.resize(cut, (side, side)), cv2.resize(covered, (side, side)) / 255


def find_box(mask) -> tuple[int, int, int, int]:
    """The box of what is not 0, without its last row and column, as the published code cuts it.

    Raises:
        ValueError: nothing is left.
    """
    rows, columns = np.flatnonzero(_flat(mask).any(1)), np.flatnonzero(_flat(mask).any(0))
    if len(rows) == 0 or rows[0] == rows[-1] or columns[0] == columns[-1]:
        raise ValueError("a mask of a garment or of what is repainted must have two rows and two columns")
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


def grow_box(box, size, ratio: float) -> tuple[int, int, int, int]:
    """A box `ratio` as large around the same middle, cut to the picture's size (H, W)."""
    grown = []
    for start, end, most in zip(box[::2], box[1::2], size, strict=True):
        middle, half = 0.5 * (start + end), 0.5 * ratio * (end - start + 1)
        grown += [max(0, int(middle - half)), min(most, int(middle + half))]
    return tuple(grown)


def lay_edges(scene, edges, box) -> tuple[np.ndarray, np.ndarray]:
    """(the scene with the map over the whole box, the box as a mask uint8 (H, W) of 0 and 1)."""
    top, bottom, left, right = box
    collage, covered = scene.copy(), np.zeros(scene.shape[:2], np.uint8)
    collage[top:bottom, left:right] = cv2.resize(edges, (right - left, bottom - top))
    covered[top:bottom, left:right] = 1
    return collage, covered


def to_square(collage, covered, side: int = 512) -> tuple[np.ndarray, np.ndarray]:
    """A collage and its mask, padded by black to a square and resized, as published inference does."""
    longer = max(covered.shape)
    padded = _pad(collage, longer, longer, 0), _pad(covered, longer, longer, OUTSIDE)
    return tuple(cv2.resize(part, (side, side)) for part in padded)


def to_hint(collage, covered) -> np.ndarray:
    """float32 (H, W, 4): the collage in [-1, 1], and 1 where its mask is not 0."""
    picture = collage.astype(np.float32) / np.float32(127.5) - 1
    return np.concatenate([picture, (covered > 0.5).astype(np.float32)[..., None]], axis=-1)


def make_hint(scene, mask, garment, garment_mask, ratio: float = 1.1) -> np.ndarray:
    """A hint of the scene's size: the garment's map over the box of the mask, `ratio` as large."""
    edges = find_edges(*cut_garment(garment, garment_mask))
    box = grow_box(find_box(_flat(mask) > 0.5), scene.shape[:2], ratio)
    return to_hint(*lay_edges(scene, edges, box))


def _flat(mask):
    return np.atleast_3d(mask)[..., 0]


def _pad(picture, height: int, width: int, value: int):
    """A picture in the middle of a larger one."""
    pads = []
    for missing in (height - picture.shape[0], width - picture.shape[1]):
        pads.append((missing // 2, missing - missing // 2))
    return np.pad(picture, pads + [(0, 0)] * (picture.ndim - 2), constant_values=value)
