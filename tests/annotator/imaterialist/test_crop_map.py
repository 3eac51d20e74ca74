"""Region maps of crops: what is painted at a crop's size is what the photo's own map shows there."""

from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco

from annotator.imaterialist import (
    LABELS_FILE,
    Row,
    find_painted_boxes,
    index_annotations,
    read_rows,
    region_map,
    region_map_at,
    rle_encode,
)
from pictures.crops import Crop
from pictures.regions import Regions

REAL = Path(__file__).parents[2] / "helpers" / "data" / "imaterialist" / "train.csv"
TABLES = "official", "detailed", "split", "legacy"
TOP, BOTTOM, WHOLE = 1, 2, 3


def box(top, left, bottom, right, shape=(100, 60)):
    mask = np.zeros(shape, bool)
    mask[top:bottom, left:right] = True
    return mask


def row(mask, category, *attributes):
    return Row("a.jpg", rle_encode(mask), *mask.shape, category, attributes)


def random_rows(generator, height, width):
    """Ellipses of all categories, overlapping at will, some of them tiny."""
    y, x = np.mgrid[:height, :width]
    for category in generator.permutation(46)[: generator.integers(1, 12)]:
        (cy, cx), (ry, rx) = generator.uniform(0, (height, width)), generator.uniform(1, 0.5 * height, 2)
        mask = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
        if mask.any():
            yield row(mask, int(category), *generator.permutation(92)[:2].tolist())


@pytest.mark.parametrize("table", TABLES)
def test_a_crops_map_is_the_photos_map_at_the_sampled_places(table):
    generator, regions = np.random.default_rng(1), Regions.read(table=table)
    for _ in range(40):
        height, width = generator.integers(20, 120, 2)
        rows = list(random_rows(generator, height, width))
        (top, bottom), (left, right) = (np.sort(generator.uniform(0, s, 2)) for s in (height, width))
        crop = Crop(left, top, right, bottom, *generator.integers(1, 90, 2))
        lines, columns = crop.sample_points()
        ids = region_map_at(rows, crop, regions)
        assert ids.dtype == np.uint8 and ids.flags.c_contiguous
        assert (ids == region_map(rows, height, width, regions)[lines][:, columns]).all()


@pytest.mark.parametrize("table", ["official", "detailed", "split"])
def test_boxes_hold_all_that_is_painted(table):
    generator, regions = np.random.default_rng(2), Regions.read(table=table)
    for _ in range(40):
        rows = list(random_rows(generator, 80, 50))
        ids = region_map(rows, 80, 50, regions)
        covered = np.zeros((len(regions.names), 80, 50), bool)
        for left, top, right, bottom, region in find_painted_boxes(rows, regions):
            covered[region, top:bottom, left:right] = True
            assert left < right and top < bottom
        assert np.take_along_axis(covered, ids[None].astype(int), 0)[0][ids > 0].all()


def test_the_real_photos_regions_cover_what_pycocotools_finds():
    """Pants, then shirt and jacket over them: whole, and as a crop of every eighth pixel."""
    index = index_annotations(REAL, LABELS_FILE)
    [places] = index.places.values()
    rows, _ = read_rows(REAL, places)
    height, width = rows[0].height, rows[0].width
    masks = {}
    for found in rows:
        pairs = np.array(found.rle.split(), np.int64).reshape(-1, 2) - [1, 0]
        edges = np.concatenate([[0], np.stack([pairs[:, 0], pairs.sum(axis=1)], 1).ravel(), [height * width]])
        code = {"size": [height, width], "counts": np.diff(edges).tolist()}
        masks[found.category] = coco.decode(coco.frPyObjects([code], height, width))[..., 0].astype(bool)
    top = masks[0] | masks[4]
    bottom = masks[6] & ~top
    regions = Regions.read()
    ids = region_map(rows, height, width, regions)
    assert np.bincount(ids.ravel()).tolist() == [(~top & ~bottom).sum(), top.sum(), bottom.sum()]
    crop = Crop(4, 6, 3668 + 4, 5200 + 6, 650, 3668 // 8)
    lines, columns = crop.sample_points()
    sampled = region_map_at(rows, crop, regions)
    assert ((sampled == TOP) == top[lines][:, columns]).all()
    assert ((sampled == BOTTOM) == bottom[lines][:, columns]).all()
    assert find_painted_boxes(rows, regions)[0] == (*coco_box(masks[6]), BOTTOM)


def coco_box(mask):
    left, top, width, height = coco.toBbox(coco.encode(np.asfortranarray(mask.astype(np.uint8)))).astype(int)
    return left, top, left + width, top + height
