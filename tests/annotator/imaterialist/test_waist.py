"""Maps without a region for whole bodies: a dress is top above the waist and bottom below it."""

import numpy as np

from annotator.imaterialist import Row, find_painted_boxes, region_map, rle_encode
from pictures.regions import Regions

TOP, BOTTOM = 1, 2
REGIONS = Regions.read(table="split")


def box(top, left, bottom, right):
    mask = np.zeros((200, 60), bool)
    mask[top:bottom, left:right] = True
    return mask


def row(mask, category, *attributes):
    return Row("a.jpg", rle_encode(mask), *mask.shape, category, attributes)


def waist(*rows):
    """The first line of a map's bottom region; all that is painted above must be top."""
    ids = region_map(list(rows), 200, 60, REGIONS)
    first = np.flatnonzero((ids == BOTTOM).any(axis=1))[0]
    assert set(np.unique(ids[:first])) <= {0, TOP} and set(np.unique(ids[first:])) <= {0, BOTTOM}
    return first


DRESS = box(20, 10, 120, 40)


def test_the_waist_is_where_the_belt_is():
    belt = row(box(60, 10, 71, 40), 19)
    assert waist(row(DRESS, 10), belt) == waist(belt, row(DRESS, 11)) == 65
    # an end of the belt that hangs down counts by its pixels
    assert waist(row(DRESS, 10), row(box(60, 10, 71, 40) | box(71, 20, 110, 22), 19)) in (66, 67)


def test_a_belt_elsewhere_says_nothing():
    assert waist(row(DRESS, 10), row(box(130, 10, 140, 40), 19)) == waist(row(DRESS, 10))


def test_of_two_belts_the_one_that_is_more_on_the_dress_counts():
    belts = row(box(40, 38, 44, 60), 19), row(box(60, 10, 71, 40), 19)
    assert waist(row(DRESS, 10), *belts) == waist(row(DRESS, 10), *belts[::-1]) == 65


def test_empire_and_dropped_waists_are_high_and_low():
    assert waist(row(DRESS, 10, 85)) == 42 and waist(row(DRESS, 10, 86)) == 75


def test_without_a_word_the_waist_is_the_narrowest_line_of_the_middle():
    assert waist(row(DRESS, 10)) == 57
    narrow = DRESS & ~box(50, 10, 54, 20) & ~box(100, 10, 120, 30)
    assert waist(row(narrow, 10)) == 53


def test_both_halves_have_a_box_and_coats_are_top():
    assert find_painted_boxes([row(DRESS, 10, 85)], REGIONS) == [
        (10, 20, 40, 42, TOP),
        (10, 42, 40, 120, BOTTOM),
    ]
    ids = region_map([row(DRESS, 9), row(box(20, 45, 120, 55), 12)], 200, 60, REGIONS)
    assert set(np.unique(ids)) == {0, TOP}


def test_pants_and_tops_are_painted_over_a_dress():
    dress = row(DRESS, 10, 85)
    ids = region_map([row(box(60, 10, 120, 20), 1), dress, row(box(20, 30, 40, 40), 6)], 200, 60, REGIONS)
    assert (ids[60:120, 10:20] == TOP).all() and (ids[20:40, 30:40] == BOTTOM).all()
