"""Region maps: which garment is painted with which region, as files, and in words."""

import numpy as np
import pytest

from annotator.imaterialist import Row, region_map, rle_encode
from pictures.regions import Regions

LEGACY = Regions.read(table="legacy")
TOP, BOTTOM, WHOLE, HEAD = 1, 2, 3, 4


def box(top, left, bottom, right, shape=(64, 96)):
    mask = np.zeros(shape, bool)
    mask[top:bottom, left:right] = True
    return mask


def row(mask, category, *attributes, image="a.jpg"):
    return Row(image, rle_encode(mask), *mask.shape, category, attributes)


def test_skirt_vest_and_cape_go_where_each_table_says():
    masks = {category: row(box(0, 0, 40, 40), category) for category in range(46)}
    official = {c: int(region_map([r], 64, 96)[0, 0]) for c, r in masks.items()}
    legacy = {c: int(region_map([r], 64, 96, LEGACY)[0, 0]) for c, r in masks.items()}
    assert (official[5], official[8], official[12]) == (TOP, BOTTOM, WHOLE)
    assert (legacy[5], legacy[8], legacy[12]) == (BOTTOM, WHOLE, 0)
    assert [official[c] for c in range(16)] == [TOP] * 6 + [BOTTOM] * 3 + [WHOLE] * 4 + [HEAD] * 3
    assert [legacy[c] for c in range(13)] == [TOP] * 5 + [BOTTOM] * 3 + [WHOLE] * 4 + [0]
    assert not any(official[c] for c in range(16, 46)) and not any(legacy[c] for c in range(13, 46))


def test_official_paints_whole_bottom_top_coat_head_whatever_the_rows_order():
    order = [10, 6, 1, 9, 14]
    rows = [row(box(0, 12 * place, 60, 90), category) for place, category in enumerate(order)]
    for shuffled in (rows, rows[::-1]):
        ids = region_map(shuffled, 64, 96)
        assert ids[0, [0, 12, 24, 36, 48]].tolist() == [WHOLE, BOTTOM, TOP, WHOLE, HEAD]


def test_parts_leave_no_trace_in_the_map():
    dress = row(box(0, 0, 60, 60), 10)
    parts = [row(box(0, 0, 30, 90), category) for category in (27, 28, 31, 32, 33, 45)]
    assert (region_map([dress, *parts], 64, 96) == region_map([dress], 64, 96)).all()


@pytest.mark.parametrize(
    "categories, overlap", [((0, 6), WHOLE), ((0, 9), TOP), ((6, 9), TOP), ((0, 6, 9), TOP), ((0, 1), TOP)]
)
def test_legacy_overlaps_as_the_public_network_was_taught(categories, overlap):
    ids = region_map([row(box(0, 0, 40, 40), c) for c in categories], 64, 96, LEGACY)
    assert set(np.unique(ids)) == {0, overlap}


def test_legacy_drops_small_garments_and_calls_the_first_mask_top_if_none_is_left():
    # 20 of 768 pixels are 2.5 of 96 across: a box of 3 columns spans 2
    large, small = row(box(0, 0, 40, 40), 10), row(box(0, 50, 40, 53), 6)
    assert set(np.unique(region_map([large, small], 64, 96, LEGACY))) == {0, WHOLE}
    assert set(np.unique(region_map([small], 64, 96, LEGACY))) == {0, TOP}
    assert set(np.unique(region_map([small], 64, 96))) == {0, BOTTOM}


def test_a_portrait_photo_is_not_turned():
    ids = region_map([row(box(10, 5, 60, 20, (96, 64)), 10)], 96, 64)
    assert ids.shape == (96, 64) and (ids > 0)[10:60, 5:20].all() and (ids > 0).sum() == 50 * 15


def test_a_picture_without_rows_is_all_background():
    assert not region_map([], 4, 6).any() and not region_map([], 4, 6, LEGACY).any()
