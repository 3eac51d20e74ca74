"""A rough map of the garments in a photo, to start from, without weights of a garment network."""

import numpy as np

from annotator.openpose.light import LightPoseDetector

from ..base import Segmenter
from .garments import LARGEST, find_garments

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
    def load(cls, wheel):
        """By the networks in a wheel of mediapipe 0.10.21; what it is worth is said aloud.

        Raises:
            FileNotFoundError, ValueError: as of LightPoseDetector.load.
        """
        segmenter = cls(LightPoseDetector.load(wheel))
        print(f"{wheel}: {ROUGH}", flush=True)
        return segmenter

    def _segment(self, images):
        return np.stack([self._regions(image) for image in images])

    def _regions(self, image):
        person = self.detector.person(image)
        if person is None:
            return np.zeros(image.shape[:2], np.uint8)
        return find_garments(image, person.silhouette, person.landmarks[:33])
