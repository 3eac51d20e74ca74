"""Run-length code: read, written, sampled and measured as the masks it stands for."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from annotator.imaterialist import LABELS_FILE, index_annotations, read_rows, rle_decode, rle_encode
from annotator.imaterialist.rle import pixels_per_row, rle_runs, runs_box, runs_overlap, sample_runs

REAL = Path(__file__).parents[2] / "helpers" / "data" / "imaterialist" / "train.csv"


def random_masks(num_masks=300):
    """Masks (h, w) of every density that are not empty, and the generator that drew them."""
    generator = np.random.default_rng(0)
    for _ in range(num_masks):
        mask = generator.random(generator.integers(1, 15, 2)) < generator.choice([0.1, 0.5, 0.9, 1])
        mask[tuple(generator.integers(mask.shape))] = True
        yield mask, rle_runs(rle_encode(mask), *mask.shape), generator


def test_rle_counts_from_one_down_the_columns():
    mask = rle_decode("2 2 7 1", 3, 4)
    assert mask.shape == (3, 4) and mask.dtype == bool
    assert (np.argwhere(mask) == [(0, 2), (1, 0), (2, 0)]).all()


def test_rle_round_trips_also_at_the_borders():
    for mask, _, _ in random_masks():
        assert (rle_decode(rle_encode(mask), *mask.shape) == mask).all()
    assert rle_encode(np.zeros((5, 7), bool)) == ""


def test_runs_may_touch():
    assert (rle_decode("1 2 3 2", 3, 4) == rle_decode("1 4", 3, 4)).all()


def test_the_real_masks_decode_as_pycocotools_decodes_them():
    [places] = index_annotations(REAL, LABELS_FILE).places.values()
    for found in read_rows(REAL, places)[0][:3]:
        numbers = np.array(found.rle.split(), np.int64).reshape(-1, 2)
        ends = numbers.sum(axis=1) - 1
        gaps = numbers[:, 0] - 1 - np.concatenate([[0], ends[:-1]])
        counts = [*np.stack([gaps, numbers[:, 1]], 1).ravel(), found.height * found.width - ends[-1]]
        size = [found.height, found.width]
        wanted = coco.decode(coco.frPyObjects([{"size": size, "counts": list(map(int, counts))}], *size))
        assert (rle_decode(found.rle, *size) == wanted[..., 0]).all()


def test_a_sampled_mask_is_the_whole_mask_at_the_sampled_places():
    for mask, runs, generator in random_masks():
        rows, columns = (np.sort(generator.integers(0, s, generator.integers(1, 20))) for s in mask.shape)
        sampled = sample_runs(runs, mask.shape[0], rows, columns)
        assert sampled.dtype == bool and (sampled == mask[rows][:, columns]).all()


def test_a_sampled_mask_is_what_pillow_makes_of_a_box_with_nearest():
    for mask, runs, generator in random_masks():
        height, width = generator.integers(1, 25, 2)
        (top, bottom), (left, right) = (np.sort(generator.uniform(0, side, 2)) for side in mask.shape)
        rows = np.floor(top + (np.arange(height) + 0.5) * (bottom - top) / height).astype(int)
        columns = np.floor(left + (np.arange(width) + 0.5) * (right - left) / width).astype(int)
        image = Image.fromarray(mask.astype(np.uint8))
        wanted = image.resize((width, height), Image.Resampling.NEAREST, (left, top, right, bottom))
        assert (sample_runs(runs, mask.shape[0], rows, columns) == np.asarray(wanted)).all()


def test_boxes_rows_and_overlaps_of_runs_are_those_of_their_masks():
    for mask, runs, generator in random_masks():
        rows, columns = np.nonzero(mask)
        assert runs_box(runs, len(mask)) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert (pixels_per_row(runs, len(mask)) == mask.sum(axis=1)).all()
        other = generator.random(mask.shape) < 0.5
        other[0, 0] = True
        assert runs_overlap(runs, rle_runs(rle_encode(other), *mask.shape)) == (mask & other).sum()


@pytest.mark.parametrize(
    "text, reason",
    [
        ("", "empty mask"),
        ("  ", "empty mask"),
        ("1 2 3", "pairs"),
        ("1 x", "whole number"),
        ("1.5 2", "whole number"),
        ("-1 2", "whole number"),
        ("1 \u0662", "whole number"),
        ("0 2", "count from 1"),
        ("1 0", "at least 1"),
        ("11 3", "reaches to pixel 13"),
        ("4 2 5 1", "overlap or are not sorted"),
        ("7 1 2 1", "overlap or are not sorted"),
        ("99999999999999999999 1", "reaches to pixel"),
        ("9223372036854775807 9223372036854775807", "reaches to pixel"),
    ],
)
def test_a_wrong_rle_is_refused_with_its_reason(text, reason):
    with pytest.raises(ValueError, match=reason):
        rle_decode(text, 3, 4)
