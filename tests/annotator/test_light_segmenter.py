"""Garments by rules: what drawn people wear, colours and edges, and how the segmenter is loaded."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

import gradio_annotator
import gradio_seg2image
from annotator.openpose.light import LightPoseDetector
from annotator.segment import load_finder, load_judge, load_segmenter
from annotator.segment.light import LightSegmenter
from annotator.segment.light.colours import LEVELS, GuidedFilter, histogram, overlap, to_bins
from annotator.segment.light.garments import PARSED, find_garments, find_parse, keep_garments, tidy
from annotator.segment.light.labels import can_be_skin
from demo.annotators_page import show_regions
from pictures.region_overlap import confusion, iou_per_region
from small_person import BLACK, BLUE, RED, SKIN, draw_person

DRESSED = {
    "a top and trousers": {},
    "a shirt with bare arms, and shorts' colour on the legs": dict(sleeves=False),
    "a dress, for the legs are bare": dict(bottom=RED, sleeves=False, legs=False, hem=255, one_piece=True),
    "a dress with sleeves": dict(top=BLACK, legs=False, hem=250, one_piece=True),
    "a black shirt and blue trousers": dict(top=BLACK),
}


def found_in(person):
    picture, silhouette, points, _ = person
    return find_garments(picture, silhouette, points)


@pytest.mark.parametrize("worn", DRESSED)
def test_drawn_people_wear(worn):
    person = draw_person(**DRESSED[worn])
    ious = iou_per_region(confusion(found_in(person), person[3], 4))
    assert np.nanmin(ious) > 0.85, ious


def test_a_rough_parse_map_tells_the_persons_own_left_from_right_and_holds_the_garments():
    picture, silhouette, points, _ = draw_person(sleeves=False, legs=False)
    ids = find_parse(picture, silhouette, points)

    def seen(x, y):
        return PARSED[ids[y, x]]

    assert [seen(172, 170), seen(68, 170)] == ["left_arm", "right_arm"]
    assert [seen(143, 300), seen(97, 300)] == ["left_leg", "right_leg"]
    assert [seen(144, 343), seen(96, 343)] == ["left_shoe", "right_shoe"]
    assert [seen(120, 60), seen(120, 30), seen(120, 150), seen(10, 10)] == [
        "face",
        "hair",
        "top",
        "background",
    ]
    assert np.array_equal(keep_garments(ids), find_garments(picture, silhouette, points))


def test_clothes_of_one_colour_that_cover_all_are_parted_at_the_hips():
    ids = found_in(draw_person(top=BLACK, bottom=BLACK))
    assert set(np.unique(ids)) == {0, 1, 2}
    assert (ids[110:190, 110:130] == 1).all() and (ids[215:250, 135:145] == 2).all()
    # sleeves beside the hips are the jacket's
    assert not (ids[:195] == 2).any() and (ids[170:185, 170:174] == 1).all()


def test_a_coat_reaches_down_the_thighs():
    ids = found_in(draw_person(hem=255))
    assert (ids[120:240, 110:130] == 3).all() and (ids[285:325, 140:146] == 2).all() and not (ids == 1).any()


def test_of_a_portrait_all_clothes_are_top():
    picture, silhouette, points, _ = draw_person(bottom=RED)
    ids = find_garments(picture[:190], silhouette[:190], points)
    assert ids.shape == (190, 240) and set(np.unique(ids)) == {0, 1} and (ids[120:180, 110:130] == 1).all()


def test_faces_hands_and_shoes_are_background():
    ids = found_in(draw_person())
    assert not ids[:80].any() and not ids[212:220].any(axis=0)[:70].any() and not ids[345:].any()


def test_a_map_grows_with_its_photo_and_is_the_same_every_time():
    picture, silhouette, points, _ = draw_person()
    small = find_garments(picture, silhouette, points)
    assert np.array_equal(small, find_garments(picture, silhouette, points))
    large, mask = (
        cv2.resize(x, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC) for x in (picture, silhouette)
    )
    ids = find_garments(large, mask, 3 * points + 1)
    assert ids.shape == (1080, 720) and (ids[1::3, 1::3] == small).mean() > 0.98


def test_where_nobody_is_no_garment_is():
    picture, silhouette, points, _ = draw_person()
    assert not find_garments(picture, 0.4 * silhouette, points).any()
    segmenter = LightSegmenter(SimpleNamespace(person=lambda image: None))
    assert segmenter(picture).shape == (360, 240) and not segmenter(picture).any()


def test_joints_beyond_the_picture_do_no_harm():
    picture, silhouette, points, _ = draw_person()
    for moved in (points + 4000, points * 0, np.tile(points[:1], (33, 1))):
        ids = find_garments(picture, silhouette, moved)
        assert ids.shape == (360, 240) and ids.dtype == np.uint8
    assert find_garments(picture[:1, :1], np.ones((1, 1), np.float32), points).shape == (1, 1)


def test_specks_become_what_is_around_them():
    ids = np.zeros((100, 100), np.uint8)
    ids[20:80, 20:80] = 1
    wanted = ids.copy()
    ids[5, 5], ids[40:42, 40:42], ids[60, 60] = 1, 2, 0
    assert np.array_equal(tidy(ids, 3600), wanted)


def test_a_histogram_is_a_distribution_and_tells_colours_apart():
    lab = np.array([[[40, 128, 128]] * 50, [[200, 150, 150]] * 50], np.uint8)
    bins = to_bins(lab)
    dark, light = (histogram(bins, np.float32([[1 - row], [row]]) * np.ones((2, 50))) for row in (0, 1))
    assert dark.shape == (LEVELS**3,) and dark.sum() == pytest.approx(1) and (dark > 0).all()
    assert overlap(dark, dark) == pytest.approx(1) and overlap(dark, light) < 0.1
    assert dark[bins[0, 0]] > 100 * dark[bins[1, 0]]


def test_the_guided_filter_smooths_noise_and_keeps_the_guides_edges():
    guide = np.zeros((40, 40, 3), np.float32)
    guide[:, 20:] = 0.8, 0.2, 0.5
    noise = np.random.default_rng(0).normal(0, 0.3, (40, 40))
    smooth = GuidedFilter(guide)(np.float32((np.arange(40) >= 20) + noise))
    assert np.abs(smooth - (np.arange(40) >= 20)).max() < 0.2
    large = cv2.resize(guide, (120, 120), interpolation=cv2.INTER_NEAREST)
    flat = GuidedFilter(guide)(np.ones((40, 40), np.float32), large)
    assert flat.shape == (120, 120) and np.allclose(flat, 1, atol=1e-4)


def test_skin_of_all_people_has_colours_that_cloth_seldom_has():
    people = [SKIN, (255, 219, 200), (141, 85, 60), (85, 50, 35)]
    assert can_be_skin(np.uint8([people])).all()
    assert not can_be_skin(np.uint8([[BLUE, BLACK, (255, 255, 255), (0, 160, 60)]])).any()


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    picture, silhouette, points, _ = draw_person()
    person = SimpleNamespace(silhouette=silhouette, landmarks=np.vstack([points, np.zeros((6, 2))]))
    detector = SimpleNamespace(person=lambda image: person)
    monkeypatch.setattr(LightPoseDetector, "load", lambda path: detector)
    (tmp_path / "mediapipe-0.10.21.whl").touch()
    return tmp_path / "mediapipe-0.10.21.whl"


def test_a_wheel_or_its_folder_is_loaded_and_its_roughness_said(wheel, capsys):
    picture, *_, ids = draw_person()
    for path in (wheel, wheel.parent, str(wheel)):
        segmenter = load_segmenter(path)
        assert segmenter.names == ("background", "top", "bottom", "whole")
        assert (segmenter(picture) == ids).mean() > 0.97
        said = capsys.readouterr().out
        assert said.count("\n") == 1 and "a rough map to start from" in said and "knows no head" in said


def test_rules_find_maps_but_judge_nothing(wheel, tmp_path):
    regions = tmp_path / "regions.yaml"
    regions.write_text(
        "names: [background, top, bottom, whole]\ncolours: [[0, 0, 0], [1, 1, 1], [2, 2, 2], [3, 3, 3]]\n"
    )
    with pytest.raises(ValueError, match="can be no judge: it guesses garments by rules"):
        load_judge(wheel, regions)
    for names in (("background", "top", "bottom", "whole"), ("background", "top", "bottom", "whole", "head")):
        find, judge = load_finder(wheel, names)
        assert find(draw_person()[0][None]).any() and judge is None
    with pytest.raises(
        ValueError, match="finds the regions background, top, .* the map has background, dress"
    ):
        load_finder(wheel, ("background", "dress"))


def test_who_has_no_segmenter_is_told_of_the_rough_one(tmp_path):
    (tmp_path / "photo.jpg").touch()
    for path in (tmp_path, tmp_path / "missing", tmp_path / "photo.jpg"):
        with pytest.raises((ValueError, FileNotFoundError), match="rough one by rules.* mediapipe==0.10.21"):
            load_segmenter(path)


def test_the_page_takes_a_wheel_that_is_there_and_says_what_is_missing(wheel, monkeypatch):
    arguments = SimpleNamespace(segmenter=None, device="cpu", hands=False, pose=None)
    monkeypatch.setattr(
        gradio_annotator, "DOLLS", Path(gradio_annotator.__file__).parent / gradio_annotator.DOLLS
    )
    monkeypatch.setattr(gradio_annotator, "ANNOTATORS", str(wheel.parent))
    annotators, _ = gradio_annotator.load_annotators(arguments)
    assert [*annotators] == ["garments (segmenter.safetensors)", f"garments ({wheel.name})", "pose"]
    assert annotators[f"garments ({wheel.name})"](draw_person()[0])[1].startswith("top ")
    wheel.unlink()
    annotators, missing = gradio_annotator.load_annotators(arguments)
    assert len(annotators) == 1 and any("No rough guess" in reason for reason in missing)


def test_an_empty_map_says_that_nobody_may_be_there():
    segmenter = LightSegmenter(SimpleNamespace(person=lambda image: None))
    assert show_regions(segmenter)(draw_person()[0])[1] == "nobody found, or no clothes"


def test_the_demo_finds_and_judges_dolls_by_the_shipped_segmenter_and_photos_by_what_is_named(wheel):
    encoder = SimpleNamespace(names=("background", "top", "bottom", "whole", "head"))
    small, large = (SimpleNamespace(encoder=encoder, native_size=size) for size in (128, 512))
    find, judge = gradio_seg2image.segmenter_finder(None, "cpu")(small)
    assert find is not None and judge is not None
    assert gradio_seg2image.segmenter_finder(None, "cpu")(large) == (None, None)
    find, judge = gradio_seg2image.segmenter_finder(wheel, "cpu")(large)
    assert find(draw_person()[0][None]).any() and judge is None
