"""Find the garment regions in a picture of a paper doll: the judge of what a control achieves."""

from .metrics import confusion, iou_per_region, mean_iou
from .segmenter import PixelSegmenter

__all__ = ["PixelSegmenter", "confusion", "iou_per_region", "mean_iou"]
