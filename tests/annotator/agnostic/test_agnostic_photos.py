"""Agnostic masks of photos: by a network's labels and a detector's pose, and roughly by rules."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from annotated import AGNOSTIC, DOLLS, command_line, files, table
from annotator.agnostic import STYLES, Person, agnostic_mask, photos
from annotator.agnostic import Pose as Joints
from annotator.agnostic.photos import PhotoMasker, make_tables
from annotator.agnostic.style import read_styles
from annotator.openpose import Pose
from annotator.segment import load_segmenter
from annotator.segment.light import LightSegmenter
from annotator.segment.light.garments import PARSED
from paperdoll.labels import ATR as DOLL_LABELS
from paperdoll.labels import COCO_18, list_keypoints
from paperdoll.tryon import CATEGORIES, arrange
from small_segformers import ATR, FASHN, LIP, write_segformer

SIZE = 256, 192
NOT_ON_PHOTOS = "catvton"  # reads DensePose's parts
PARSER_STYLES = [style for style in STYLES if style != NOT_ON_PHOTOS]


def find_landmarks(keypoints):
    """A doll's joints as mediapipe numbers them, float64 (39, 2)."""
    points, eyes = np.zeros((39, 2)), (keypoints["right_eye"] + keypoints["left_eye"]) / 2
    points[0], points[7], points[8] = (keypoints[name] for name in ("nose", "left_ear", "right_ear"))
    points[1:4], points[4:7] = keypoints["left_eye"], keypoints["right_eye"]
    points[9:11] = eyes + 1.8 * (keypoints["nose"] - eyes)
    joints = "shoulder", "elbow", "wrist", "hip", "knee", "ankle"
    for number, joint in zip((11, 13, 15, 23, 25, 27), joints, strict=True):
        points[number], points[number + 1] = keypoints[f"left_{joint}"], keypoints[f"right_{joint}"]
    for side, name in enumerate(("left", "right")):
        wrist, elbow = keypoints[f"{name}_wrist"], keypoints[f"{name}_elbow"]
        points[[17 + side, 19 + side, 21 + side]] = wrist + 0.3 * (wrist - elbow)
        points[29 + side] = points[31 + side] = keypoints[f"{name}_ankle"] + (0, 4)
    return points


def detector_of(*bodies):
    """A pose detector that finds joints (18, 3) in each photo."""
    found = [Pose(np.float32(body), np.zeros((0, 21, 3), np.float32)) for body in bodies]
    return SimpleNamespace(poses=lambda photo: found)


class Painted:
    """A segmenter whose map is given."""

    def __init__(self, ids, labels):
        self.ids, self.labels = ids, tuple(labels)

    def parse(self, photo):
        return self.ids


class Doll:
    """A drawn person in what is tried on, and what networks would find of them."""

    def __init__(self, index, category="upper"):
        self.fitting = arrange(7, index, SIZE, category)
        worn = self.fitting.wear()
        self.photo, self.parse = worn.drawing.photo, worn.drawing.labels(DOLL_LABELS)
        self.garment, self.body = worn.drawing.mask(garment=1), list_keypoints(worn.keypoints, COCO_18, SIZE)
        silhouette, points = np.float32(self.parse > 0), find_landmarks(worn.keypoints)
        person = SimpleNamespace(silhouette=silhouette, landmarks=points)
        self.rough = LightSegmenter(SimpleNamespace(person=lambda photo: person))


@pytest.fixture(scope="module")
def doll():
    return Doll(2)


@pytest.fixture
def annotate(monkeypatch):
    return command_line(monkeypatch)


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_rough_mask_covers_the_garment_as_the_exact_one_does(category):
    shares = []
    for index in range(4):
        doll = Doll(index, category)
        rough = PhotoMasker(doll.rough, detector_of(doll.body), "body_part", category)(doll.photo) > 0
        exact, head = doll.fitting.agnostic_mask(), np.isin(doll.parse, (1, 2, 3))
        assert rough[doll.garment].mean() > 0.98 and rough[head].mean() < exact[head].mean() + 0.12
        shares.append((rough & exact).sum() / (rough | exact).sum())
    assert min(shares) > 0.5 and np.mean(shares) > 0.65


@pytest.mark.parametrize("style", PARSER_STYLES)
def test_a_mask_is_the_rules_own_of_the_networks_labels_and_the_pose(style, doll):
    """Labels of one set are translated to the set that the style reads; 512 rows are what it is meant for."""
    masker = PhotoMasker(Painted(doll.parse, ATR), detector_of(doll.body), style, "upper")
    tables = make_tables(ATR)
    person = Person(
        {name: ids[doll.parse] for name, ids in tables.items()}, Joints.read(doll.body, "coco18", 256)
    )
    wanted = agnostic_mask(style, "upper", person, (512, 384))
    small = cv2.resize(np.uint8(wanted) * 255, SIZE[::-1], interpolation=cv2.INTER_LINEAR) > 127
    mask = masker(doll.photo)
    assert mask.dtype == np.uint8 and set(np.unique(mask)) == {0, 255} and ((mask > 0) == small).all()
    assert (mask > 0)[doll.garment].mean() > 0.9


def test_label_sets_name_the_public_parsers_labels_by_their_own_ids():
    assert make_tables(ATR)["atr"].tolist() == list(range(18))
    assert make_tables(LIP)["lip"].tolist() == list(range(20))
    # CIHP has the torso's skin where LIP has jumpsuits
    assert make_tables(LIP)["cihp"].tolist() == [*range(10), 6, *range(11, 20)]
    assert make_tables(ATR)["cihp"][[4, 6, 7, 14, 15]].tolist() == [5, 9, 6, 14, 15]
    assert make_tables(PARSED)["atr"].tolist() == [0, 4, 6, 7, 2, 11, 14, 15, 12, 13, 9, 10]
    assert list(make_tables(["background", "top", "head"])) == ["regions"]


