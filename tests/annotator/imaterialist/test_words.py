"""Captions from annotations: garments and their attributes, said as people say them."""

import pytest

from annotator.imaterialist import LABELS_FILE, Row, garment_words, read_labels
from annotator.imaterialist.annotations import attribute_words, read_words

CATEGORIES, ATTRIBUTES = read_labels(LABELS_FILE)
NEGATIVE = "no opening", "no special manufacturing technique", "no waistline"
UNSAID = {*NEGATIVE, "symmetrical", "normal waist", "plain (pattern)", "regular (fit)"}


def words(*garments):
    """The caption of (category, attribute, ...) tuples."""
    return garment_words(
        [Row("a.jpg", "1 1", 4, 4, category, attributes) for category, *attributes in garments]
    )


def test_every_category_and_attribute_has_exactly_one_place():
    lists = read_words()["categories"]
    assert sorted(c for ids in lists.values() for c in ids) == list(range(46))
    assert lists["unsaid"] == list(range(27, 46))
    lists = read_words()["attributes"]
    assert sorted(a for ids in lists.values() for a in ids) == list(range(92))
    assert {ATTRIBUTES[a] for a in lists["unsaid"]} == UNSAID


def test_every_garment_is_called_by_its_first_name():
    for category in range(27):
        name = CATEGORIES[category].split(",")[0]
        phrase = words([category])
        article = "an " if name[0] in "aeiou" else "a "
        plural = phrase in (name, name + "s")
        assert phrase == article + name or (plural and phrase.endswith("s"))


@pytest.mark.parametrize("attribute", range(92))
def test_every_attribute_is_said_by_its_name_without_brackets(attribute):
    said, name = attribute_words([attribute]), ATTRIBUTES[attribute]
    assert (said == "") == (name in UNSAID)
    assert not set("(),") & set(said) and said == said.strip().lower() and "wasitline" not in said
    adjectives = {"dot": "polka", "letters, numbers": "letter", "lining": "lined", "wrapping": "wrap"}
    adjectives |= {"gathering": "gathered", "smocking": "smocked"}
    first = adjectives.get(name, name.replace("-", " ").split()[0])
    assert not said or said.replace("-", " ").startswith(first)


@pytest.mark.parametrize(
    "garments, caption",
    [
        ([(4, 11, 72), (6, 37)], "a double breasted striped jacket, wide leg pants"),
        ([(6, 37), (4, 72, 11)], "a double breasted striped jacket, wide leg pants"),
        ([(10, 8, 20, 34, 61, 88, 69)], "an a-line maxi floral dress"),
        ([(10, 90, 78, 18, 60, 91)], "a basque waist snakeskin print dress"),
        ([(6, 8, 20, 39, 60, 87)], "curved high-waisted maxi pants"),
        ([(10, 49, 77)], "a leopard print dress"),
        ([(10, 49, 69)], "a printed floral dress"),
        ([(8, 52, 66, 5)], "a knee-length pleated checked skirt"),
        ([(1, 64), (26,)], "a letter print top, an umbrella"),
        ([(0, 10, 72), (0, 42)], "a single breasted striped shirt, a loose shirt"),
        ([(0, 72), (0, 72)], "two striped shirts"),
        ([(0, 72), (0, 72, 61)], "two striped shirts"),
        ([(10,), (10,), (10,), (25,), (25,)], "three dresses, two scarves"),
        ([(6, 46), (6, 46), (13,)], "two pairs of washed pants, glasses"),
        ([(23,), (23,), (23,), (22, 72), (22, 72), (21,), (20,), (17,), (17,)], None),
        ([(5, 76), (43,), (31,), (33,)], "an argyle vest"),
        ([(31,), (45,)], ""),
        ([], ""),
        ([(14,)] * 11, "many hats"),
    ],
)
def test_captions_read_like_language(garments, caption):
    wanted = "gloves, leg warmers, tights, striped socks, shoes" if caption is None else caption
    assert words(*garments) == wanted
