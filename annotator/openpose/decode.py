"""From OpenPose's heatmaps and fields to people (arXiv 1611.08050, sections 2.2 to 2.4)."""

import cv2
import numpy as np

from annotator.openpose.pose import LIMBS, NUM_DRAWN

# the first of a limb's two fields, in the order of LIMBS
FIELDS = 12, 20, 14, 16, 22, 24, 0, 2, 4, 6, 8, 10, 28, 30, 34, 32, 36, 18, 26
SMOOTHING = 3  # sigma in pixels
LEAST_HEAT = 0.1  # of a peak
LEAST_FIELD, SAMPLES, AGREEING = 0.05, 10, 8  # along a limb, more than 8 of 10 samples must agree with it
LEAST_PARTS, LEAST_SCORE = 4, 0.4  # of a person: keypoints, and score by keypoint


def find_people(heatmaps, fields):
    """People, float32 (n, 18, 3): x and y in pixels and the heat there, 0 for a keypoint that is not found.

    Args:
        heatmaps: float32 (h, w, 18 or more), the keypoints' first.
        fields: float32 (h, w, 38).
    """
    peaks = find_peaks(heatmaps[..., :18])
    points = np.concatenate(peaks)
    starts = np.cumsum([0, *map(len, peaks)])
    joined = []
    for number, ((a, b), field) in enumerate(zip(LIMBS, FIELDS, strict=True)):
        for i, j, score in match_limbs(peaks[a], peaks[b], fields[..., field : field + 2]):
            joined.append((number, starts[a] + i, starts[b] + j, score))
    people = assemble_people(joined, points[:, 2])
    found = np.zeros((len(people), 18, 3), np.float32)
    for person, members in zip(found, people, strict=True):
        for joint, point in members.items():
            person[joint] = points[point]
    return found


def find_peaks(heatmaps) -> list:
    """Local maxima of each heatmap, float32 (n, 3) of x, y and heat; heatmaps are (h, w, keypoints)."""
    smooth = cv2.GaussianBlur(heatmaps, (0, 0), SMOOTHING, borderType=cv2.BORDER_REFLECT)
    padded = np.pad(smooth, ((1, 1), (1, 1), (0, 0)))
    # of equal neighbours the first is the maximum: a plateau is one peak
    is_peak = (smooth > LEAST_HEAT) & (smooth > padded[:-2, 1:-1]) & (smooth > padded[1:-1, :-2])
    is_peak &= (smooth >= padded[2:, 1:-1]) & (smooth >= padded[1:-1, 2:])
    peaks = []
    for joint in range(heatmaps.shape[2]):
        y, x = np.nonzero(is_peak[..., joint])
        peaks.append(np.stack([x, y, heatmaps[y, x, joint]], axis=1).astype(np.float32))
    return peaks


def match_limbs(starts, ends, field) -> list[tuple[int, int, float]]:
    """Which start belongs to which end of a limb, best first: (start, end, score), each of them once.

    Args:
        starts, ends: float32 (n, 3) and (m, 3) of find_peaks.
        field: float32 (h, w, 2), the limb's direction wherever it lies.
    """
    if not len(starts) or not len(ends):
        return []
    way = ends[None, :, :2] - starts[:, None, :2]
    length = np.maximum(np.hypot(way[..., 0], way[..., 1]), 1e-3)
    steps = np.linspace(0, 1, SAMPLES, dtype=np.float32)[:, None]
    places = (starts[:, None, None, :2] + steps * way[:, :, None]).round().astype(int)
    along = field[places[..., 1], places[..., 0]]
    agreement = (along * (way / length[..., None])[:, :, None]).sum(-1)
    # long limbs are unlikely: over half of the picture's height they cost
    score = agreement.mean(-1) + np.minimum(0.5 * len(field) / length - 1, 0)
    possible = ((agreement > LEAST_FIELD).sum(-1) > AGREEING) & (score > 0)
    pairs = np.argwhere(possible)
    pairs = pairs[np.argsort(-score[possible], kind="stable")]
    used_starts, used_ends, matches = set(), set(), []
    for i, j in pairs.tolist():
        if i not in used_starts and j not in used_ends:
            used_starts.add(i), used_ends.add(j)
            matches.append((i, j, float(score[i, j])))
    return matches


def assemble_people(joined, heat) -> list[dict[int, int]]:
    """Limbs (number, start, end, score) -> the points of each person by keypoint; `heat` is each point's.

    People with few keypoints or weak ones are left out.
    """
    people = []  # [points by keypoint, score]
    for number, start, end, score in joined:
        a, b = LIMBS[number]
        owners = [person for person in people if person[0].get(a) == start or person[0].get(b) == end]
        if len(owners) == 2 and not owners[0][0].keys() & owners[1][0].keys():
            owners[0][0].update(owners[1][0])
            owners[0][1] += owners[1][1] + score
            people = [person for person in people if person is not owners[1]]
        elif owners:
            new = [(joint, point) for joint, point in ((a, start), (b, end)) if joint not in owners[0][0]]
            owners[0][0].update(new)
            owners[0][1] += sum(heat[point] + score for _, point in new)
        elif number < NUM_DRAWN:
            people.append([{a: start, b: end}, heat[start] + heat[end] + score])
    return [
        points
        for points, score in people
        if len(points) >= LEAST_PARTS and score / len(points) >= LEAST_SCORE
    ]


ARMS = (5, 6, 7), (2, 3, 4)  # shoulder, elbow, wrist: left, right
NUM_KEYPOINTS = 21
LEAST_HAND_HEAT = 0.05
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
        spots = cv2.GaussianBlur(heat, (0, 0), SMOOTHING, borderType=cv2.BORDER_REFLECT) > LEAST_HAND_HEAT
        if not spots.any():
            continue
        count, labels = cv2.connectedComponents(spots.astype(np.uint8), connectivity=8)
        sums = np.bincount(labels.ravel(), heat.ravel(), count)
        inside = np.where(labels == 1 + sums[1:].argmax(), heat, -np.inf)
        y, x = np.unravel_index(inside.argmax(), heat.shape)
        keypoint[:] = x, y, heat[y, x]
    return keypoints
