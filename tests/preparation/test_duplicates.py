"""Copies are found whatever was done to them, other pictures are not, and photos stay together."""

from dataclasses import replace

import numpy as np
import pytest

from paperdoll import COLOURS, draw
from planted_pictures import crop, doll, grey, jpeg, mirror, record, sepia, shrink
from preparation import duplicates
from preparation.duplicates import find_duplicates, group_alike

COPIES = {
    "re-encoded": lambda pixels: jpeg(pixels, 40),
    "resized": shrink,
    "cropped": lambda pixels: crop(pixels, 0.01),
    "grey": grey,
    "tinted": sepia,
    "brighter": lambda pixels: np.clip(pixels + 12.0, 0, 255).astype(np.uint8),
    "mirrored": mirror,
    "mirrored and cropped": lambda pixels: crop(mirror(pixels), 0.01),
}


@pytest.fixture(scope="module")
def dolls():
    return [record(f"doll{index:03d}", doll(index, 128)[0]) for index in range(100)]


@pytest.mark.parametrize("change", COPIES)
def test_copies_are_found(change):
    found = []
    for index in range(3):
        pixels, _ = doll(index)
        found.append(group_alike([record("a", pixels), record("b", COPIES[change](pixels))]))
    assert found == [[0, 0]] * 3


def test_of_pictures_cropped_by_two_percent_four_in_five_are_found(dolls):
    cropped = [record(f"crop{index:03d}", crop(doll(index, 128)[0])) for index in range(40)]
    numbers = group_alike([*dolls[:40], *cropped])
    assert sum(a == b for a, b in zip(numbers[:40], numbers[40:], strict=True)) >= 32


def test_a_copy_with_another_crop_is_found_by_its_photo(dolls):
    first, other = dolls[:2]
    copy = replace(other, measures=other.measures | {"photo": first.measures["photo"]})
    assert group_alike([first, copy]) == [0, 0] and find_duplicates([first, copy], [0, 1]) == {1: 0}


def test_different_dolls_are_not_one(dolls):
    assert group_alike(dolls, 12) == list(range(100))


def test_one_pose_in_other_colours_is_not_one():
    records = []
    for index in range(4):
        drawn = draw(11, index, 256)
        largest = max((i for i in drawn.instances if i.region), key=lambda instance: instance.mask.sum())
        for name, colour in COLOURS.items():
            pixels = drawn.photo.copy()
            pixels[largest.mask] = colour
            records.append(record(f"{index} {name}", pixels))
    assert len(set(group_alike(records))) == len(records) and not find_duplicates(records, records)


def test_groups_hang_together_by_photo_and_by_look(dolls):
    a, b, c, d = dolls[:4]
    second = replace(dolls[4], photo=a.photo)
    copy = replace(c, name="copy", photo=b.photo)
    assert group_alike([a, b, c, d, second, copy]) == [1, 0, 0, 2, 1, 0]


def test_groups_do_not_depend_on_the_order_of_records(dolls):
    records = dolls[:20] + [record(f"copy{i}", mirror(doll(i, 128)[0])) for i in range(5)]
    order = np.random.default_rng(0).permutation(len(records))
    shuffled = group_alike([records[index] for index in order])
    assert shuffled == [group_alike(records)[index] for index in order]


def test_blocks_do_not_change_what_is_found(dolls, monkeypatch):
    records = dolls[:30] + [record(f"copy{i}", jpeg(doll(i, 128)[0], 50)) for i in range(30)]
    expected = group_alike(records)
    monkeypatch.setattr(duplicates, "BLOCK", 7)
    monkeypatch.setattr(duplicates, "PAIRS_AT_ONCE", 2)
    assert group_alike(records) == expected and len(set(expected)) == 30


def test_a_second_crop_is_no_duplicate_of_the_first(dolls):
    first, again = dolls[0], replace(dolls[0], name="doll000_crop2")
    other = replace(dolls[0], name="other", photo="other.jpg")
    assert find_duplicates([first, again], [0, 1]) == {}
    assert find_duplicates([first, again, other], [0, 1, 2]) == {2: 0}
    assert find_duplicates([first, again, other], [1, 2, 0]) == {0: 2, 1: 2}


def test_a_chain_of_copies_keeps_what_is_unlike_the_one_that_stays(dolls):
    chain = [replace(dolls[0], name=f"{step}", photo=f"{step}.jpg") for step in range(3)]
    for step, one in enumerate(chain):
        hashed = int(one.measures["phash"], 16) ^ ((1 << 5 * step) - 1)
        one.measures = one.measures | {"phash": f"{hashed:016x}", "phash_mirrored": "0" * 16}
        one.measures["photo"] = one.measures
    assert len(set(group_alike(chain))) == 1
    assert find_duplicates(chain, [0, 1, 2]) == {1: 0}
    assert find_duplicates(chain, [1, 0, 2]) == {0: 1, 2: 1}


def test_no_records_have_no_groups():
    assert group_alike([]) == [] and find_duplicates([], []) == {}
