"""Hands of people whose arms were found: where to look, and where their 21 keypoints are."""

import cv2
import numpy as np

from .decode import SMOOTHING

ARMS = (5, 6, 7), (2, 3, 4)  # shoulder, elbow, wrist: left, right
NUM_KEYPOINTS = 21
LEAST_HEAT = 0.05
LEAST_SIDE = 20  # pixels


def hand_boxes(body, height: int, width: int) -> list[tuple[int, int, int]]:
    """Left, top and side in pixels of the squares where a person's hands must be, from body (18, 3).

    A hand lies beyond the wrist by a third of the forearm, in a square of 1.5 times the longer of forearm and
    0.9 upper arms, as OpenPose's own detector has it; what leaves the picture is cut off.
    """
    boxes = []
    for arm in ARMS:
        if not (body[list(arm), 2] > 0).all():
            continue
        shoulder, elbow, wrist = body[list(arm), :2]
        centre = wrist + 0.33 * (wrist - elbow)
        side = 1.5 * max(np.hypot(*(wrist - elbow)), 0.9 * np.hypot(*(elbow - shoulder)))
        left, top = (max(0, int(corner)) for corner in centre - side / 2)
        side = int(min(side, width - left, height - top))
        if side >= LEAST_SIDE:
            boxes.append((left, top, side))
    return boxes


def hand_keypoints(heatmaps):
    """Keypoints of the one hand in heatmaps (h, w, 21 or more): float32 (21, 3) of x, y, heat; 0 if missing.

    Each is the hottest point of the hottest spot.
    """
    keypoints = np.zeros((NUM_KEYPOINTS, 3), np.float32)
    for keypoint, heat in zip(keypoints, np.moveaxis(heatmaps[..., :NUM_KEYPOINTS], -1, 0), strict=True):
        spots = cv2.GaussianBlur(heat, (0, 0), SMOOTHING, borderType=cv2.BORDER_REFLECT) > LEAST_HEAT
        if not spots.any():
            continue
        count, labels = cv2.connectedComponents(spots.astype(np.uint8), connectivity=8)
        sums = np.bincount(labels.ravel(), heat.ravel(), count)
        inside = np.where(labels == 1 + sums[1:].argmax(), heat, -np.inf)
        y, x = np.unravel_index(inside.argmax(), heat.shape)
        keypoint[:] = x, y, heat[y, x]
    return keypoints
