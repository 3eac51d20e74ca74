"""How well a segmenter finds the regions of pictures whose maps are known."""

from itertools import groupby, islice

import numpy as np

from learning.segmenter.distorted_dolls import degrade
from pictures.region_overlap import confusion, iou_per_region, mean_iou

TOGETHER = 32  # pictures of one size


def judge_segmenter(segmenter, pairs, num_pairs: int, seed: int) -> dict[str, str]:
    """What to say about a segmenter: its mIoU and each region's IoU, as pictures are and degraded.

    `pairs[i]` is a photo uint8 (h, w, 3) and its region ids uint8 (h, w).
    """
    said = {}
    for kind in ("clean", "degraded"):
        counts = count_pixels(segmenter, (_take_pair(pairs, i, kind, seed) for i in range(num_pairs)))
        said[f"held_out_{kind}"] = f"mIoU {mean_iou(counts):.4f}: {list_ious(segmenter.names, counts)}"
    return said


def count_pixels(segmenter, pairs):
    """The confusion of all pairs, int64 (regions, regions); neighbours of one size are segmented together."""
    counts = 0
    for _, same_size in groupby(pairs, key=lambda pair: pair[1].shape):
        while part := list(islice(same_size, TOGETHER)):
            photos, maps = (np.stack(arrays) for arrays in zip(*part, strict=True))
            counts = counts + confusion(segmenter.segment(photos), maps, len(segmenter.names))
    return counts


def list_ious(names, counts) -> str:
    """Each region's IoU in words."""
    return ", ".join(f"{name} {iou:.3f}" for name, iou in zip(names, iou_per_region(counts), strict=True))


def _take_pair(pairs, index: int, kind: str, seed: int):
    photo, ids = pairs[index]
    return (degrade(np.random.default_rng([seed, index]), photo) if kind == "degraded" else photo), ids
