"""Find garment regions in pictures: the judge of what a control achieves, and the maker of maps of photos."""

from .base import Segmenter
from .loading import load_finder, load_judge, load_segmenter
from .metrics import confusion, iou_per_region, mean_iou
from .segmenter import PixelSegmenter

__all__ = [
    "PixelSegmenter",
    "Segmenter",
    "confusion",
    "iou_per_region",
    "load_finder",
    "load_judge",
    "load_segmenter",
    "mean_iou",
]
