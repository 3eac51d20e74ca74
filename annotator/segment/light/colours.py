"""How likely colours are, and costs that follow a photo's edges."""

import cv2
import numpy as np

LEVELS = 16  # of lightness, a and b
# deviations, in levels, by which a histogram is blurred: light changes more over a garment than its colour
LIGHTNESS_BLUR, COLOUR_BLUR = 1.2, 0.7
UNSEEN = 0.02  # share of all pixels that may have any colour


def to_bins(lab):
    """CIE L*a*b* uint8 (h, w, 3) -> the place of each pixel's colour in a histogram, int (h, w).

    Colours of people and clothes have a and b within 64 of grey; what is beyond, counts as 64.
    """
    colour = np.clip((lab[..., 1:].astype(int) - 64) // 8, 0, LEVELS - 1)
    return (lab[..., 0] // 16 * LEVELS + colour[..., 0]) * LEVELS + colour[..., 1]


def histogram(bins, weights):
    """The share of each colour, float64 (levels³,), of pixels with weights (h, w).

    As skin is told by, and other things are, in Jones and Rehg's "Statistical color models with application
    to skin detection" (IJCV 2002); blurred, since one photo has few pixels.
    """
    counts = np.bincount(bins.ravel(), weights.ravel(), LEVELS**3)
    counts = counts.reshape(LEVELS, LEVELS, LEVELS)
    light, colour = _blur(LIGHTNESS_BLUR), _blur(COLOUR_BLUR)
    counts = np.einsum("lab,lx,ay,bz->xyz", counts, light, colour, colour, optimize=True).ravel()
    return (1 - UNSEEN) * counts / max(counts.sum(), 1e-9) + UNSEEN / LEVELS**3


def overlap(first, second) -> float:
    """Bhattacharyya's coefficient of two histograms: 1 for the same colours, 0 for wholly different ones."""
    return float(np.sqrt(first * second).sum())


def _dot(first, second):
    return np.einsum("hwc,hwc->hw", first, second)


def _blur(deviation):
    levels = np.arange(LEVELS)
    kernel = np.exp(-0.5 * ((levels[:, None] - levels) / deviation) ** 2)
    return kernel / kernel.sum(axis=1, keepdims=True)


class GuidedFilter:
    """Smooths maps, but not over a picture's edges.

    He, Sun and Tang, "Guided image filtering" (PAMI 2013), with a guide in colour. What it learns may be
    applied to a larger guide: He and Sun, "Fast guided filter" (arXiv 1505.00996).

    Args:
        guide: float32 (h, w, 3) in [0, 1].
        radius: of the windows, in pixels.
        softness: variance of the guide below which there is no edge.
    """

    def __init__(self, guide, radius: int = 4, softness: float = 4e-4):
        self.guide, self.window = guide, (2 * radius + 1, 2 * radius + 1)
        self.mean = self._box(guide)
        squares = guide[..., :, None] * guide[..., None, :]
        squares = np.stack([self._box(np.ascontiguousarray(squares[..., i])) for i in range(3)], -1)
        covariance = squares - self.mean[..., :, None] * self.mean[..., None, :]
        self.inverse = np.linalg.inv(covariance + softness * np.eye(3, dtype=np.float32))

    def __call__(self, values, larger=None):
        """One map, float32 (h, w), smoothed; at the size of a larger guide (H, W, 3) if there is one."""
        values = np.ascontiguousarray(values)
        mean = self._box(values)
        covariance = self._box(self.guide * values[..., None]) - self.mean * mean[..., None]
        slope = np.einsum("hwij,hwj->hwi", self.inverse, covariance)
        offset = self._box(mean - _dot(slope, self.mean))
        slope = self._box(slope)
        if larger is None:
            return _dot(slope, self.guide) + offset
        size = larger.shape[1::-1]
        return _dot(cv2.resize(slope, size), larger) + cv2.resize(offset, size)

    def _box(self, values):
        return cv2.blur(values, self.window, borderType=cv2.BORDER_REFLECT)
