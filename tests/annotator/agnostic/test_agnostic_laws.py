"""Laws of the masks where the published code has no sensible answer: missing joints, a second person."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from annotator.agnostic import STYLES, Person, Pose, agnostic_label_map, agnostic_mask
from annotator.agnostic.style import read_styles
from masks_reference import read_person

SIZE = 512, 384
JOINTS = [f"{side}_{joint}" for side in ("right", "left") for joint in ("shoulder", "elbow", "wrist", "hip")]
CIHP_STYLES = ("hrviton", "vitonhd", "ladi_vitonhd")
WITH_POSE = [style for style in STYLES if style not in ("catvton", "regions")]


def person_for(style, name="frontal_down"):
    person = read_person(
        name, "512x384", "body25" if style in CIHP_STYLES else "coco18", style.startswith("ootd")
    )
    if style in ("body_part", "box"):
        return person
    if style == "regions":
        return Person({"regions": np.isin(person.labels["atr"], (4, 7)).astype(np.uint8)})
    return person


def without(person, joints):
    return replace(
        person, pose=Pose(person.pose.points | dict.fromkeys(joints, (0.0, 0.0)), person.pose.height)
    )


def expect_a_sensible_mask(mask, person, garment=0.6):
    """Near the person only, hardly any of the upper face, most of the top."""
    person = person.resize(*SIZE)
    atr = person.labels["atr"]
    rows, columns = np.nonzero(atr)
    reach = int(0.16 * SIZE[0])
    outside = np.ones(SIZE, bool)
    outside[
        max(rows.min() - reach, 0) : rows.max() + reach, max(columns.min() - reach, 0) : columns.max() + reach
    ] = False
    assert not (mask & outside).any()
    head = atr == 11
    face = head & (np.arange(SIZE[0])[:, None] < np.flatnonzero(head.any(1))[0] + 0.06 * SIZE[0])
    assert mask[face].mean() <= 0.05
    assert mask[atr == 4].mean() >= garment


@pytest.mark.parametrize("style", WITH_POSE)
@pytest.mark.parametrize(
    "missing", [*combinations(JOINTS, 1), *combinations(JOINTS, 2), JOINTS, [*JOINTS, "neck"]], ids=len
)
def test_any_joints_may_be_missing(style, missing):
    person = without(person_for(style), missing)
    expect_a_sensible_mask(agnostic_mask(style, "upper", person, SIZE), person)


@pytest.mark.parametrize("style", WITH_POSE)
@pytest.mark.parametrize("joint", JOINTS)
def test_a_joint_outside_the_picture_paints_no_bar_across_it(style, joint):
    person = person_for(style)
    points = person.pose.points | {joint: (-3.0 * person.pose.height, 1.0)}
    person = replace(person, pose=Pose(points, person.pose.height))
    expect_a_sensible_mask(agnostic_mask(style, "upper", person, SIZE), person)


@pytest.mark.parametrize("style", [style for style in WITH_POSE if style != "box"])
def test_a_smaller_person_beside_keeps_the_face(style):
    person = person_for(style).resize(*SIZE)
    labels = {name: ids.copy() for name, ids in person.labels.items()}
    rows, columns = slice(200, 240), slice(340, 372)  # below the line of the shoulders, beside the arm
    labels["atr"][rows, columns], labels["cihp"][rows, columns], labels["lip"][rows, columns] = 11, 13, 13
    mask = agnostic_mask(style, "upper", Person(labels, person.pose), SIZE)
    assert not mask[rows, columns].any()


@pytest.mark.parametrize("style", ["ootd_hd", "ootd_dc"])
def test_hands_before_the_torso_stay(style):
    person = person_for(style, "arms_crossed").resize(*SIZE)
    mask, published = (agnostic_mask(style, "upper", person, SIZE, mended=mended) for mended in (True, False))
    hands = np.isin(person.labels["densepose"], (3, 4)) & np.isin(person.labels["atr"], (14, 15))
    assert published[hands].mean() > 0.8 > 0.65 > mask[hands].mean()


def test_on_an_ordinary_person_mended_masks_are_the_published_ones():
    for style in WITH_POSE:
        person = person_for(style)
        mask, published = (agnostic_mask(style, "upper", person, SIZE, mended=m) for m in (True, False))
        assert (mask & published).sum() / (mask | published).sum() > 0.97, style


@pytest.mark.parametrize("style", STYLES)
def test_a_mask_is_bool_of_the_asked_size_in_every_category(style):
    person = read_person("dress_sleeveless", "1024x768", "body25" if style in CIHP_STYLES else "coco18")
    if style == "regions":
        person = Person({"regions": np.where(person.labels["atr"] == 7, 3, 0).astype(np.uint8)})
    for category in read_styles()[style].categories:
        for size in ((256, 192), (512, 384)):
            mask = agnostic_mask(style, category, person, size)
            assert mask.dtype == bool and mask.shape == size


def test_body_part_and_box_say_nothing_of_sleeves():
    """Two persons of one pose, in long and in short sleeves: the arms are covered alike."""
    long = read_person("frontal_down", "512x384", "coco18")
    labels = {name: ids.copy() for name, ids in long.labels.items()}
    labels["atr"][
        np.isin(labels["atr"], (14, 15)) & (labels["densepose"] > 0) & ~np.isin(labels["densepose"], (3, 4))
    ] = 4
    masks = [agnostic_mask("box", "upper", Person(each, long.pose), SIZE) for each in (long.labels, labels)]
    assert (masks[0] == masks[1]).mean() > 0.999


def test_what_cannot_be_masked_is_said_in_one_line():
    person = person_for("ladi")
    for style, category, who, words in [
        ("hr-viton", "upper", person, "mask style must be one of hrviton"),
        ("hrviton", "dress", person, "mask style hrviton has categories upper, not 'dress'"),
        ("catvton", "upper", Person({}), "reads labels of atr; the person has maps of: none"),
        ("body_part", "upper", Person({"atr": person.labels["atr"]}), "reads a pose"),
        ("ladi", "upper", Person({"atr": person.labels["atr"]}), "reads a pose"),
    ]:
        with pytest.raises(ValueError, match=words):
            agnostic_mask(style, category, who, SIZE)
    with pytest.raises(ValueError, match="must be body25 or coco18"):
        Pose.read(np.zeros((25, 3)), "coco17")
    with pytest.raises(ValueError, match=r"coco18 keypoints must be \(18"):
        Pose.read(np.zeros((25, 3)), "coco18")


def test_label_maps_of_other_sizes_lose_the_same_garment():
    person = read_person("frontal_down", "1024x768", "body25")
    large, small = (agnostic_label_map(person, size) for size in ((1024, 768), (512, 384)))
    assert (large[::2, ::2] == small).mean() > 0.99
