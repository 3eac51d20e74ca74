"""Try-on data sets as published become training folders: every file is used or its reason given."""

import csv
import json
import shutil

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from annotator.openpose.pose import draw_joints
from batches.augment import Draw, FlippedItems
from masks_reference import FOLDER, read_labels
from paperdoll.tryon_folders import make_viton_hd
from preparation.fittings import FittingOptions, is_fittings, prepare_fittings
from preparation.fittings.one_fitting import crop_to
from preparation.fittings.sources import open_fittings
from tutorial_dataset import MyDataset
from tutorial_tryon_dataset import TryonDataset

FIXTURES = FOLDER / "fixtures"
EXPECTED = json.loads((FIXTURES / "expected.json").read_text())
ONE = dict(workers=1)


@pytest.fixture(scope="module")
def viton(tmp_path_factory):
    out = tmp_path_factory.mktemp("viton") / "out"
    summary = prepare_fittings(
        FIXTURES / "viton_hd", out, FittingOptions((1024, 768), "hrviton", mended=False, **ONE)
    )
    return out, summary


@pytest.fixture(scope="module")
def dress_code(tmp_path_factory):
    out = tmp_path_factory.mktemp("dresscode") / "out"
    summary = prepare_fittings(
        FIXTURES / "dresscode", out, FittingOptions(mask_style="dresscode", mended=False, **ONE)
    )
    return out, summary


def lines_of(out):
    return {line["name"]: line for line in map(json.loads, (out / "prompt.json").read_text().splitlines())}


def rejected(out):
    with open(out / "rejected.csv", newline="") as file:
        found = {}
        for row in csv.DictReader(file):
            found[row["image"]] = found.get(row["image"], "") + row["reason"]
        return found


def test_vitonhds_persons_wear_the_garment_of_their_own_name(viton):
    out, summary = viton
    assert summary["splits"] == {"train": 2, "test": 3} and summary["rejected"] == 0
    for split in ("train", "test"):
        for name in EXPECTED["viton_hd"][split]["persons"]:
            made = cv2.imread(str(out / "garment" / f"{split}_{name}.jpg"))
            raw = cv2.imread(str(FIXTURES / "viton_hd" / split / "cloth" / f"{name}.jpg"))
            assert np.abs(made.astype(int) - raw).mean() < 2


def test_vitonhds_test_list_is_the_unpaired_one(viton):
    out, summary = viton
    wanted = [
        [f"test_{name.removesuffix('.jpg')}" for name in pair]
        for pair in EXPECTED["viton_hd"]["test"]["unpaired"]
    ]
    assert [line.split() for line in (out / "test_unpaired.txt").read_text().splitlines()] == wanted
    paired = [line.split() for line in (out / "test_paired.txt").read_text().splitlines()]
    assert all(person == garment for person, garment in paired) and len(paired) == 3


def test_vitonhds_garments_are_called_by_their_tags(viton):
    lines = lines_of(viton[0])
    for name, caption in EXPECTED["viton_hd"]["captions_test"].items():
        assert lines[f"test_{name.removesuffix('.jpg')}"]["garment_prompt"] == caption
    assert lines["test_00013_00"]["prompt"] == "a person wears shirts"


def test_masks_are_those_of_the_published_rule(viton, dress_code):
    for split in ("train", "test"):
        for name, person in EXPECTED["viton_hd"][split]["persons"].items():
            mask = read_labels(viton[0] / "mask" / f"{split}_{name}.png") > 0
            expected = (
                read_labels(FOLDER / "expected" / person / "hrviton_agnostic__upper_body__1024x768.png") > 0
            )
            assert (mask & expected).sum() / (mask | expected).sum() > 0.999
    for category, persons in EXPECTED["dresscode"]["persons"].items():
        for number, person in persons.items():
            mask = read_labels(dress_code[0] / "mask" / f"{category}_{number}.png") > 0
            expected = read_labels(FOLDER / "expected" / person / f"dresscode__{category}__512x384.png") > 0
            assert (mask & expected).sum() / (mask | expected).sum() > 0.999


def test_dresscodes_keypoints_are_doubled(dress_code):
    wanted = EXPECTED["dresscode"]["keypoints_of_first_upper_item"]
    pose = json.loads((dress_code[0] / "pose" / f"upper_body_{wanted['name']}.json").read_text())
    assert pose["height"] == 512 and pose["points"]["left_wrist"] == wanted["left_wrist_file"]


def test_dresscodes_garments_are_no_persons(dress_code):
    out, summary = dress_code
    assert summary["fittings"] == 6 and summary["categories"] == {"upper": 2, "lower": 2, "dress": 2}
    assert not any(name.endswith("_1") for name in lines_of(out))


