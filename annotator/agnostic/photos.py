"""Agnostic masks of photos: a network's label map and a detector's pose go through a mask style's rule."""

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import yaml
from torch import OutOfMemoryError

from annotator.agnostic.person import Person, Pose
from annotator.agnostic.rules import agnostic_mask, choose_style
from annotator.interface import Annotator, PictureMaps
from annotator.openpose import load_pose_detector
from annotator.openpose.detector import BODY_FILE
from annotator.openpose.pose import LIMBS, NUM_DRAWN
from annotator.openpose.wheel import WHEELS
from annotator.segment import load_segmenter
from annotator.segment.segformer import FILES, map_labels, plain_label
from annotator.weights import fingerprint

USUAL_WEIGHTS = "models/annotators"
SETS_FILE = Path(__file__).with_name("label_sets.yaml")
ROWS = 512  # at which rules are applied: the published styles' widths in pixels are meant for it
BY_SIDE = "polygons", "arms"  # rules that tell the left arm's label from the right's
OTHERS = (
    "take --mask-style body_part or box, or --weights of a network that parses people, such as "
    "mattmdjaga/segformer_b2_clothes"
)


class PhotoMasker:
    """mask = PhotoMasker(segmenter, detector, "body_part", "upper")(photo)

    A photo uint8 (h, w, 3) in RGB -> uint8 (h, w), 255 where a garment of the category may be painted.
    Nothing is masked where nobody is found; of several people, the largest is.

    Args:
        segmenter: of annotator.segment; its `parse` makes the label map.
        detector: has `poses`, as of annotator.openpose; None for a style that reads no pose.

    Raises:
        ValueError: there is no such style, or the segmenter does not tell apart what it reads.
    """

    def __init__(self, segmenter, detector, style: str, category: str):
        self.finder, self.style, self.category = PersonFinder(segmenter, detector), style, category
        rule, known = choose_style(style, category).rule, {plain_label(name) for name in segmenter.labels}
        if rule == "parts":
            raise ValueError(f"mask style {style} reads DensePose's body parts, which no annotator finds")
        try:
            self._apply(np.zeros((ROWS, ROWS), np.uint8), Pose.read(np.zeros((18, 2)), "coco18", ROWS))
        except ValueError as error:
            raise ValueError(f"{error}: {OTHERS}") from error
        if rule in BY_SIDE and not {"left arm", "right arm"} <= known:
            raise ValueError(f"mask style {style} reads a label for each arm, and there is none: {OTHERS}")

    def __call__(self, photo):
        """The mask, uint8 (h, w); ValueError where it would cover all."""
        height, width = photo.shape[:2]
        bodies, pose = [], None
        if self.finder.detector is not None:
            bodies = self.finder.find_bodies(photo)
            if not bodies:
                return np.zeros((height, width), np.uint8)
            pose = Pose.read(bodies[0], "coco18", height)
        mask = self._apply(self.finder.segmenter.parse(photo), pose)
        if len(bodies) > 1:
            mask &= is_nearest([body * (ROWS / height) for body in bodies], mask.shape)
        if mask.all():
            raise ValueError("the mask covers the whole photo: it shows too little around the person")
        soft = cv2.resize(np.uint8(mask) * 255, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.uint8(255) * (soft > 127)

    def _apply(self, ids, pose):
        """The rule's mask bool (512, W) of a label map uint8 (h, w) and a pose."""
        size = ROWS, max(1, round(ROWS * ids.shape[1] / ids.shape[0]))
        return agnostic_mask(self.style, self.category, Person(self.finder.name_labels(ids), pose), size)


class PersonFinder:
    """What mask styles read, found in photos uint8 (h, w, 3) in RGB by networks, or roughly by rules.

    Args:
        segmenter: of annotator.segment.
        detector: has `poses`, as of annotator.openpose; None finds no poses.
        files: fingerprints of their weights, by what they are.
    """

    def __init__(self, segmenter, detector, files=None):
        self.segmenter, self.detector, self.files = segmenter, detector, files or {}
        self.tables = make_tables(segmenter.labels)

    @classmethod
    def load(cls, weights=None, pose_weights=USUAL_WEIGHTS, device="cpu", poses=True):
        """The segmenter of `weights`, or of models/annotators, and, if `poses`, the detector of others.

        Raises:
            FileNotFoundError, ValueError: a network is missing; the message says where to get one.
        """
        weights = weights or USUAL_WEIGHTS
        try:
            segmenter = load_segmenter(weights, device)
            detector = load_pose_detector(pose_weights, device) if poses else None
        except FileNotFoundError as error:
            raise FileNotFoundError(f"agnostic masks need a label map and a pose: {error}") from error
        files = dict(weights=fingerprint(weights, (*FILES, WHEELS)))
        if poses:
            files |= dict(pose_weights=fingerprint(pose_weights, (BODY_FILE, WHEELS)))
        return cls(segmenter, detector, files)

    def find_labels(self, photo) -> dict[str, np.ndarray]:
        """Label maps uint8 (h, w) by their label sets."""
        return self.name_labels(self.segmenter.parse(photo))

    def name_labels(self, ids) -> dict[str, np.ndarray]:
        """The same of what the segmenter's `parse` gave."""
        return {name: table[ids] for name, table in self.tables.items()}

    def find_bodies(self, photo) -> list[np.ndarray]:
        """Joints (18, 2) of each person in COCO-18's order, see `sort_bodies`."""
        return [] if self.detector is None else sort_bodies(self.detector.poses(photo))


def sort_bodies(poses) -> list:
    """Joints (18, 2) of each pose, (0, 0) for one that was not found; people who fill more come first."""
    bodies = [pose.body[:, :2] * (pose.body[:, 2:] > 0) for pose in poses if (pose.body[:, 2] > 0).any()]
    return sorted(bodies, key=lambda body: -np.ptp(body[body.any(1)], axis=0).prod())


def is_nearest(bodies, size: tuple[int, int]):
    """Where in a picture the first of some bodies, joints (18, 2) each, is nearest, bool (H, W)."""
    first, *others = (measure_distances(body, size) for body in bodies)
    return first <= np.min(others, axis=0)


def measure_distances(body, size: tuple[int, int]):
    """Distance of each pixel from the bones of joints (18, 2), float32 (H, W)."""
    canvas, points = np.full(size, 255, np.uint8), np.round(body).astype(int)
    for ends in LIMBS[:NUM_DRAWN]:
        if body[list(ends)].any(1).all():
            cv2.line(canvas, *(points[end].tolist() for end in ends), 0)
    return cv2.distanceTransform(canvas, cv2.DIST_L2, 3)


@cache
def read_label_sets() -> dict[str, dict[str, int]]:
    """By label set the ids of labels, as label_sets.yaml lists them."""
    sets = yaml.safe_load(SETS_FILE.read_text("utf-8"))
    return {name: {each: i for i, listed in ids.items() for each in listed} for name, ids in sets.items()}


def make_tables(labels) -> dict[str, np.ndarray]:
    """By label set the id of each of a network's labels, uint8 (labels,); regions alone without a face."""
    plain = [plain_label(label) for label in labels]
    sets = read_label_sets() if "face" in plain else {}
    tables = {name: np.uint8([ids.get(label, 0) for label in plain]) for name, ids in sets.items()}
    return tables | {"regions": map_labels(list(labels))}


def load_as_annotator(weights, options, device) -> Annotator:
    """Masks by the segmenter of `weights`, or of models/annotators, and the style of AgnosticOptions.

    Raises:
        FileNotFoundError, ValueError: a network is missing, or cannot be used for the style; the message says
            where to get one.
    """
    style = options.mask_style
    reads_pose = choose_style(style, options.category).rule != "regions"
    finder = PersonFinder.load(weights, options.pose_weights, device, reads_pose)
    return Annotator(
        call=PhotoMasker(finder.segmenter, finder.detector, style, options.category),
        maps=PictureMaps("mask"),
        settings=finder.files | dict(mask_style=style, category=options.category),
        faults=(ValueError, OutOfMemoryError),
    )
