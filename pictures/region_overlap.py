"""How far found region maps and wanted ones overlap: intersection over union, from counts of pixels."""

import numpy as np


def confusion(found, wanted, num_regions: int):
    """How many pixels of each wanted region (row) were found to be in each region (column): int64, square.

    Both are region ids of one shape; add the results of several pictures.
    """
    pairs = np.asarray(wanted, np.int64).ravel() * num_regions + np.asarray(found, np.int64).ravel()
    return np.bincount(pairs, minlength=num_regions**2).reshape(num_regions, num_regions)


def iou_per_region(counts):
    """Intersection over union of each region of a confusion, float64; nan for a region that never occurs."""
    both = np.diag(counts).astype(np.float64)
    either = counts.sum(axis=0) + counts.sum(axis=1) - both
    return np.divide(both, either, out=np.full(len(both), np.nan), where=either > 0)


def mean_iou(counts) -> float:
    """The mean IoU of the regions that occur, without region 0, the background."""
    return float(np.nanmean(iou_per_region(counts)[1:]))