def test_the_folder_trains_a_control_too(dress_code):
    items = MyDataset(dress_code[0])
    assert len(items) == 6 and items[0]["hint"].shape == (512, 384, 3)
    ids = read_labels(dress_code[0] / "source" / "dresses_020714.png")
    assert (ids == 3).mean() > 0.02 and set(np.unique(ids)) <= {0, 1, 2, 3, 4}


def test_items_are_grey_where_they_are_repainted(dress_code):
    dataset = TryonDataset(dress_code[0], split="test")
    item = dataset[0]
    assert item["jpg"].shape == item["garment"].shape == (512, 384, 3) and item["mask"].shape == (512, 384, 1)
    inside = item["mask"][..., 0] == 1
    assert set(np.unique(item["mask"])) == {0.0, 1.0}
    assert not item["agnostic"][inside].any() and np.array_equal(
        item["agnostic"][~inside], item["jpg"][~inside]
    )
    assert item["garment_pixels"].dtype == np.uint8 and item["category"] == "upper"
    torch.utils.data.default_collate([dataset[0], dataset[1]])


def test_a_pose_is_drawn_and_a_mirrored_ones_left_arm_is_its_right_one(viton):
    out, _ = viton
    dataset = TryonDataset(out)
    item = dataset[0]
    assert item["pose"].shape == item["jpg"].shape and item["pose"].min() == -1 and item["pose"].max() > 0.9
    drawn, mirrored = (FlippedItems(dataset)[Draw(0, mirrored=way)]["pose"].numpy() for way in (False, True))
    assert np.array_equal(drawn, item["pose"])
    # same places, but for the colours
    lit, flipped = (picture.max(axis=2) > -1 for picture in (drawn, mirrored[:, ::-1]))
    assert (lit & flipped).sum() / (lit | flipped).sum() > 0.8
    assert not np.allclose(drawn, mirrored[:, ::-1], atol=0.1)
    points = dict(left_wrist=(10, 20), right_wrist=(40, 20), neck=(30, 5))
    swapped = {"right_wrist": (54, 20), "left_wrist": (24, 20), "neck": (34, 5)}
    assert np.array_equal(draw_joints(points, 64, 64, mirrored=True), draw_joints(swapped, 64, 64))


def test_a_garments_mask_is_all_of_it_where_the_folder_has_none(viton):
    out, _ = viton
    dataset = TryonDataset(out)
    covered = dataset[0]["garment_mask"]
    assert covered.shape == dataset[0]["mask"].shape and 0.05 < covered.mean() < 0.95
    dataset.pairs[0][1].pop("garment_mask")
    assert dataset[0]["garment_mask"].shape == covered.shape and dataset[0]["garment_mask"].all()


def test_how_a_doll_was_drawn_goes_along_and_photographs_have_nothing_of_it(viton, tmp_path):
    assert not any("drawn" in line for line in lines_of(viton[0]).values())
    make_viton_hd(tmp_path / "raw", 1, 1, seed=4, size=(64, 48))
    prepare_fittings(tmp_path / "raw", tmp_path / "out", FittingOptions((128, 96), "body_part", **ONE))
    drawn = {name: line["drawn"] for name, line in lines_of(tmp_path / "out").items()}
    assert drawn == {
        "train_00400000_00": dict(seed=4, index=0, size=[64, 48]),
        "test_00400001_00": dict(seed=4, index=1, size=[64, 48]),
    }


def test_other_garments_are_tried_on_by_a_pairs_file(viton):
    out, _ = viton
    paired, unpaired = TryonDataset(out, split="test"), TryonDataset(out, pairs=out / "test_unpaired.txt")
    assert len(unpaired) == 3 and unpaired[0]["name"] == "test_00006_00__test_00008_00"
    assert np.array_equal(paired[0]["jpg"], unpaired[0]["jpg"])
    assert not np.array_equal(paired[0]["garment"], unpaired[0]["garment"])
    (out / "mine.txt").write_text("test_00006_00 nobody\n")
    with pytest.raises(ValueError, match="names nobody, which"):
        TryonDataset(out, pairs=out / "mine.txt")
    (out / "mine.txt").unlink()


def test_augmentations_are_off_and_apart(viton):
    def mirror(parts, rng):
        return {key: value[:, ::-1] for key, value in parts.items()}

    plain, both = TryonDataset(viton[0]), TryonDataset(viton[0], augment=mirror)
    assert np.array_equal(both[0]["jpg"], plain[0]["jpg"][:, ::-1])
    assert np.array_equal(both[0]["mask"], plain[0]["mask"][:, ::-1])
    assert np.array_equal(both[0]["garment"], plain[0]["garment"])


