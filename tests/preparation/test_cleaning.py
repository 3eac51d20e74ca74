"""Which pictures are judged out: planted faults are, clean pictures are not, and each reason can be read."""

from dataclasses import replace

import pytest

from planted_pictures import (
    blur,
    darken,
    darken_by_gamma,
    doll,
    grey,
    jpeg,
    mirror,
    numbers,
    record,
    sepia,
    texture,
    wash_out,
    wreck,
)
from preparation.checks import CHECKS, choose_thresholds, judge

FAULTS = {
    "blurred": [blur, lambda pixels: jpeg(blur(pixels), 90), lambda pixels: blur(pixels, 6)],
    "too_dark": [darken, lambda pixels: darken(pixels, 10), darken_by_gamma],
    "too_bright": [wash_out],
    "greyscale": [grey, lambda pixels: jpeg(grey(pixels), 75), sepia, lambda pixels: jpeg(sepia(pixels), 80)],
    "jpeg_blocks": [wreck],
}


def names(reasons):
    return [reason.split(":")[0] for reason in reasons]


def alone(name, pixels, boxes=(), overrides=(), **more):
    (reasons,) = judge([record(name, pixels, boxes, **more)], choose_thresholds(overrides))
    return reasons


def with_numbers(**measures):
    """A record whose picture is clean but for these numbers."""
    pixels, boxes = doll(1, 128)
    return record("a", pixels, boxes, **measures)


@pytest.mark.parametrize(("size", "count"), [(128, 60), (512, 4)])
def test_clean_dolls_are_kept(size, count):
    records = [record(f"{index:03d}", *doll(index, size)) for index in range(count)]
    assert not any(judge(records, choose_thresholds([])))


def test_clean_textures_are_kept():
    assert not any(alone("a", jpeg(texture(seed), 75)) for seed in range(4))


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(fault):
    dolls = [doll(index) for index in range(4)]
    missed = [
        (number, index)
        for number, plant in enumerate(FAULTS[fault])
        for index, (pixels, boxes) in enumerate(dolls)
        if fault not in names(alone("a", plant(pixels), boxes))
    ]
    assert not missed


@pytest.mark.parametrize("plant", [lambda p: blur(p, 1), lambda p: jpeg(p, 75), lambda p: jpeg(p, 95)])
def test_slight_wear_is_no_fault(plant):
    assert not any(alone("a", plant(pixels), boxes) for pixels, boxes in map(doll, range(4)))


@pytest.mark.parametrize(
    ("measures", "reason"),
    [
        ({"edge_width": 5.14}, "blurred: edges 5.14 px wide, wanted at most 2"),
        ({"upscale": 1.7}, "tiny: blown up 1.7 times, wanted at most 1.25"),
        ({"brightness": 31}, "too_dark: brightest parts 31 of 255, wanted at least 65"),
        ({"darkness": 201}, "too_bright: darkest parts 201 of 255, wanted at most 170"),
        ({"colour": 0.5}, "greyscale: colour 0.5, wanted at least 4"),
        ({"jpeg_quality": 9.0}, "jpeg_wreck: JPEG quality 9, wanted at least 25"),
        ({"garment_share": 0.001}, "no_garment: garments on 0.001 of it, wanted at least 0.02"),
        (
            {"unlabelled": 0.3},
            "unlabelled_people: a person without garments on 0.3 of it, wanted at most 0.02",
        ),
    ],
)
def test_a_reason_tells_the_number_and_what_was_wanted(measures, reason):
    assert judge([with_numbers(**measures)], choose_thresholds([])) == [[reason]]
    assert judge([with_numbers(**measures)], choose_thresholds([f"{reason.split(':')[0]}=off"])) == [[]]


def test_reasons_come_in_the_order_of_the_checks():
    bad = dict(edge_width=9, upscale=9, brightness=1, darkness=255, colour=0, jpeg_quality=1, blockiness=9)
    bad |= dict(garment_share=0, skin_outside=1)
    records = [with_numbers(**bad), replace(with_numbers(), name="b", photo="b")]
    records[0].incomplete = "a skirt's mask is broken"
    reasons = judge(records, choose_thresholds([]))
    assert names(reasons[0]) == [name for name in CHECKS if name != "unlabelled_people"]
    assert "incomplete: a skirt's mask is broken" in reasons[0]
    assert reasons[1] == []


def test_what_could_not_be_measured_is_no_fault():
    unknown = dict.fromkeys(["jpeg_quality", "blockiness", "skin_outside"])
    assert judge([with_numbers(**unknown)], choose_thresholds([])) == [[]]


def test_a_detector_replaces_the_guess():
    assert names(judge([with_numbers(skin_outside=0.3)], choose_thresholds([]))[0]) == [
        "maybe_unlabelled_people"
    ]
    assert judge([with_numbers(skin_outside=0.3, unlabelled=0.0)], choose_thresholds([])) == [[]]


def test_maps_that_are_pictures_miss_no_garment():
    pixels, _ = doll(1, 128)
    assert alone("a", pixels) == []
    records = [record("a", pixels), record("b", *doll(2, 128))]
    assert [names(reasons) for reasons in judge(records, choose_thresholds([]))] == [["no_garment"], []]


def test_of_copies_the_best_stays_and_is_named():
    pixels, boxes = doll(1)
    copies = {"a": blur(pixels), "b": pixels, "c": mirror(pixels), "d": grey(pixels)}
    records = [record(name, copy, boxes, edge_width=1.0) for name, copy in copies.items()]
    records[0].measures["edge_width"] = 1.5
    records.append(record("e", *doll(2)))
    records[3].photo_size = [4000, 3000]
    a, b, c, d, e = judge(records, choose_thresholds([]))
    assert b == e == []
    assert a[0].startswith("near_duplicate: like b, which stays: ")
    assert c[0].startswith("near_duplicate: like the mirror image of b, which stays: 0 of 64 bits")
    # of the largest photo, yet out for a fault of its own, so it must not push out the others
    assert names(d) == ["near_duplicate", "greyscale"]


def test_the_largest_photo_stays_then_the_sharpest_then_the_first():
    pixels, boxes = doll(1, 128)
    sizes, widths = [(9, 9), (9, 10), (9, 10), (9, 10)], [0.1, 0.5, 0.4, 0.4]
    records = [
        record(name, pixels, boxes, photo_size=size, edge_width=width)
        for name, size, width in zip("abcd", sizes, widths, strict=True)
    ]
    expected = [True, True, False, True]
    assert [bool(reasons) for reasons in judge(records, choose_thresholds([]))] == expected
    assert [bool(reasons) for reasons in judge(records[::-1], choose_thresholds([]))] == expected[::-1]


def test_thresholds_are_the_defaults_but_for_what_is_given():
    chosen = choose_thresholds(["blurred=4", "greyscale=off"])
    assert chosen == {name: check.default for name, check in CHECKS.items()} | {
        "blurred": 4,
        "greyscale": None,
    }


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("blured=3", "did you mean blurred"),
        ("blurred=soft", "NAME=NUMBER or NAME=off, got 'blurred=soft'"),
        ("blurred=nan", "got 'blurred=nan'"),
        ("blurred", "got 'blurred'"),
        ("=3", "checks are near_duplicate, blurred, tiny"),
    ],
)
def test_wrong_thresholds_are_named(override, message):
    with pytest.raises(ValueError, match=message):
        choose_thresholds([override])


def test_numbers_of_a_check_are_measured():
    assert {check.measure for check in CHECKS.values()} - {None, "unlabelled"} <= set(numbers(*doll(1, 128)))
