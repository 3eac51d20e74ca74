"""From a raw iMaterialist folder to a training folder: pairs, prompts, and a reason for what is left out."""

import json

import numpy as np
import pytest
from PIL import Image

from annotator.imaterialist import REGIONS_FILE, build_training_folder, load_map, rle_encode, save_map

LABELS = REGIONS_FILE.with_name("label_descriptions.json")
HEADER = "ImageId,EncodedPixels,Height,Width,ClassId\n"
TOP, BOTTOM, WHOLE, HEAD = 1, 2, 3, 4


def box(top, left, bottom, right, shape):
    mask = np.zeros(shape, bool)
    mask[top:bottom, left:right] = True
    return mask


@pytest.fixture
def raw(tmp_path):
    """Two good photos (one of them wide), and one for every way an image can be unusable."""
    folder = tmp_path / "raw"
    (folder / "train").mkdir(parents=True)
    (folder / "label_descriptions.json").write_bytes(LABELS.read_bytes())
    shape = (128, 256)
    dress = rle_encode(box(8, 150, 120, 190, shape))
    lines = [
        f"good.jpg,{rle_encode(box(0, 0, 64, 64, (128, 128)))},128,128,1",
        f"good.jpg,{rle_encode(box(0, 0, 9, 9, (128, 128)))},128,128,31",
        *(f"{name}.jpg,{dress},128,256,10_8" for name in ("wide", "missing", "broken", "turned")),
        f"bag.jpg,{dress},128,256,24",
        f"spoilt.jpg,{dress},128,256,10",
        "spoilt.jpg,1 2 3,128,256,6",
        f"small.jpg,{rle_encode(box(0, 0, 9, 9, (64, 96)))},64,96,6",
    ]
    (folder / "train.csv").write_text(HEADER + "".join(line + "\n" for line in lines))
    sizes = {"good": (128, 128), "wide": shape, "turned": shape[::-1], "bag": shape, "spoilt": shape}
    for name, (height, width) in {**sizes, "small": (64, 96), "alone": (9, 9)}.items():
        photo = np.zeros((height, width, 3), np.uint8)
        if name == "wide":
            photo[8:120, 150:190] = 255
        Image.fromarray(photo).save(folder / "train" / f"{name}.jpg", quality=95)
    whole = (folder / "train" / "wide.jpg").read_bytes()
    (folder / "train" / "broken.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "captions.csv").write_text('ImageId,caption\ngood.jpg,"a person, smiling"\nwide.jpg,\n')
    return folder


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_training_folder_pairs_map_photo_and_prompt(raw, tmp_path):
    out = tmp_path / "out"
    summary = build_training_folder(raw, out, size=128)
    good, wide = read_lines(out / "prompt.json")
    assert (good["prompt"], wide["prompt"]) == ("a person, smiling", "maxi dress")
    assert good["captions"] == {"caption": "a person, smiling", "garments": "top"}
    assert (good["regions"], wide["regions"], good["size"]) == (["top"], ["whole"], [128, 128])
    assert (out / good["target"]).read_bytes() == (raw / "train" / "good.jpg").read_bytes()
    assert (load_map(out / good["source"]) == TOP).sum() == 64 * 64
    assert (out / "regions.yaml").read_bytes() == REGIONS_FILE.read_bytes()
    assert (summary["kept"], summary["rejected"]) == (2, 7) and summary["regions"] == {"top": 1, "whole": 1}


def test_photo_and_map_are_cropped_alike_around_the_garments(raw, tmp_path):
    build_training_folder(raw, tmp_path / "out", size=64)
    ids = load_map(tmp_path / "out" / "source" / "wide.png")
    photo = np.asarray(Image.open(tmp_path / "out" / "target" / "wide.jpg").convert("L"))
    assert ids.shape == photo.shape == (64, 64)
    assert set(np.unique(ids)) == {0, WHOLE} and (ids > 0).sum() == 56 * 20
    assert ((photo > 127) == (ids > 0)).mean() > 0.99
    columns = np.flatnonzero(ids.any(axis=0))
    assert columns[0] + columns[-1] == 63


def test_every_image_left_out_has_its_reason(raw, tmp_path):
    build_training_folder(raw, tmp_path / "out", size=128)
    reasons = dict(
        line.split(",", 2)[::2] for line in (tmp_path / "out" / "rejected.csv").read_text().splitlines()[1:]
    )
    expected = {
        "missing.jpg": "missing",
        "broken.jpg": "can't be read",
        "turned.jpg": "256 x 128",
        "bag.jpg": "no garment",
        "spoilt.jpg": "pairs",
        "small.jpg": "under 128 pixels",
        "alone.jpg": "no row",
    }
    assert reasons.keys() == expected.keys()
    assert all(expected[image] in reason for image, reason in reasons.items())


def test_a_second_run_changes_nothing_and_keeps_maps_corrected_by_hand(raw, tmp_path):
    out = tmp_path / "out"
    first = build_training_folder(raw, out, size=128)
    prompts = (out / "prompt.json").read_bytes()
    assert build_training_folder(raw, out, size=128) == first
    assert (out / "prompt.json").read_bytes() == prompts
    save_map(out / "source" / "good.png", np.full((128, 128), HEAD, np.uint8))
    build_training_folder(raw, out, size=128)
    assert read_lines(out / "prompt.json")[0]["regions"] == ["head"]
    (out / "source" / "good.png").unlink()
    build_training_folder(raw, out, size=128)
    assert (out / "prompt.json").read_bytes() == prompts


def test_a_table_saved_by_a_spreadsheet_is_read_and_one_in_another_encoding_named(raw, tmp_path):
    for name in ("train.csv", "captions.csv"):
        text = (raw / name).read_text().replace("\n", "\r\n")
        (raw / name).write_bytes(text.encode("utf-8-sig"))
    build_training_folder(raw, tmp_path / "out", size=128)
    assert [line["prompt"] for line in read_lines(tmp_path / "out" / "prompt.json")] == [
        "a person, smiling",
        "maxi dress",
    ]
    (raw / "captions.csv").write_bytes("ImageId,caption\ngood.jpg,\xe4\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"captions.csv must be a csv file in UTF-8"):
        build_training_folder(raw, tmp_path / "out", size=128)


def test_an_annotation_of_an_absurd_size_takes_no_memory(raw, tmp_path):
    huge = "good.jpg,1 2,60000,60000,1\nwide.jpg,1 2,100000000000,100000000000,1\n"
    (raw / "train.csv").write_text(HEADER + huge)
    build_training_folder(raw, tmp_path / "out", size=128)
    rejected = (tmp_path / "out" / "rejected.csv").read_text()
    assert "the photo is 128 x 128, train.csv says 60000 x 60000" in rejected
    assert "Height must be a whole number from 1 to 65535" in rejected


def test_photos_with_more_than_8_bits_or_too_many_pixels_are_left_out(raw, tmp_path):
    Image.fromarray(np.full((128, 128), 30000, np.uint16)).save(raw / "train" / "good.jpg", "PNG")
    Image.new("1", (20000, 20000)).save(raw / "train" / "wide.jpg", "PNG")
    build_training_folder(raw, tmp_path / "out", size=128)
    rejected = (tmp_path / "out" / "rejected.csv").read_text()
    assert "8 bits a channel are wanted" in rejected and "decompression bomb" in rejected


def test_a_corrected_map_that_does_not_fit_its_photo_is_left_out(raw, tmp_path):
    out = tmp_path / "out"
    build_training_folder(raw, out, size=128)
    save_map(out / "source" / "good.png", np.ones((64, 64), np.uint8))
    (out / "source" / "wide.png").write_bytes(b"")
    build_training_folder(raw, out, size=128)
    rejected = (out / "rejected.csv").read_text()
    assert "good.png is 64 x 64, its photo 128 x 128" in rejected and "wide.png or its photo" in rejected


def test_the_split_is_fixed_by_image_and_seed(raw, tmp_path):
    counts = [
        build_training_folder(raw, tmp_path / str(f), size=128, val_fraction=f)["val"] for f in (0, 0.999)
    ]
    assert counts == [0, 2]


def test_wrong_options_and_other_settings_are_refused(raw, tmp_path):
    build_training_folder(raw, tmp_path / "out", size=128)
    for wrong in ({"size": 64}, {"size": 128, "table": "legacy"}):
        with pytest.raises(ValueError, match="another folder"):
            build_training_folder(raw, tmp_path / "out", **wrong)
    for wrong, reason in (
        ({"size": 100}, "multiple of 64"),
        ({"table": "x"}, "table"),
        ({"val_fraction": 1}, "val_"),
    ):
        with pytest.raises(ValueError, match=reason):
            build_training_folder(raw, tmp_path / "new", **wrong)
    with pytest.raises(FileNotFoundError, match=r"train\.csv"):
        build_training_folder(tmp_path, tmp_path / "new")
