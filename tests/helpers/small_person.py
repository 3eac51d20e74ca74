"""A person drawn from joints: picture, silhouette, landmarks as mediapipe numbers them, and the true map."""

import cv2
import numpy as np

SKIN, HAIR, RED, BLUE, BLACK, WALL = (
    (205, 150, 125),
    (70, 45, 30),
    (180, 30, 40),
    (40, 60, 150),
    (20,) * 3,
    (120,) * 3,
)
SHOES = 90, 90, 60
SIZE = 360, 240


def landmarks():
    """Of a person who stands upright, float64 (33, 2), x and y in pixels."""
    points = np.zeros((33, 2))
    points[0], points[9], points[10] = (120, 54), (126, 62), (114, 62)
    points[1:4], points[4:7], points[7], points[8] = (128, 46), (112, 46), (136, 50), (104, 50)
    joints = ((11, 150, 100), (13, 168, 150), (15, 178, 198), (23, 138, 200), (25, 142, 270), (27, 144, 335))
    for number, x, y in joints:
        points[number], points[number + 1] = (x, y), (240 - x, y)
    for side in (0, 1):
        hand, foot = points[15 + side] + (0, 12), points[27 + side]
        points[[17 + side, 19 + side, 21 + side]] = hand
        points[29 + side], points[31 + side] = foot + (0, 6), foot + (0, 12)
    return points


def draw_person(top=RED, bottom=BLUE, sleeves=True, legs=True, hem=200, one_piece=False):
    """(picture uint8 (h, w, 3), silhouette float32 (h, w), landmarks, ids uint8 (h, w)) of a dressed person.

    Args:
        sleeves, legs: whether arms and legs are covered.
        hem: row down to which the upper garment hangs.
        one_piece: whether what covers the body down to the hem is one garment, worn without another.
    """
    picture, ids = np.full((*SIZE, 3), WALL, np.uint8), np.zeros(SIZE, np.uint8)
    person, points = np.zeros(SIZE, np.uint8), landmarks()

    def line(start, end, thickness, colour, region=0):
        ends = [tuple(int(v) for v in point) for point in (start, end)]
        for canvas, value in ((picture, colour), (ids, region), (person, 1)):
            cv2.line(canvas, *ends, value, thickness)

    upper = 3 if one_piece else 1
    for side in (0, 1):
        hip, knee, ankle = points[23 + side], points[25 + side], points[27 + side]
        covered = (bottom, 2) if legs else (SKIN, 0)
        line(hip, knee, 24, *covered)
        line(knee, ankle, 18, *covered)
        line(ankle, points[31 + side], 14, SHOES)
    skirt = np.array([[88, 94], [152, 94], [156, hem], [84, hem]])
    for canvas, value in ((picture, top), (ids, upper), (person, 1)):
        cv2.fillConvexPoly(canvas, skirt, value)
    for side in (0, 1):
        shoulder, elbow, wrist = points[11 + side], points[13 + side], points[15 + side]
        covered = (top, upper) if sleeves else (SKIN, 0)
        line(shoulder, elbow, 16, *covered)
        line(elbow, wrist, 14, *covered)
        line(wrist + (0, 6), points[17 + side] + (0, 6), 12, SKIN)
    line((120, 70), (120, 92), 18, SKIN)
    line((120, 44), (120, 46), 42, HAIR)
    line((120, 48), (120, 64), 28, SKIN)
    noise = np.random.default_rng(0).normal(0, 4, picture.shape)
    picture = np.uint8(np.clip(picture + noise, 0, 255))
    return picture, cv2.GaussianBlur(np.float32(person), (5, 5), 0), points, ids