def test_a_mask_grows_with_its_photo(doll):
    masks = []
    for factor in (1, 3):
        ids = np.kron(doll.parse, np.ones((factor, factor), np.uint8))
        body = np.array(doll.body) * (factor, factor, 1)
        photo = np.zeros((*ids.shape, 3), np.uint8)
        masks.append(PhotoMasker(Painted(ids, ATR), detector_of(body), "box", "upper")(photo))
    assert (masks[1][1::3, 1::3] == masks[0]).mean() > 0.99


def test_of_two_people_the_larger_one_is_masked_and_the_others_clothes_stay(doll):
    wide = np.hstack([doll.parse, np.zeros_like(doll.parse)])
    other = cv2.resize(doll.parse, (96, 128), interpolation=cv2.INTER_NEAREST)
    wide[128:, 240:336] = other
    second = np.array(doll.body)
    second[:, :2] = (second[:, :2] / 2 + (240, 128)) * second[:, 2:]
    masker = PhotoMasker(Painted(wide, ATR), detector_of(second, doll.body), "body_part", "upper")
    mask = masker(np.zeros((*wide.shape, 3), np.uint8)) > 0
    assert mask[:, :192][doll.garment].mean() > 0.98
    assert mask[128:, 240:336][other == 4].mean() < 0.02 < (other == 4).mean()


def test_where_nobody_is_found_the_mask_is_empty_and_a_mask_of_all_is_refused(doll):
    for nobody in (detector_of(), detector_of(np.zeros((18, 3)))):
        assert not PhotoMasker(Painted(doll.parse, ATR), nobody, "box", "upper")(doll.photo).any()
    everywhere = Painted(np.full(SIZE, 4, np.uint8), ATR)
    with pytest.raises(ValueError, match="covers the whole photo"):
        PhotoMasker(everywhere, detector_of(doll.body), "box", "upper")(doll.photo)


def test_what_a_network_does_not_tell_is_said_before_any_photo_is_read():
    regions, detector = load_segmenter(DOLLS), detector_of()
    for segmenter, style, words in [
        (
            regions,
            "ladi",
            "reads labels of atr; the person has maps of: regions: take --mask-style body_part",
        ),
        (Painted(None, ATR), "catvton", "reads DensePose's body parts, which no annotator finds"),
        (Painted(None, FASHN), "hrviton", "hrviton reads a label for each arm, and there is none"),
        (Painted(None, FASHN), "ootd_hd", "ootd_hd reads a label for each arm, and there is none"),
    ]:
        with pytest.raises(ValueError, match=words):
            PhotoMasker(segmenter, detector, style, "upper")
    for style in ("body_part", "box", "ladi"):
        PhotoMasker(Painted(None, FASHN), detector, style, read_styles()[style].categories[0])


def test_the_tool_masks_a_folder_by_local_weights_and_resumes(annotate, doll, tmp_path, monkeypatch):
    folder = write_segformer(tmp_path / "parser", ATR)
    (tmp_path / "pose").mkdir()
    monkeypatch.setattr(photos, "load_pose_detector", lambda path, device: detector_of(doll.body))
    (tmp_path / "photos" / "a").mkdir(parents=True)
    for name in ("a/1.png", "2.png"):
        Image.fromarray(doll.photo).save(tmp_path / "photos" / name)
    options = *AGNOSTIC, "--weights", folder, "--pose-weights", tmp_path / "pose"
    annotate(tmp_path / "photos", tmp_path / "out", *options, "--limit", 1)
    annotate(tmp_path / "photos", tmp_path / "out", *options)
    wanted = PhotoMasker(load_segmenter(folder), detector_of(doll.body), "body_part", "upper")(doll.photo)
    rows = table(tmp_path / "out" / "maps.csv")
    assert [row["map"] for row in rows] == ["masks/2.png", "masks/a/1.png"]
    for row in rows:
        with Image.open(tmp_path / "out" / row["map"]) as image:
            assert image.mode == "L" and (np.asarray(image) == wanted).all()
        assert row["found"] == f"mask {(wanted > 0).mean():.1%}"
    assert (tmp_path / "out" / "sheet.png").is_file()
    before = files(tmp_path / "out")
    with pytest.raises(SystemExit, match="was made with mask_style body_part, not box"):
        annotate(tmp_path / "photos", tmp_path / "out", *options, "--mask-style", "box")
    assert files(tmp_path / "out") == before


def test_without_weights_rough_rules_mask_and_regions_need_no_pose(annotate, doll, tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    (tmp_path / "models" / "annotators").mkdir(parents=True)
    Image.fromarray(doll.photo).save(tmp_path / "photos" / "1.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(photos, "load_segmenter", lambda path, device: doll.rough)
    annotate("photos", "regions", *AGNOSTIC, "--mask-style", "regions")
    monkeypatch.setattr(photos, "load_pose_detector", lambda path, device: detector_of(doll.body))
    annotate("photos", "hrviton", *AGNOSTIC, "--mask-style", "hrviton")
    for style in ("regions", "hrviton"):
        mask = np.asarray(Image.open(tmp_path / style / "masks" / "1.png")) > 0
        assert mask[doll.garment].mean() > 0.9 and mask.mean() < 0.6
