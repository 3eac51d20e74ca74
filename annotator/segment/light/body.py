"""Which part of a body is where in a picture, from mediapipe's 33 landmarks (arXiv 2006.10204, figure 3)."""

from dataclasses import dataclass

import cv2
import numpy as np

TORSO, ARM, FOREARM, HAND, THIGH, SHIN, FOOT, HEAD, NECK = PARTS = range(9)
EYES, MOUTH, SHOULDERS, HIPS, KNEES = (1, 2, 3, 4, 5, 6), (9, 10), (11, 12), (23, 24), (25, 26)
# by side: hip, knee, ankle
LEGS = (23, 25, 27), (24, 26, 28)
# by side: wrist and the knuckles of the little finger, the index finger and the thumb
HANDS = (15, (17, 19, 21)), (16, (18, 20, 22))
# part, half its thickness in widths of the shoulders, landmarks at its ends
BONES = (
    *((ARM, 0.14, 11, 13), (ARM, 0.14, 12, 14), (FOREARM, 0.11, 13, 15), (FOREARM, 0.11, 14, 16)),
    *((THIGH, 0.22, 23, 25), (THIGH, 0.22, 24, 26), (SHIN, 0.15, 25, 27), (SHIN, 0.15, 26, 28)),
    *((FOOT, 0.10, 29, 31), (FOOT, 0.10, 30, 32), (FOOT, 0.08, 27, 29), (FOOT, 0.08, 28, 30)),
)


@dataclass
class Body:
    """Maps of one size (h, w).

    Args:
        part: int, the nearest of PARTS.
        beyond: float, how far that part is, in widths of the shoulders; negative inside it.
        height: float, 0 at the shoulders, 1 at the hips, 2 at the knees, 3 at the ankles.
        aside, below: float, how far a pixel is from the face's axis and below the eyes, in distances from
            the eyes to the mouth; the chin is at about 1.8.
        face: that distance in pixels.
        knees: float (2, 2), x and y in pixels.
        left: bool, whether the person's left limbs are nearer than the right ones.
    """

    part: np.ndarray
    beyond: np.ndarray
    height: np.ndarray
    aside: np.ndarray
    below: np.ndarray
    face: float
    knees: np.ndarray
    left: np.ndarray

    def in_parts(self, *parts):
        """Where one of the parts is the nearest, bool (h, w)."""
        return np.isin(self.part, parts)

    def is_face(self):
        """Between the eyebrows and the mouth: skin, if anything is."""
        return (self.aside < 1) & (self.below > -0.3) & (self.below < 1.3)


def find_body(shape, points) -> Body:
    """The body of landmarks (33, 2), x and y in pixels, in a picture of a shape (h, w)."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    places = np.stack([columns, rows], axis=-1).astype(np.float64)
    shoulders, hips, eyes, mouth = (points[list(i)].mean(0) for i in (SHOULDERS, HIPS, EYES, MOUTH))
    # seen from the side, shoulders are narrow
    width = max(np.hypot(*(points[11] - points[12])), 0.6 * np.hypot(*(hips - shoulders)), 1.0)
    face = max(np.hypot(*(mouth - eyes)), 0.12 * width)
    down = (mouth - eyes) / max(np.hypot(*(mouth - eyes)), 1e-6)
    below = (places - eyes) @ down / face
    aside = np.abs((places - eyes) @ np.array([-down[1], down[0]])) / face
    distances = np.full((len(PARTS), *shape), np.inf)
    sides = np.full((2, *shape), np.inf)  # of the right limbs, whose landmarks are even, and the left
    for part, half, start, end in BONES:
        bone = _distance_to_line(places, points[start], points[end]) - half * width
        distances[part] = np.minimum(distances[part], bone)
        sides[start % 2] = np.minimum(sides[start % 2], bone)
    for wrist, knuckles in HANDS:
        fingers = points[list(knuckles)].mean(0) - points[wrist]
        ends = points[wrist] + 0.3 * fingers, points[wrist] + 1.6 * fingers
        hand = _distance_to_line(places, *ends) - 0.12 * width
        distances[HAND] = np.minimum(distances[HAND], hand)
        sides[wrist % 2] = np.minimum(sides[wrist % 2], hand)
    distances[TORSO] = _distance_to_torso(shape, points) - 0.12 * width
    distances[NECK] = _distance_to_line(places, mouth + 0.8 * face * down, shoulders) - 0.18 * width
    skull = np.hypot(aside, np.maximum(0, np.maximum(below - 1.2, -1.5 - below))) - 1.9
    distances[HEAD] = np.where(below < 1.9, skull * face, np.inf)
    part = distances.argmin(axis=0)
    # shoulders and raised arms do not take what belongs to the face
    part[(below < 1.7) & (np.hypot(aside, 0.75 * np.maximum(0, -below)) < 1.9)] = HEAD
    height = _heights(places, points, shoulders, hips, np.isin(part, (THIGH, SHIN, FOOT)))
    beyond, knees, left = distances.min(axis=0) / width, points[list(KNEES)], sides[1] < sides[0]
    return Body(part, beyond, height, aside, below, face, knees, left)


def _along(places, start, end):
    """Where on the way from start, 0, to end, 1, the places (h, w, 2) are."""
    way = end - start
    return (places - start) @ way / max(way @ way, 1e-6)


def _distance_to_line(places, start, end):
    share, (across, down) = np.clip(_along(places, start, end), 0, 1), end - start
    return np.hypot(places[..., 0] - start[0] - share * across, places[..., 1] - start[1] - share * down)


def _distance_to_torso(shape, points):
    """Distance from the hull of shoulders and hips, as far as it is in the picture."""
    outside = np.ones(shape, np.uint8)
    corners = np.round(points[[*SHOULDERS, *HIPS]]).astype(np.int32)
    cv2.fillConvexPoly(outside, cv2.convexHull(corners), 0)
    return np.inf if outside.all() else cv2.distanceTransform(outside, cv2.DIST_L2, 3)


def _heights(places, points, shoulders, hips, legs):
    torso, nearest, height = _along(places, shoulders, hips), np.inf, 0.0
    for hip, knee, ankle in LEGS:
        for level, start, end in ((1, hip, knee), (2, knee, ankle)):
            ends = points[start], points[end]
            distance = _distance_to_line(places, *ends)
            height = np.where(distance < nearest, level + np.clip(_along(places, *ends), 0, 1), height)
            nearest = np.minimum(nearest, distance)
    return np.where(legs, np.maximum(height, np.minimum(torso, 1.1)), np.minimum(torso, 1.15))
