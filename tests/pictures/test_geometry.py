"""Crops keep the dressed person large, whole and in proportion, and maps are sampled where photos are cut."""

import json

import numpy as np
import pytest
from PIL import Image

from pictures.crops import Crop, choose_crops, list_buckets
from pictures.persons import Span, group_persons
from pictures.unusable import Box, Unusable

MARGIN, MAX_UPSCALE = 0.1, 1.25
TOP, BOTTOM, WHOLE, HEAD = 1, 2, 3, 4
SIZES = list_buckets(512)


def crops_of(height, width, boxes, sizes=SIZES, margin=MARGIN, second_crop=False):
    return choose_crops(height, width, boxes, sizes, margin, MAX_UPSCALE, second_crop)


def random_case(rng):
    """A photo's size and up to five boxes in it."""
    height, width = (int(side) for side in rng.integers(520, 6001, 2))
    boxes = []
    for _ in range(rng.integers(0, 6)):
        top, bottom = sorted(rng.integers(0, height + 1, 2))
        left, right = sorted(rng.integers(0, width + 1, 2))
        boxes.append(
            Box(int(left), int(top), int(right) + (left == right), int(bottom) + (top == bottom), TOP)
        )
    return height, width, boxes


@pytest.mark.parametrize("size", [64, 128, 256, 512, 640, 768, 1024])
def test_buckets_hold_nearly_the_same_number_of_pixels_both_ways_round(size):
    found = list_buckets(size)
    assert found == sorted(set(found)) and (size, size) in found
    assert all((width, height) in found for height, width in found)
    for height, width in found:
        assert height % 64 == width % 64 == 0 and max(height, width) <= 2 * min(height, width)
        assert size * size - size * 64 < height * width <= size * size


def test_buckets_of_512_are_these_and_square_is_one():
    assert SIZES == [(384, 640), (448, 576), (512, 512), (576, 448), (640, 384)]
    assert list_buckets(128) == list_buckets(128, square=True) == [(128, 128)]
    for wrong in (0, 100, -64):
        with pytest.raises(ValueError, match="multiple of 64"):
            list_buckets(wrong)


@pytest.mark.parametrize("seed", range(200))
def test_a_crop_lies_in_its_photo_and_is_neither_stretched_nor_blown_up(seed):
    height, width, boxes = random_case(np.random.default_rng(seed))
    sizes = list_buckets((256, 512, 640)[seed % 3])
    for crop in crops_of(height, width, boxes, sizes, margin=(0, 0.1, 0.4)[seed % 3], second_crop=True):
        assert 0 <= crop.left < crop.right <= width and 0 <= crop.top < crop.bottom <= height
        assert (crop.height, crop.width) in sizes and crop.scale >= 1 / MAX_UPSCALE - 1e-3
        across, down = crop.right - crop.left, crop.bottom - crop.top
        assert abs(across - down * crop.width / crop.height) <= 0.125 * (1 + crop.width / crop.height)
        if crop.scale < 0.999:
            assert any(photo < picture for photo in (height, width) for picture in (crop.height, crop.width))
        assert crop.to_list() == json.loads(json.dumps([round(side, 2) for side in crop.to_list()]))
        rows, columns = crop.sample_points()
        assert 0 <= rows[0] <= rows[-1] < height and 0 <= columns[0] <= columns[-1] < width
    assert crops_of(height, width, boxes, sizes) == crops_of(height, width, boxes[::-1], sizes)


@pytest.mark.parametrize("seed", range(200))
def test_all_garments_are_kept_where_a_bucket_can_hold_them(seed):
    height, width, boxes = random_case(np.random.default_rng(seed))
    crop = crops_of(height, width, boxes)[0]
    if not boxes:
        return
    left, top = min(box.left for box in boxes), min(box.top for box in boxes)
    right, bottom = max(box.right for box in boxes), max(box.bottom for box in boxes)
    possible = any(
        min(width, height * w / h) >= right - left and min(height, width * h / w) >= bottom - top
        for h, w in SIZES
    )
    kept = min(left - crop.left, top - crop.top, crop.right - right, crop.bottom - bottom)
    assert kept >= -1 or not possible


