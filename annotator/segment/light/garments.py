"""From labels to garments: what is top, what bottom, what whole."""

import cv2
import numpy as np

from annotator.openpose.light import LightPoseDetector
from annotator.openpose.wheel import find_wheel
from annotator.segment.interface import Segmenter
from annotator.segment.light.body import ARM, FOOT, FOREARM, HAND, HEAD, NECK, SHIN, THIGH, TORSO, find_body
from annotator.segment.light.colours import histogram, overlap
from annotator.segment.light.labels import HAIR, LOWER, SHOES, SKIN, UPPER, View, find_labels

SIDE, LARGEST = 320, 1024  # pixels of a person's longer side at which colours are learnt, and edges followed
ROOM = 0.04  # around a person, of the longer side
SAME = 0.72  # overlap of the colours above and below the waist from which they are of one fabric
HIPS = 2.0  # cost of being on the wrong side of them, so low that no seam opens between the sides
# ids of regions
TOP, BOTTOM, WHOLE = 1, 2, 3
ISLAND, HOLE = 0.01, 0.003  # of the person, what is too small to be a garment, or to be none
# of a rough parse map, by id; the first four are the regions
PARSED = tuple(
    "background top pants dress hair face left_arm right_arm left_leg right_leg left_shoe right_shoe".split()
)


def find_garments(picture, silhouette, points):
    """Region ids uint8 (h, w): 0 background, 1 top, 2 bottom, 3 whole; arguments as of find_parse."""
    return keep_garments(find_parse(picture, silhouette, points))


def keep_garments(ids):
    """A map of places in PARSED without what is no garment: region ids."""
    return np.where(ids <= WHOLE, ids, 0).astype(np.uint8)


