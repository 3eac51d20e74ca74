"""Find garment regions in pictures: the judge of what a control achieves, and the maker of maps of photos."""

from annotator.segment.interface import Segmenter, confusion, iou_per_region, mean_iou
from annotator.segment.load import load_finder, load_judge, load_segmenter
from annotator.segment.pixel_segmenter import PixelSegmenter

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