@pytest.mark.parametrize("seed", range(100))
def test_maps_are_sampled_as_pillow_resizes_to_the_nearest(seed):
    rng = np.random.default_rng(seed)
    height, width, boxes = random_case(rng)
    height, width = height // 8 + 64, width // 8 + 64
    boxes = [Box(b.left // 8, b.top // 8, b.right // 8 + 1, b.bottom // 8 + 1, TOP) for b in boxes]
    ids = rng.integers(0, 256, (height, width), dtype=np.uint8)
    for crop in crops_of(height, width, boxes, list_buckets((64, 128)[seed % 2])):
        nearest = Image.Resampling.NEAREST
        resized = Image.fromarray(ids).resize((crop.width, crop.height), nearest, crop.to_list())
        np.testing.assert_array_equal(ids[np.ix_(*crop.sample_points())], np.asarray(resized))


def test_a_photo_of_a_buckets_size_is_taken_as_it_is():
    doll = [Box(40, 12, 90, 120, WHOLE)]
    for boxes in ([], doll):
        assert crops_of(128, 128, boxes, list_buckets(128)) == [Crop(0, 0, 128, 128, 128, 128)]
        assert crops_of(640, 384, boxes) == [Crop(0, 0, 384, 640, 640, 384)]
    rows, columns = Crop(0, 0, 128, 128, 128, 128).sample_points()
    assert (rows == np.arange(128)).all() and (columns == np.arange(128)).all()
    assert rows.dtype == columns.dtype == np.int64


def test_a_standing_person_fills_a_portrait_crop_with_room_for_the_head():
    (crop,) = crops_of(4000, 6000, [Box(2600, 1000, 3300, 2000, TOP), Box(2700, 1900, 3200, 3400, BOTTOM)])
    assert (crop.height, crop.width) == (640, 384)
    assert crop.top == pytest.approx(1000 - 0.2 * 2400, abs=1)
    assert crop.bottom == pytest.approx(3400 + 0.1 * 2400, abs=1)
    assert (crop.left + crop.right) / 2 == pytest.approx(2950, abs=1)


def test_without_garments_the_largest_central_crop_is_taken():
    assert crops_of(6000, 4000, []) == [Crop(200, 0, 3800, 6000, 640, 384)]
    (crop,) = crops_of(500, 375, [])
    assert (crop.left, crop.right, crop.height, crop.width) == (0, 375, 576, 448)
    assert 1 / crop.scale == pytest.approx(448 / 375, rel=1e-3)


def test_a_photo_too_small_for_every_bucket_is_tiny():
    with pytest.raises(
        Unusable, match=r"^tiny: the photo is 300 x 200 .* 2\.13 times to 640 x 384, 1\.25.* --max-upscale"
    ):
        crops_of(300, 200, [])


def side_by_side(gap=0):
    """Two dressed persons, the right one smaller, whose garments come `gap` pixels apart."""
    left = [
        Box(500, 800, 1300, 2000, TOP),
        Box(600, 1900, 1200, 3500, BOTTOM),
        Box(800, 300, 1000, 500, HEAD),
    ]
    start = 1300 + gap
    right = [Box(start, 1200, start + 600, 3400, WHOLE), Box(start + 200, 800, start + 400, 950, HEAD)]
    return left, right


@pytest.mark.parametrize("gap", [700, 2500])
def test_a_second_crop_shows_the_largest_of_several_persons(gap):
    left, right = side_by_side(gap)
    everybody, largest = crops_of(4000, 6000, right + left, second_crop=True)
    assert [everybody] == crops_of(4000, 6000, left + right)
    assert [largest] == crops_of(4000, 6000, left)
    assert crops_of(4000, 6000, left, second_crop=True) == [largest]


def test_a_second_crop_that_shows_nothing_new_is_left_out():
    left, right = side_by_side(gap=0)
    assert len(crops_of(4000, 6000, left + right, second_crop=True)) == 1


@pytest.mark.parametrize("gap", [-150, 0, 100, 2500])
def test_persons_side_by_side_are_parted_even_where_sleeves_touch(gap):
    left, right = ([Span(b.left, b.top, b.right, b.bottom) for b in boxes] for boxes in side_by_side(gap))
    assert [set(person) for person in group_persons(right + left)] == [set(left), set(right)]


def test_garments_worn_above_or_on_one_another_are_one_persons():
    def num_persons(*boxes):
        return [len(person) for person in group_persons([Span(*box) for box in boxes])]

    coat, dress, hat = (300, 500, 900, 2500), (400, 600, 800, 2700), (500, 100, 700, 250)
    shoes = [(250, 2900, 400, 3000), (950, 2800, 1100, 2900)]
    assert num_persons(coat, dress, hat, *shoes) == [5]
    neighbour = (850, 600, 1500, 2600)
    assert num_persons(coat, dress, hat, *shoes, neighbour) == [4, 2]
    assert num_persons(coat, (5000, 2000, 5100, 2300)) == [1]


def test_a_shirt_leaves_room_for_a_head_that_nobody_annotated():
    [crop] = crops_of(2000, 2000, [Box(500, 900, 1500, 1500, region=1)])
    assert crop.top <= 900 - 600 / 3
