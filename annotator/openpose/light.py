"""One person's pose by the two small networks in mediapipe's wheel (arXiv 2006.10204)."""

from dataclasses import dataclass

import cv2
import numpy as np
from einops import rearrange

from annotator.openpose.pose import Pose, check_picture, draw_poses
from annotator.openpose.wheel import read_networks

MODELS = (
    "mediapipe/modules/pose_detection/pose_detection.tflite",
    "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
)
DETECTOR_SIDE, LANDMARK_SIDE = 224, 256  # pixels of the networks' squares
# strides of the detector's maps and how many guesses are in each place of them
GUESSES = (8, 2), (16, 2), (32, 6)
NUM_LANDMARKS = 39
ROOM = 1.25  # of the circle around a person
CONFIDENT, VISIBLE = 0.5, 0.5
SAME = 0.3  # intersection over union of boxes that are one person's
AROUND = 3  # of a landmark, places of its heat that are looked at
# by BODY: the landmarks whose mean is the keypoint
SOURCES = (
    *((0,), (11, 12), (12,), (14,), (16,), (11,), (13,), (15,), (24,), (26,), (28,), (23,), (25,), (27,)),
    *((5,), (2,), (8,), (7,)),
)


@dataclass
class Person:
    """One person in a picture.

    Args:
        landmarks: float64 (39, 2), x and y in pixels; of what is beyond the picture, guesses.
        visibility: float64 (39,) in [0, 1].
        silhouette: float32 (h, w) in [0, 1], how sure it is that a pixel is the person's.
    """

    landmarks: np.ndarray
    visibility: np.ndarray
    silhouette: np.ndarray


class LightPoseDetector:
    """detector = LightPoseDetector.load("models/annotators/mediapipe-0.10.21-….whl")

    picture = detector(photo)  # uint8 (h, w, 3), RGB -> uint8 (h, w, 3), the pose on black

    `find` and `locate` are the networks: pictures float32 (1, side, side, 3) -> a list of arrays.
    """

    def __init__(self, find, locate):
        self.find, self.locate = find, locate

    @classmethod
    def load(cls, path):
        """The networks in a wheel of mediapipe 0.10.21.

        Raises:
            FileNotFoundError, ValueError: there is no such file, it holds no such networks, or the package
                that runs them is missing.
        """
        return cls(*read_networks(path, MODELS))

    def __call__(self, image):
        """One person's pose on black, uint8 (h, w, 3), of one RGB picture, uint8 (h, w, 3)."""
        return draw_poses(self.poses(image), *np.shape(image)[:2])

    def poses(self, image, hand: bool = False) -> list[Pose]:
        """Where the most certain person's joints are, in the picture's pixels; nothing where nobody is.

        Raises:
            ValueError: no RGB picture, or hands are wanted.
        """
        image = check_picture(image)
        if hand:
            raise ValueError("the light pose detector finds no hands: OpenPose's networks do")
        person = self.person(image)
        if person is None:
            return []
        landmarks, visibility = person.landmarks, person.visibility
        rows = [[*landmarks[list(s)].mean(0), visibility[list(s)].min()] for s in SOURCES]
        body, (height, width) = np.array(rows, np.float32), image.shape[:2]
        inside = (body[:, :2] >= 0).all(1) & (body[:, 0] < width) & (body[:, 1] < height)
        body[~(inside & (body[:, 2] >= VISIBLE))] = 0
        return [Pose(body, np.zeros((0, 21, 3), np.float32))]

    def person(self, image) -> Person | None:
        """The person whom the first network is surest of, if the second one finds somebody there too."""
        circle = self._circle(check_picture(image))
        if circle is None:
            return None
        person, confidence = self._look(image, *circle)
        return person if confidence >= CONFIDENT else None

    def _circle(self, image):
        """The middle of a person's hips and a point on the circle around the person, in pixels, or None."""
        longest = max(image.shape[:2])
        middle = np.array(image.shape[1::-1]) / 2
        square, to_picture, _ = _cut_square(image, middle, longest, 0.0, DETECTOR_SIDE)
        guesses, scores = self.find(square[None] * 2 - 1)
        scores = _to_probability(scores.ravel())
        certain = scores >= CONFIDENT
        if not certain.any():
            return None
        # centre, sides of a box, then points, all as x, y: the hips and the circle come first
        rows = rearrange(guesses[0, certain], "n (p c) -> n p c", c=2).astype(np.float64)
        centres = DETECTOR_SIDE * guess_centres()[certain]
        return to_picture(_blend_guesses(rows, centres, scores[certain]))

    def _look(self, image, hips, edge):
        """The person in a circle, and how sure a person is there."""
        up = edge - hips
        side, angle = 2 * ROOM * np.hypot(*up), np.arctan2(up[0], -up[1])
        square, to_picture, matrix = _cut_square(image, hips, side, angle, LANDMARK_SIDE)
        outputs = self.locate(square[None])
        rows = next(output for output in outputs if output.size == 5 * NUM_LANDMARKS)
        rows = rearrange(rows.astype(np.float64), "1 (n c) -> n c", c=5)
        heat = next(output for output in outputs if output.shape[-1] == NUM_LANDMARKS)
        confidence = next(float(output.item()) for output in outputs if output.size == 1)
        points = to_picture(_refine_points(rows[:, :2], _to_probability(heat[0])))
        mask = next(output[0] for output in outputs if output.shape[1:] == square.shape[:2] + (1,))
        back = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
        silhouette = cv2.warpAffine(np.float32(_to_probability(mask)), matrix, image.shape[1::-1], flags=back)
        return Person(points, _to_probability(rows[:, 3]), silhouette), confidence


