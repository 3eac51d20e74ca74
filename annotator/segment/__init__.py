"""Find garment regions in pictures: the judge of what a control achieves, and the maker of maps of photos."""

from annotator.segment.interface import Segmenter
from annotator.segment.pixel import PixelSegmenter
from annotator.segment.segmenters import load_as_annotator, load_finder, load_judge, load_segmenter

__all__ = [
    "PixelSegmenter",
    "Segmenter",
    "load_as_annotator",
    "load_finder",
    "load_judge",
    "load_segmenter",
]
