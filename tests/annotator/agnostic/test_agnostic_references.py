"""Every mask style makes the masks of the published code it is named after, on every reference person."""

from pathlib import Path

import numpy as np
import pytest

from annotator.agnostic import agnostic_label_map, agnostic_mask
from masks_reference import CATEGORY_OF, FOLDER, STYLE_OF, person_of, read_cases, read_labels, size_of

CASES = read_cases()
pytestmark = pytest.mark.reference


def name(case):
    return f"{case['person']}/{Path(case['file']).stem}"


def share_of_arms(mask, expected, person):
    """The share of the arms' label pixels that both masks decide alike: it notices lost hands."""
    arms = np.isin(person.labels["cihp"], (14, 15))
    return (mask == expected)[arms].mean() if arms.any() else 1.0


@pytest.mark.parametrize("case", [c for c in CASES if c["rule"] != "hrviton_parse_agnostic"], ids=name)
def test_masks_equal_those_of_the_published_code(case):
    person, size = person_of(case), size_of(case)
    style = STYLE_OF.get(case["rule"], case["rule"])
    category = CATEGORY_OF.get(case["category"], case["category"])
    mask = agnostic_mask(style, category, person, size, mended=False)
    expected = read_labels(FOLDER / case["file"]) > 0
    assert mask.dtype == bool and mask.shape == expected.shape
    assert (mask & expected).sum() / (mask | expected).sum() >= case["iou_min"]
    assert share_of_arms(mask, expected, person.resize(*size)) >= case["arms_agree_min"]


@pytest.mark.parametrize("case", [c for c in CASES if c["rule"] == "hrviton_parse_agnostic"], ids=name)
def test_label_maps_without_the_garment_equal_those_of_the_published_code(case):
    labels = agnostic_label_map(person_of(case), size_of(case), mended=False)
    assert (labels == read_labels(FOLDER / case["file"])).mean() >= case["agree_min"]
