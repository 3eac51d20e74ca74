"""Maps overlap as far as counts of their pixels say, of one picture or of a whole set."""

import numpy as np

from pictures.region_overlap import confusion, iou_per_region, mean_iou


def test_iou_counts_pixels_of_the_whole_set():
    wanted, found = np.uint8([[0, 1, 1], [2, 2, 2]]), np.uint8([[0, 1, 2], [2, 2, 0]])
    counts = confusion(found, wanted, 4)
    assert counts[1, 2] == 1 and counts[2, 0] == 1 and counts.sum() == 6
    assert np.allclose(iou_per_region(counts), [1 / 2, 1 / 2, 2 / 4, np.nan], equal_nan=True)
    assert mean_iou(counts) == 0.5
    assert mean_iou(2 * counts) == 0.5
