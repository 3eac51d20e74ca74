"""Edges of a picture, as ControlNet's canny models want them."""

from dataclasses import asdict

import cv2
import numpy as np

from annotator.interface import Annotator, PictureMaps


class CannyDetector:
    """edges = CannyDetector()(picture)  # uint8 (h, w, 3), RGB -> uint8 (h, w), 255 on edges, else 0"""

    def __call__(self, image, low_threshold: float = 100, high_threshold: float = 200):
        """Edges whose gradient is over the high threshold, and those over the low one that touch them.

        Raises:
            ValueError: no RGB picture, or thresholds that are negative or the wrong way round.
        """
        image = np.ascontiguousarray(image)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ValueError(f"canny wants an RGB picture, uint8 (h, w, 3); got {image.dtype} {image.shape}")
        if not 0 <= low_threshold <= high_threshold:
            raise ValueError(
                f"canny wants 0 <= low_threshold <= high_threshold, got {low_threshold} and {high_threshold}"
            )
        return cv2.Canny(image, low_threshold, high_threshold)


def load_as_annotator(weights, options, device) -> Annotator:
    """Canny's edges with the thresholds of CannyOptions; ValueError for those that cannot be."""
    detector, thresholds = CannyDetector(), asdict(options)
    detector(np.zeros((16, 16, 3), np.uint8), **thresholds)
    return Annotator(
        call=lambda photo: detector(photo, **thresholds), maps=PictureMaps("edges"), settings=thresholds
    )