def find_parse(picture, silhouette, points):
    """Label ids uint8 (h, w), places in PARSED: garments, and what else of the person is seen.

    Args:
        picture: uint8 (h, w, 3), RGB.
        silhouette: float32 (h, w) in [0, 1], of one person.
        points: the person's landmarks, float (33, 2), x and y in pixels.
    """
    ids = np.zeros(picture.shape[:2], np.uint8)
    if not (silhouette > 0.5).any():
        return ids
    rows, columns = _surround(silhouette)
    part, corner = picture[rows, columns], (columns.start, rows.start)
    view = _make_view(part, silhouette[rows, columns], points - corner)
    labels, costs, smooth = find_labels(view)
    worn = what_is_worn(view, labels)
    if worn == "jacket and trousers":
        _split_at_hips(view.body, costs)
    large = _shrink(part, LARGEST)
    guide = np.float32(cv2.cvtColor(large, cv2.COLOR_RGB2LAB)) / 255
    labels = np.stack([smooth(cost, guide) for cost in np.moveaxis(costs, -1, 0)]).argmin(axis=0)
    found = np.zeros(labels.shape, np.uint8)
    found[labels == UPPER] = WHOLE if worn in ("dress", "coat") else TOP
    found[labels == LOWER] = dict(dress=WHOLE, top=TOP).get(worn, BOTTOM)
    found = tidy(found, (view.silhouette > 0.5).mean() * found.size)
    found = np.where(found, found, name_body(view.body, labels))
    ids[rows, columns] = cv2.resize(found, part.shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return ids


def name_body(body, labels):
    """Places in PARSED uint8 (H, W) of hair, skin and shoes, by labels (H, W) and a body's maps (h, w)."""

    def enlarge(places):
        return cv2.resize(np.uint8(places), labels.shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT) > 0

    ids, right, skin = np.zeros(labels.shape, np.uint8), ~enlarge(body.left), labels == SKIN
    ids[labels == HAIR] = PARSED.index("hair")
    ids[skin & enlarge(body.in_parts(HEAD, NECK))] = PARSED.index("face")
    limbs = dict(
        arm=skin & enlarge(body.in_parts(ARM, FOREARM, HAND)),
        leg=skin & enlarge(body.in_parts(THIGH, SHIN, FOOT)),
        shoe=labels == SHOES,
    )
    for name, where in limbs.items():
        ids[where] = PARSED.index(f"left_{name}") + right[where]
    return ids


def what_is_worn(view: View, labels) -> str:
    """Two garments, a coat, a dress, a top, or a jacket and trousers, of labels (h, w).

    Of different colours above and below the waist they are two; the upper one is a coat if it reaches far
    down the thighs. Of one colour they are a dress if legs are bare, or if arms are and there is no gap
    between the knees; a top if there is little below the hips; else a jacket and trousers.
    """
    body, upper, lower = view.body, labels == UPPER, labels == LOWER
    if not upper.any() or not lower.any():
        return "two"
    chest = upper & body.in_parts(TORSO) & (body.height < 0.9)
    legs = lower & (body.height < 1.6)
    alike = overlap(histogram(view.bins, chest), histogram(view.bins, legs))
    if alike <= SAME:
        return "coat" if np.percentile(body.height[upper], 98) > 1.4 else "two"
    little = lower.sum() < 0.2 * (upper | lower).sum()
    arms_bare = _bare(view, labels, ARM, FOREARM) > 0.3
    if _bare(view, labels, THIGH, SHIN) > 0.15:
        return "dress"
    if arms_bare and alike > 0.9 and not little and not _knees_apart(view):
        return "dress"
    return "top" if little else "jacket and trousers"


def tidy(ids, size: float):
    """Ids (h, w) without specks: what is small beside a person of `size` pixels becomes what is around it."""
    ids = ids.copy()
    for region in (BOTTOM, TOP, WHOLE, 0):
        smallest = size * (ISLAND if region else HOLE)
        _, pieces, boxes, _ = cv2.connectedComponentsWithStats(np.uint8(ids == region), connectivity=4)
        for number, (x, y, width, height, area) in enumerate(boxes):
            if number == 0 or area >= smallest:
                continue
            box = np.s_[max(0, y - 1) : y + height + 1, max(0, x - 1) : x + width + 1]
            piece = pieces[box] == number
            ring = (cv2.dilate(np.uint8(piece), np.ones((3, 3), np.uint8)) > 0) & ~piece
            ids[box][piece] = np.bincount(ids[box][ring], minlength=1).argmax()
    return ids


def _bare(view, labels, *parts) -> float:
    """What share of parts of the body is skin, of what is skin or clothes there; 0 if they are not seen."""
    parts = view.body.in_parts(*parts) & np.isin(labels, (SKIN, UPPER, LOWER))
    seen = parts.sum() > 0.01 * (view.silhouette > 0.5).sum()
    return (labels[parts] == SKIN).mean() if seen else 0.0


def _knees_apart(view) -> bool:
    """Whether something behind the person is seen between the knees."""
    left, right = view.body.knees
    x, y = np.round(left + np.linspace(0.2, 0.8, 20)[:, None] * (right - left)).astype(int).T
    height, width = view.silhouette.shape
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    return bool((view.silhouette[y[inside], x[inside]] < 0.5).any())


def _split_at_hips(body, costs):
    """Where colours cannot tell the clothes apart, the hips do."""
    legs = (body.height > 1) & body.in_parts(TORSO, THIGH, SHIN)
    either = costs[..., [UPPER, LOWER]].min(axis=-1)
    costs[..., UPPER] = either + HIPS * legs
    costs[..., LOWER] = either + HIPS * ~legs


def _surround(silhouette):
    """Slices of rows and columns with some room around a person."""
    sides = []
    rows, columns = np.nonzero(silhouette > 0.5)
    room = round(ROOM * max(np.ptp(rows), np.ptp(columns)))
    for places, length in zip((rows, columns), silhouette.shape, strict=True):
        sides.append(slice(max(0, int(places.min()) - room), min(length, int(places.max()) + room + 1)))
    return sides


def _make_view(picture, silhouette, points):
    small = _shrink(picture, SIDE)
    size, scale = small.shape[1::-1], small.shape[0] / picture.shape[0]
    silhouette = cv2.resize(silhouette, size, interpolation=cv2.INTER_AREA)
    return View(small, silhouette, find_body(small.shape[:2], points * scale))


def _shrink(picture, longest: int):
    factor = min(1.0, longest / max(picture.shape[:2]))
    size = [max(1, round(factor * side)) for side in picture.shape[1::-1]]
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


NAMES = "background", "top", "bottom", "whole"
ROUGH = (
    "it guesses the garments of one person by rules: a rough map to start from, which a person corrects; "
    "it knows no head"
)


class LightSegmenter(Segmenter):
    """segmenter = LightSegmenter.load("models/annotators/mediapipe-0.10.21-….whl")

    It takes the person whom the pose network is surest of, and finds nothing where nobody is.
    """

    kind, nothing = "light", "nobody found, or no clothes"
    no_judge = (
        "it guesses garments by rules, so that control mIoU would say more about the rules than the control"
    )

    def __init__(self, detector):
        """`detector.person(picture)` is the person, as of LightPoseDetector, or None."""
        self.detector, self.names, self.size = detector, NAMES, LARGEST

    @classmethod
    def reads(cls, path):
        # a SegFormer beside the wheel is the better one
        return find_wheel(path) is not None and not (path / "config.json").is_file()

    @classmethod
    def load(cls, path, device="cpu"):
        """By the networks in a wheel of mediapipe 0.10.21, or in a folder's; what it is worth is said aloud.

        Raises:
            FileNotFoundError, ValueError: as of LightPoseDetector.load.
        """
        wheel = find_wheel(path) or path
        segmenter = cls(LightPoseDetector.load(wheel))
        print(f"{wheel}: {ROUGH}", flush=True)
        return segmenter

    @property
    def labels(self):
        return PARSED

    def parse(self, image):
        return self._find_by_parts(self._parse_all, np.asarray(image)[None])[0]

    def _segment(self, images):
        return keep_garments(self._parse_all(images))

    def _parse_all(self, images):
        return np.stack([self._parse_one(image) for image in images])

    def _parse_one(self, image):
        person = self.detector.person(image)
        if person is None:
            return np.zeros(image.shape[:2], np.uint8)
        return find_parse(image, person.silhouette, person.landmarks[:33])
