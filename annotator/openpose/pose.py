"""A person's pose, and its drawing in the colours that ControlNet's openpose models know."""

import colorsys
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

# the 18 keypoints of COCO with a neck, in OpenPose's order; right and left are the person's
BODY = (
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist right_hip "
    "right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear left_ear"
).split()
# pairs of keypoints; the first 17 are drawn, the last two only tell people apart
LIMBS = (
    *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13)),
    *((1, 0), (0, 14), (14, 16), (0, 15), (15, 17), (2, 16), (5, 17)),
)
NUM_DRAWN = 17
COLOURS = (
    *((255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0)),
    *((0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255)),
    *((170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85)),
)
# a wrist and four joints of each finger, from the thumb on
FINGER_BONES = tuple(
    (0 if joint == 0 else 4 * finger + joint, 4 * finger + joint + 1)
    for finger in range(5)
    for joint in range(4)
)
HAND_COLOUR = 0, 0, 255
DRAWN_AT = 512  # short side in pixels at which lines are as thick as published


@dataclass
class Pose:
    """Where a person's joints are.

    Args:
        body: float32 (18, 3): x and y in pixels, and a score, 0 for a keypoint that was not found.
        hands: float32 (n, 21, 3) likewise, of the hands that were looked at.
    """

    body: np.ndarray
    hands: np.ndarray


def check_picture(image):
    """The picture, uint8 (h, w, 3); ValueError for anything else."""
    image = np.ascontiguousarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(
            f"poses are looked for in RGB pictures, uint8 (h, w, 3); got {image.dtype} {image.shape}"
        )
    return image


def draw_poses(poses: list[Pose], height: int, width: int):
    """The poses on black, uint8 (height, width, 3), RGB: limbs at 60 % of their colours, joints on top."""
    canvas = np.zeros((height, width, 3), np.uint8)
    scale = min(height, width) / DRAWN_AT
    thickness = max(1, round(4 * scale))
    for pose in poses:
        found = pose.body[:, 2] > 0
        for (start, end), colour in zip(LIMBS[:NUM_DRAWN], COLOURS[:NUM_DRAWN], strict=True):
            if found[start] and found[end]:
                _draw_limb(canvas, pose.body[start, :2], pose.body[end, :2], thickness, colour)
    for pose in poses:
        for (x, y, score), colour in zip(pose.body, COLOURS, strict=True):
            if score > 0:
                cv2.circle(canvas, (int(x), int(y)), thickness, colour, thickness=-1)
    for hand in (hand for pose in poses for hand in pose.hands):
        _draw_hand(canvas, hand, thickness, max(1, round(2 * scale)))
    return canvas


def draw_joints(points: dict, height: int, width: int, mirrored=False):
    """As `draw_poses`, of one person's joints: x, y in pixels by names of BODY, (0, 0) where none was found.

    Mirrored, left joints become right ones, as those of the mirrored person are.
    """
    body = np.zeros((len(BODY), 3), np.float32)
    for name, (x, y) in points.items():
        side, _, rest = name.partition("_")
        name = f"{dict(left='right', right='left')[side]}_{rest}" if mirrored and rest else name
        body[BODY.index(name)] = width - x if mirrored else x, y, x > 0 or y > 0
    return draw_poses([Pose(body, np.zeros((0, 21, 3), np.float32))], height, width)


def draw_joint_file(path, height: int, width: int) -> dict:
    """The joints of a prepared folder's file: dict(pose, mirrored_pose), as `draw_joints`."""
    points = json.loads(Path(path).read_text(encoding="utf-8"))["points"]
    ways = dict(pose=False, mirrored_pose=True)
    return {name: draw_joints(points, height, width, mirrored) for name, mirrored in ways.items()}


def _draw_limb(canvas, start, end, thickness, colour):
    middle, (across, down) = (start + end) / 2, end - start
    length, angle = np.hypot(across, down), np.degrees(np.arctan2(down, across))
    centre, axes = (int(middle[0]), int(middle[1])), (int(length / 2), thickness)
    ellipse = cv2.ellipse2Poly(centre, axes, int(angle), 0, 360, 1)
    cv2.fillConvexPoly(canvas, ellipse, [int(0.6 * value) for value in colour])


def _draw_hand(canvas, hand, radius, thickness):
    for number, (start, end) in enumerate(FINGER_BONES):
        if hand[start, 2] > 0 and hand[end, 2] > 0:
            colour = [255 * value for value in colorsys.hsv_to_rgb(number / len(FINGER_BONES), 1, 1)]
            ends = [(int(x), int(y)) for x, y, _ in hand[[start, end]]]
            cv2.line(canvas, *ends, colour, thickness)
    for x, y, score in hand:
        if score > 0:
            cv2.circle(canvas, (int(x), int(y)), radius, HAND_COLOUR, thickness=-1)