@pytest.fixture
def raw(tmp_path):
    """A copy of VITON-HD's fixture, to be spoilt."""
    shutil.copytree(FIXTURES / "viton_hd", tmp_path / "raw")
    return tmp_path / "raw"


def prepare(raw, size=(256, 192), **options):
    out = raw.parent / "out"
    return out, prepare_fittings(
        raw, out, FittingOptions(size, **(dict(mask_style="vitonhd", workers=1) | options))
    )


def test_without_a_mask_style_a_data_sets_own_is_taken(tmp_path):
    for kind, style in (("viton_hd", "vitonhd"), ("dresscode", "dresscode")):
        out = tmp_path / kind
        summary = prepare_fittings(FIXTURES / kind, out, FittingOptions((256, 192), workers=1))
        assert summary["mask_style"] == style and summary["fittings"] > 0
        lines = [json.loads(line) for line in (out / "prompt.json").read_text().splitlines()]
        assert {line["mask_style"] for line in lines} == {style}


def test_what_is_missing_or_wrong_is_rejected_by_its_reason(raw):
    (raw / "test" / "cloth" / "00006_00.jpg").unlink()
    parse = raw / "test" / "image-parse-v3" / "00008_00.png"
    Image.open(parse).convert("RGB").save(parse)
    pose = raw / "test" / "openpose_json" / "00013_00_keypoints.json"
    pose.write_text(json.dumps(dict(people=[])))
    Image.open(raw / "train" / "image-parse-v3" / "00000_00.png").resize(
        (96, 128), Image.Resampling.NEAREST
    ).save(raw / "train" / "image-parse-v3" / "00000_00.png")
    content = json.loads((raw / "train" / "openpose_json" / "00001_00_keypoints.json").read_text())
    content["people"][0]["pose_keypoints_2d"] = content["people"][0]["pose_keypoints_2d"][: 18 * 3]
    (raw / "train" / "openpose_json" / "00001_00_keypoints.json").write_text(json.dumps(content))
    out, summary = prepare(raw)
    assert summary["fittings"] == 0
    reasons = rejected(out)
    for name, words in {
        "00006_00.jpg": "cloth/00006_00.jpg is missing",
        "00008_00.jpg": "has mode RGB: label maps are palette or grey pictures of ids",
        "00013_00.jpg": "has no person",
        "00000_00.jpg": "is 128 x 96, the person 1024 x 768",
        "00001_00.jpg": "body25 keypoints must be (25, x y …), got an array (18, 3)",
    }.items():
        assert words in reasons[name], name


def test_persons_in_training_and_test_are_reported(raw, capsys):
    (raw / "train_pairs.txt").write_text("00000_00.jpg 00001_00.jpg\n00006_00.jpg 00001_00.jpg\n")
    for folder in (raw / "test").iterdir():
        for file in folder.iterdir() if folder.is_dir() else ():
            if file.name.startswith("00006_00"):
                shutil.copy(file, raw / "train" / folder.name / file.name)
    out, summary = prepare(raw)
    assert summary["leaks"] == ["00006_00.jpg"]
    assert "1 persons are in training and test" in capsys.readouterr().out
    assert "In training and test at once: 00006_00.jpg" in (out / "report.html").read_text()


def test_a_second_run_changes_no_byte_and_keeps_corrected_masks(raw):
    out, _ = prepare(raw)
    mask = out / "mask" / "test_00006_00.png"
    Image.fromarray(np.zeros((256, 192), np.uint8)).save(mask)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    prepare(raw)
    assert {p: d for p, d in before.items() if p.name != "report.html"} == {
        path: path.read_bytes() for path in before if path.name != "report.html"
    }


def test_other_masks_are_another_folder(raw):
    prepare(raw)
    with pytest.raises(ValueError, match="was made with mask_style vitonhd, not hrviton"):
        prepare(raw, mask_style="hrviton")


def test_own_folders_need_images_and_garments_only(tmp_path):
    source = FIXTURES / "dresscode" / "upper_body"
    for folder in ("image", "cloth", "parse", "pose"):
        (tmp_path / "raw" / folder).mkdir(parents=True)
    shutil.copy(source / "images" / "000003_0.jpg", tmp_path / "raw" / "image" / "anna.jpg")
    shutil.copy(source / "images" / "000003_1.jpg", tmp_path / "raw" / "cloth" / "anna.jpg")
    shutil.copy(source / "label_maps" / "000003_4.png", tmp_path / "raw" / "parse" / "anna.png")
    shutil.copy(source / "keypoints" / "000003_2.json", tmp_path / "raw" / "pose" / "anna.json")
    (tmp_path / "raw" / "captions.txt").write_text("anna.jpg a striped t-shirt\n")
    out, summary = prepare(tmp_path / "raw", mask_style="body_part")
    assert summary["fittings"] == 1
    assert lines_of(out)["anna"]["prompt"] == "a person wears a striped t-shirt"