def guess_centres():
    """Where each of the detector's guesses stands, as shares of the square: float64 (2254, 2) of x and y."""
    centres = []
    for stride, number in GUESSES:
        steps = (np.arange(DETECTOR_SIDE // stride) + 0.5) * stride / DETECTOR_SIDE
        y, x = np.meshgrid(steps, steps, indexing="ij")
        centres.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), number, axis=0))
    return np.concatenate(centres)


def _blend_guesses(rows, centres, scores):
    """The first two points of the best guess (2, 2), each the mean over the guesses of the same person.

    Args:
        rows: float64 (n, points, 2): the box's middle and its sides, then points; all but the sides are
            relative to `centres` (n, 2).
        scores: of the guesses, the weights of the mean.
    """
    middles, halves = rows[:, 0] + centres, rows[:, 1] / 2
    best = scores.argmax()
    ends = np.minimum(middles + halves, middles[best] + halves[best])
    common = np.maximum(ends - np.maximum(middles - halves, middles[best] - halves[best]), 0).prod(1)
    areas = 4 * halves.prod(1)
    same = common > SAME * (areas + areas[best] - common)
    return np.average(rows[same, 2:4] + centres[same, None], axis=0, weights=scores[same])


def _refine_points(points, heat):
    """Points (n, 2) in the square's pixels, each moved to where the heat (h, w, n) around it lies."""
    refined, scale = points.copy(), LANDMARK_SIDE / len(heat)
    for number, (x, y) in enumerate(points / scale):
        if not (0 <= int(x) < heat.shape[1] and 0 <= int(y) < heat.shape[0]):
            continue
        left, top = max(0, int(x) - AROUND), max(0, int(y) - AROUND)
        window = heat[top : int(y) + AROUND + 1, left : int(x) + AROUND + 1, number]
        if window.max() >= CONFIDENT:
            rows, columns = np.mgrid[top : top + window.shape[0], left : left + window.shape[1]]
            place = np.array([(columns * window).sum(), (rows * window).sum()]) / window.sum()
            refined[number] = place * scale
    return refined


def _to_probability(logits):
    # tanh does not overflow
    return (1 + np.tanh(np.float64(logits) / 2)) / 2


def _cut_square(image, centre, side, angle, pixels: int):
    """A turned square part of a picture, float32 (pixels, pixels, 3) in [0, 1], black beyond its edges.

    Also the function that brings points (n, 2) of the square back into the picture, and the matrix (2, 3)
    that brings the picture's into the square.
    """
    zoom = pixels / side
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    move = pixels / 2 - zoom * turn @ centre
    matrix = np.column_stack([zoom * turn, move])
    square = cv2.warpAffine(image, matrix, (pixels, pixels))
    return square.astype(np.float32) / 255, lambda points: (points - move) @ turn / zoom, matrix
