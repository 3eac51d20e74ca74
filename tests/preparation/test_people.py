"""People without garments: the geometry, and any detector of transformers in a local folder."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from planted_pictures import noted
from preparation import PrepareOptions, people
from preparation.people import PersonDetector, detect_unlabelled, largest_unlabelled


@pytest.fixture(scope="module")
def yolos(tmp_path_factory):
    """A folder with a tiny random YOLOS that knows cats and people, as save_pretrained lays it out."""
    from transformers import YolosConfig, YolosForObjectDetection, YolosImageProcessor

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("yolos")
    sizes = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    config = YolosConfig(**sizes, image_size=[64, 64], num_detection_tokens=12)
    config.id2label, config.label2id = {0: "cat", 1: "person"}, {"cat": 0, "person": 1}
    model = YolosForObjectDetection(config)
    # surer of people than a random model is
    model.class_labels_classifier.layers[-1].bias.data = torch.tensor([-3.0, 3.0, 0.0])
    model.save_pretrained(folder)
    YolosImageProcessor(size={"shortest_edge": 64, "longest_edge": 128}).save_pretrained(folder)
    return folder


@pytest.fixture
def prepared(tmp_path):
    """A prepared folder of five pictures in two sizes, whose right halves nobody annotated."""
    (tmp_path / "target").mkdir()
    records = []
    for index, (height, width) in enumerate([(64, 64), (96, 64), (64, 64), (64, 64), (96, 64)]):
        pixels = np.full((height, width, 3), 40 * index, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "target" / f"{index}.jpg", quality=95)
        garment = [0, 0, 32, height, 1]
        records.append(noted(str(index), target_crc=index, size=[height, width], boxes=[garment]))
    return tmp_path, records


class RightHalf:
    """Finds a person in the right half of each picture, and remembers what it was shown."""

    def __init__(self):
        self.shown = []

    def detect(self, images):
        self.shown.append([int(image[0, 0, 0]) // 40 for image in images])
        return [np.array([[i.shape[1] / 2, 0, i.shape[1], i.shape[0], 0.9]], np.float32) for i in images]


@pytest.fixture
def fake(monkeypatch, tmp_path_factory):
    """A detector's folder, and the RightHalf that is loaded from it."""
    folder, detector = tmp_path_factory.mktemp("detector"), RightHalf()
    (folder / "model.safetensors").write_bytes(b"weights")
    monkeypatch.setattr(PersonDetector, "load", lambda folder, device: detector)
    monkeypatch.setattr(people, "CHUNK", 2)
    return folder, detector


@pytest.mark.parametrize(
    ("person", "share"),
    [
        ([50, 0, 100, 100, 0.9], 0.5),
        ([0, 0, 50, 100, 0.9], 0),
        ([40, 0, 90, 100, 0.9], 0),
        ([47, 0, 97, 100, 0.9], 0.5),
        ([80, 50, 140, 150, 0.9], 0.1),
        ([-30, -30, -5, -5, 0.9], 0),
    ],
)
def test_a_person_is_unlabelled_whose_box_garments_hardly_cover(person, share):
    assert largest_unlabelled([person], [[0, 0, 30, 100, 1], [20, 0, 50, 100, 2]], [100, 100]) == share


def test_the_largest_person_counts():
    crowd = [[0, 0, 10, 10, 0.9], [20, 20, 70, 70, 0.8], [0, 0, 5, 5, 1]]
    assert largest_unlabelled(crowd, [], [100, 100]) == 0.25
    assert largest_unlabelled([], [], [100, 100]) == 0


def test_shares_are_those_of_what_the_detector_finds(prepared, fake):
    out, records = prepared
    folder, detector = fake
    records[3].boxes.append([32, 0, 64, 64, 2])
    expected = {"0": 0.5, "1": 0.5, "2": 0.5, "3": 0.0, "4": 0.5}
    assert detect_unlabelled(out, records, folder) == expected
    assert sorted(sum(detector.shown, [])) == [0, 1, 2, 3, 4]
    assert detect_unlabelled(out, records, folder) == expected and len(sum(detector.shown, [])) == 5


def test_an_interrupted_search_goes_on_and_ends_the_same(prepared, fake):
    out, records = prepared
    folder, detector = fake
    detect_unlabelled(out, records, folder)
    (path,) = (out / ".prepare").iterdir()
    whole, found = path.read_bytes(), path.read_text().splitlines(keepends=True)
    path.write_text(found[0] + found[2])
    detector.shown.clear()
    detect_unlabelled(out, records, folder)
    assert path.read_bytes() == whole and sorted(sum(detector.shown, [])) == [1, 3, 4]


def test_a_changed_picture_and_another_detector_are_searched_again(prepared, fake):
    out, records = prepared
    folder, detector = fake
    detect_unlabelled(out, records, folder)
    records[1].target_crc = 99
    detector.shown.clear()
    detect_unlabelled(out, records, folder)
    assert detector.shown == [[1]]
    (folder / "model.safetensors").write_bytes(b"other weights")
    detect_unlabelled(out, records, folder)
    assert len(list((out / ".prepare").iterdir())) == 2


def test_new_garments_need_no_new_search(prepared, fake):
    out, records = prepared
    folder, detector = fake
    detect_unlabelled(out, records, folder)
    records[0].boxes = [[0, 0, 64, 64, 1]]
    detector.shown.clear()
    assert detect_unlabelled(out, records, folder)["0"] == 0 and not detector.shown


def test_a_detector_in_a_folder_finds_people_in_pixels(yolos):
    detector = PersonDetector.load(yolos, "auto")
    images = [np.random.default_rng(i).integers(0, 256, (96, 64, 3), np.uint8) for i in range(3)]
    found = detector.detect(images)
    assert [rows.shape[1] for rows in found] == [5] * 3 and all(len(rows) for rows in found)
    rows = np.concatenate(found)
    assert rows.dtype == np.float32 and (rows[:, 4] >= people.CONFIDENT).all()
    assert rows[:, [0, 2]].max() > 20 and rows[:, [1, 3]].max() > 20
    assert rows[:, :4].min() > -64 and rows[:, :4].max() < 160
    for image, rows in zip(images, found, strict=True):
        np.testing.assert_allclose(detector.detect([image])[0], rows, rtol=1e-3, atol=1e-3)


def test_a_folder_of_pictures_is_searched_by_a_real_model(prepared, yolos):
    out, records = prepared
    shares = detect_unlabelled(out, records, yolos)
    assert list(shares) == list("01234") and all(0 <= share <= 1 for share in shares.values())


@pytest.mark.parametrize("lacking", ["model.safetensors", "config.json", "preprocessor_config.json"])
def test_what_a_folder_lacks_is_named_with_the_remedy(lacking, yolos, tmp_path):
    for file in yolos.iterdir():
        if file.name != lacking:
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(FileNotFoundError, match=f"no {lacking}: .*COCO.*without a detector"):
        PersonDetector.load(tmp_path)


def test_a_folder_that_is_not_there_is_named_before_the_work_begins(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is no folder: a person detector is"):
        PrepareOptions(person_detector=str(tmp_path / "nowhere")).check()


def test_a_detector_of_other_things_is_refused(yolos, tmp_path):
    for file in yolos.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config["id2label"] = {"0": "cat", "1": "dog"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="no label person, its labels are cat, dog"):
        PersonDetector.load(tmp_path)
