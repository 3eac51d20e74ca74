"""Phrases against region maps: which garment is meant, and how well its boxes fit."""

import numpy as np
import pytest
import yaml

from annotator.caption.agreement import (
    NAMES_FILE,
    Check,
    category_of_phrase,
    check_phrases,
    find_part_boxes,
    measure_agreement,
    read_garment_names,
    region_of_phrase,
)
from annotator.imaterialist.annotations import Row, garment_words, read_words
from pictures.regions import REGIONS_FILE, Regions, standard_regions

TOP, BOTTOM, WHOLE, HEAD = 1, 2, 3, 4


@pytest.mark.parametrize(
    ("phrase", "region"),
    [
        ("blue jeans", "bottom"),
        ("an evening gown", "whole"),
        ("a white t-shirt", "top"),
        ("t - shirt", "top"),
        ("T shirt.", "top"),
        ("the beanie", "head"),
        ("a shirt dress", "whole"),
        ("a dress shirt", "top"),
        ("a slip-on mini skirt", "bottom"),
        ("off-the-shoulder sweaters", "top"),
        ("an above-the-knee dress", "whole"),
        ("two pairs of jeans", "bottom"),
        ("a pair of dark glasses", "head"),
        ("a skirt with a belt", "bottom"),
        ("jeans and a belt", None),
        ("a jacket and a blouse", "top"),
        ("a suit jacket", "top"),
        ("black tank tops", "top"),
        ("a dress she is wearing", "whole"),
        ("trench coats", "whole"),
        ("berets", "head"),
        ("a hair bow", "head"),
        ("a woman in a red dress", None),
        ("a dress sleeve", None),
        ("the jacket pocket", None),
        ("a shirt and jeans", None),
        ("dress shoes", None),
        ("a bow tie", None),
        ("a street", None),
        ("short hair", None),
        ("", None),
        ("with", None),
        ("...", None),
    ],
)
def test_a_phrase_is_about_its_last_word_before_a_preposition(phrase, region):
    assert region_of_phrase(phrase, standard_regions()) == region


@pytest.mark.parametrize(
    ("phrase", "category"),
    [
        ("scarves", 25),
        ("watches", 18),
        ("hoodies", 1),
        ("dresses", 10),
        ("ties", 16),
        ("boots", 23),
        ("shirts", 0),
    ],
)
def test_plurals_are_found(phrase, category):
    assert category_of_phrase(phrase) == category


def test_every_name_means_its_own_category():
    assert {
        name for name, category in read_garment_names().items() if category_of_phrase(name) != category
    } == set()


def test_no_name_has_two_meanings():
    content = yaml.safe_load(NAMES_FILE.read_text(encoding="utf-8"))
    names = [name for of_one in content.values() for name in of_one]
    assert len(names) == len(set(names)) and set(content) == set(range(27))


@pytest.mark.parametrize("category", range(27))
def test_all_that_annotations_are_called_is_understood(category):
    """One and two of each garment, with each attribute and with all."""
    said = [a for name, part in read_words()["attributes"].items() if name != "unsaid" for a in part]
    detailed = Regions.read(REGIONS_FILE, "detailed")
    region = detailed.names[detailed.region_of[category]] if category in detailed.region_of else None
    for attributes in ((), *((a,) for a in said), tuple(said)):
        row = Row("photo.jpg", "1 1", 8, 8, category, attributes)
        for words in (garment_words([row]), garment_words([row, row])):
            assert category_of_phrase(words) == category and region_of_phrase(words, detailed) == region


def test_other_tables_give_other_regions():
    detailed = Regions.read(REGIONS_FILE, "detailed")
    assert region_of_phrase("red boots", detailed) == "feet"
    assert region_of_phrase("a bow tie", detailed) == "neck"
    assert region_of_phrase("a skirt", Regions.read(REGIONS_FILE, "legacy")) == "whole"
    split = Regions.read(REGIONS_FILE, "split")
    assert region_of_phrase("a coat", split) == "top" and region_of_phrase("a dress", split) is None


@pytest.fixture
def ids():
    """A map of 100 x 50: a top, bottom in two parts and a speck, no head."""
    ids = np.zeros((100, 50), np.uint8)
    ids[10:40, 10:40] = TOP
    ids[40:90, 10:20] = BOTTOM
    ids[40:90, 30:40] = BOTTOM
    ids[95, 0] = BOTTOM
    return ids


def test_a_region_has_a_box_for_each_part_but_specks(ids):
    assert find_part_boxes(ids, TOP) == [(0.2, 0.1, 0.8, 0.4)]
    assert sorted(find_part_boxes(ids, BOTTOM)) == [(0.2, 0.4, 0.4, 0.9), (0.6, 0.4, 0.8, 0.9)]
    assert find_part_boxes(ids, HEAD) == []


@pytest.mark.parametrize(
    ("boxes", "covered", "iou"),
    [
        ([(0.2, 0.1, 0.8, 0.4)], 1, 1),
        ([(0.2, 0.1, 0.5, 0.4)], 0.5, 0.5),
        ([(0.2, 0.1, 0.5, 0.4), (0.5, 0.1, 0.8, 0.4)], 1, 1),
        ([(0, 0, 1, 1)], 1, 0.18),
        ([(0.2, 0.5, 0.8, 0.8)], 0, 0),
    ],
)
def test_covered_is_of_the_region_and_iou_of_the_boxes(ids, boxes, covered, iou):
    (check,) = check_phrases([("a red shirt", boxes)], ids, standard_regions())
    assert (check.text, check.region) == ("a red shirt", "top")
    assert (check.covered, check.iou) == (pytest.approx(covered), pytest.approx(iou))


def test_a_garment_that_the_map_lacks_agrees_with_nothing(ids):
    assert check_phrases([("a hat", [(0, 0, 1, 1)])], ids, standard_regions()) == [
        Check("a hat", "head", 0, 0)
    ]


def test_what_cannot_be_checked_is_not(ids):
    phrases = [("a woman in a shirt", [(0, 0, 1, 1)]), ("a shirt", []), ("shoes", [(0, 0, 1, 1)])]
    assert check_phrases(phrases, ids, standard_regions()) == [] and measure_agreement([]) is None


def test_agreement_is_the_mean_of_all_checks(ids):
    checks = [Check("a", "top", 1, 0.5), Check("b", "top", 0, 0)]
    assert measure_agreement(checks) == 0.375
    phrases = [("a shirt", find_part_boxes(ids, TOP)), ("jeans", find_part_boxes(ids, BOTTOM))]
    assert measure_agreement(check_phrases(phrases, ids, standard_regions())) == pytest.approx(1, abs=1e-3)
