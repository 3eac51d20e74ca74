"""Find garment regions in pictures: the judge of what a control achieves, and the maker of maps of photos."""

from annotator.segment.interface import Segmenter
from annotator.segment.load import load_finder, load_judge, load_segmenter
from annotator.segment.pixel_segmenter import PixelSegmenter

__all__ = ["PixelSegmenter", "Segmenter", "load_finder", "load_judge", "load_segmenter"]