def test_joints_of_either_size_are_read_where_the_person_is(tmp_path):
    """DressCode's own are at half the size of its pictures."""
    made = []
    for factor in (1, 2):
        raw = tmp_path / str(factor) / "raw"
        shutil.copytree(FIXTURES / "dresscode", raw)
        for path in raw.glob("*/keypoints/*.json"):
            content = json.loads(path.read_text())
            content["keypoints"] = [[factor * x, factor * y, *rest] for x, y, *rest in content["keypoints"]]
            path.write_text(json.dumps(content))
        out, summary = prepare(raw, mask_style="dresscode")
        assert summary["rejected"] == 0
        made.append({path.name: path.read_bytes() for path in (out / "mask").iterdir()})
    assert made[0] == made[1]


def test_joints_beside_the_person_are_refused(tmp_path):
    shutil.copytree(FIXTURES / "dresscode", tmp_path / "raw")
    path = next((tmp_path / "raw").glob("upper_body/keypoints/*.json"))
    content = json.loads(path.read_text())
    content["keypoints"] = [[x / 9, y / 9, *rest] for x, y, *rest in content["keypoints"]]
    path.write_text(json.dumps(content))
    out, summary = prepare(tmp_path / "raw", mask_style="dresscode")
    assert summary["rejected"] == 1
    assert any("most joints" in reason for reason in rejected(out).values())


def test_drawn_peoples_masks_cover_the_arms(tmp_path):
    """Those of the body's style, whose arms are drawn along the joints."""
    make_viton_hd(tmp_path / "raw", 4, 1, seed=5)
    out, _ = prepare(tmp_path / "raw", mask_style="body_part", size=(128, 96))
    covered = []
    for line in lines_of(out).values():
        points = json.loads((out / line["pose"]).read_text())["points"]
        mask = cv2.imread(str(out / line["mask"]), cv2.IMREAD_GRAYSCALE)
        elbows = [map(int, points[f"{side}_elbow"]) for side in ("left", "right")]
        covered += [mask[y, x] > 0 for x, y in elbows if 0 < x < 96 and 0 < y < 128]
    assert np.mean(covered) > 0.7  # some lie over the head


def test_the_report_shows_each_fitting(viton):
    text = (viton[0] / "report.html").read_text()
    assert text.count("<img ") == 5 and "5 fittings (2 in train, 3 in test; 5 upper)" in text


def test_which_folders_are_of_try_on():
    assert is_fittings(FIXTURES / "viton_hd") and is_fittings(FIXTURES / "dresscode")
    assert not is_fittings(FIXTURES)
    with pytest.raises(FileNotFoundError, match="is none of these:\n- VITON-HD"):
        open_fittings(FIXTURES)


def test_pictures_are_cut_not_stretched():
    crop = crop_to(1000, 1000, (512, 384))
    assert (crop.top, crop.bottom, crop.left, crop.right) == (0, 1000, 125, 875)
    assert crop_to(1024, 768, (512, 384)).scale == 2


def test_options_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(ValueError, match="mask style must be one of hrviton"):
        prepare_fittings(FIXTURES / "viton_hd", tmp_path / "out", FittingOptions(mask_style="hr"))
    with pytest.raises(ValueError, match="size must be multiples of 32, got 500 x 384"):
        prepare_fittings(FIXTURES / "viton_hd", tmp_path / "out", FittingOptions((500, 384)))


def test_the_command_that_prepares_data_takes_try_on_data_too(raw, monkeypatch, capsys):
    import tool_prepare_data

    out = raw.parent / "out"
    arguments = [
        "tool_prepare_data.py",
        raw,
        out,
        "--size",
        "256",
        "--mask-style",
        "ladi_vitonhd",
        "--workers",
        "1",
    ]
    monkeypatch.setattr("sys.argv", list(map(str, arguments)))
    tool_prepare_data.main()
    assert "5 fittings, 0 rejected" in capsys.readouterr().out
    assert lines_of(out)["test_00006_00"]["size"] == [256, 192]


def test_a_category_that_is_none_is_named(dress_code, tmp_path):
    out = shutil.copytree(dress_code[0], tmp_path / "out")
    text = (out / "prompt.json").read_text()
    (out / "prompt.json").write_text(text.replace('"category": "upper"', '"category": "hat"'))
    dataset = TryonDataset(out)
    place = next(i for i, line in enumerate(dataset.data) if line["category"] == "hat")
    with pytest.raises(ValueError, match="has category 'hat': want one of upper, lower, dress, shoes, bag"):
        dataset[place]
