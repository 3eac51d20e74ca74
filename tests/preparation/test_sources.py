"""Data that is not iMaterialist's: tables and folders of pairs, with masks of any exact coding."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pictures.pairs import read_items
from pictures.region_maps import load_map, save_map
from preparation import prepare_folder
from raw_data import all_files, make_raw, options, photo, read_lines, read_reasons
from tutorial_dataset import MyDataset

SHAPE = (128, 160)
RED, GREEN = (255, 0, 0), (0, 255, 0)


def some_ids():
    ids = np.zeros(SHAPE, np.uint8)
    ids[10:60, 30:90], ids[60:120, 30:90] = 1, 2
    return ids


def in_colours(ids):
    return np.array([(0, 0, 0), RED, GREEN], np.uint8)[ids]


def write_pairs(folder, masks, photos=None):
    """images/NAME.jpg and masks/NAME.png from {name: array}."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number, (name, mask) in enumerate(masks.items()):
        Image.fromarray(mask).save(folder / "masks" / f"{name}.png")
        Image.fromarray(photo(SHAPE, number)).save(folder / "images" / f"{name}.jpg")
    return folder


def write_table(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_palette_ids_and_colours_become_the_same_map(tmp_path):
    raw = write_pairs(tmp_path / "raw", {"colours": in_colours(some_ids()), "ids": some_ids()})
    save_map(raw / "masks" / "palette.png", some_ids())
    (raw / "images" / "palette.jpg").write_bytes((raw / "images" / "ids.jpg").read_bytes())
    prepare_folder(raw, tmp_path / "out", options())
    maps = [load_map(tmp_path / "out" / "source" / f"{name}.png") for name in ("colours", "ids", "palette")]
    assert (maps[0] == maps[1]).all() and (maps[1] == maps[2]).all()
    assert {1, 2} < set(np.unique(maps[0])) | {3} and maps[0].shape == (128, 128)
    assert read_lines(tmp_path / "out" / "prompt.json")[0]["regions"] == ["top", "bottom"]


def test_arbitrary_pictures_are_hints_as_they_are(tmp_path, capsys):
    raw = write_pairs(tmp_path / "raw", {"edges": photo(SHAPE, 3)})
    prepare_folder(raw, tmp_path / "out", options())
    assert "maps are taken for picture; --hints picture says so" in capsys.readouterr().out
    with Image.open(tmp_path / "out" / "source" / "edges.png") as image:
        assert image.mode == "RGB" and image.size == (128, 128)
        colours = {tuple(colour) for colour in np.asarray(image).reshape(-1, 3).tolist()}
    assert colours <= {tuple(colour) for colour in photo(SHAPE, 3).reshape(-1, 3).tolist()}
    assert not (tmp_path / "out" / "regions.yaml").exists()


def test_a_picture_of_16_bits_is_rejected_rather_than_cut_to_8(tmp_path):
    depth = np.arange(SHAPE[0] * SHAPE[1], dtype=np.uint16).reshape(SHAPE)
    prepare_folder(write_pairs(tmp_path / "raw", {"depth": depth}), tmp_path / "out", options())
    assert "mode I;16: 8 bits" in read_reasons(tmp_path / "out")["images/depth.jpg"][0]


def test_people_beside_pictures_as_hints_are_nobody_unlabelled(tmp_path, capsys):
    raw = write_pairs(tmp_path / "raw", {"edges": photo(SHAPE, 3)})
    person = np.full((*SHAPE, 3), (40, 60, 200), np.uint8)
    person[20:40, 60:80] = 224, 172, 140
    Image.fromarray(person).save(raw / "images" / "edges.png")
    (raw / "images" / "edges.jpg").unlink()
    prepare_folder(raw, tmp_path / "out", options(thresholds=("tiny=0",)))
    assert "If tiny does not suit them, run again with --threshold tiny=off" in capsys.readouterr().out
    summary = prepare_folder(raw, tmp_path / "out", options(thresholds=()))
    assert not {"no_garment", "maybe_unlabelled_people"} & summary["left_out_by"].keys()


def test_the_first_mask_that_shows_something_decides_and_others_are_rejected(tmp_path, capsys):
    masks = {"a": np.zeros((*SHAPE, 3), np.uint8), "b": in_colours(some_ids()), "c": photo(SHAPE)}
    raw = write_pairs(tmp_path / "raw", masks | {"d": np.full(SHAPE, 99, np.uint8)})
    prepare_folder(raw, tmp_path / "out", options())
    assert "b.png holds region ids or the regions' colours only" in capsys.readouterr().out
    reasons = read_reasons(tmp_path / "out")
    assert "off the regions' colours, such as (" in reasons["images/c.jpg"][0]
    assert "values up to 99, region ids go to 4" in reasons["images/d.jpg"][0]
    with pytest.raises(ValueError, match="made with regions"):
        prepare_folder(raw, tmp_path / "out", options(hints="picture"))


def test_files_without_a_partner_of_another_size_or_broken_are_listed(tmp_path):
    raw = write_pairs(tmp_path / "raw", {name: some_ids() for name in ("good", "small", "broken", "nomask")})
    Image.fromarray(some_ids()[:64]).save(raw / "masks" / "small.png")
    (raw / "masks" / "broken.png").write_bytes(b"no picture")
    (raw / "masks" / "nomask.png").rename(raw / "masks" / "nophoto.png")
    Image.new("RGB", SHAPE).save(raw / "images" / "good.png")
    summary = prepare_folder(raw, tmp_path / "out", options())
    reasons = read_reasons(tmp_path / "out")
    for name, reason in {
        "images/small.jpg": "128 x 160",
        "images/broken.jpg": "can't be read",
        "images/nomask.jpg": "masks/ has no file nomask",
        "masks/nophoto.png": "images/ has no file nophoto",
        "images/good.png": "has the same name",
    }.items():
        assert reason in reasons[name][0]
    assert len(reasons) == 5 and summary["photos"] == {"total": 6, "used": 1, "rejected": 5}
    with pytest.raises(ValueError, match="images/good.png: .* and 2 more"):
        MyDataset(raw)


def test_captions_stand_beside_the_images_or_in_a_table(tmp_path):
    raw = write_pairs(tmp_path / "raw", {"a": some_ids(), "b": some_ids()})
    (raw / "images" / "a.txt").write_text(" a red top\n")
    (raw / "captions.csv").write_text("ImageId,caption,best\na.jpg,unused,finest\nb.jpg,a green skirt,\n")
    prepare_folder(raw, tmp_path / "out", options())
    a, b = read_lines(tmp_path / "out" / "prompt.json")
    assert a["captions"] == {"caption": "a red top", "best": "finest"} and b["prompt"] == "a green skirt"
    assert [item["prompt"] for item in read_items(raw)[1]] == ["a red top", ""]


def test_lines_of_a_table_are_used_or_listed(tmp_path):
    raw = write_pairs(tmp_path / "raw", {"a": some_ids(), "b": some_ids()})
    pair = {"conditioning_image": "masks/a.png", "image": "images/a.jpg", "text": "first"}
    missing = {"source": "masks/b.png", "target": "images/none.jpg", "prompt": ""}
    lines = [pair, {"image": "images/b.jpg"}, pair, missing, pair | {"text": "\ud800"}]
    write_table(raw / "pairs.jsonl", lines)
    summary = prepare_folder(raw / "pairs.jsonl", tmp_path / "out", options())
    assert summary["rows"] == {"total": 5, "painted": 1, "words_only": 0, "rejected": 4}
    reasons = (tmp_path / "out" / "rejected.csv").read_text()
    assert "wanted {" in reasons and "an earlier line has a picture of that name" in reasons
    assert read_lines(tmp_path / "out" / "prompt.json")[0]["prompt"] == "first"


def test_files_of_one_name_in_several_folders_are_told_apart(tmp_path):
    for name in ("x", "y"):
        write_pairs(tmp_path / name, {"0": some_ids()})
    sides = [{"source": f"{n}/masks/0.png", "target": f"{n}/images/0.jpg", "prompt": n} for n in ("x", "y")]
    write_table(tmp_path / "prompt.json", sides)
    prepare_folder(tmp_path, tmp_path / "out", options())
    lines = read_lines(tmp_path / "out" / "prompt.json")
    assert [line["target"] for line in lines] == ["target/x_images_0.jpg", "target/y_images_0.jpg"]
    assert lines[0]["photo"] == "x/images/0.jpg"


def test_a_training_folder_can_be_prepared_again_at_another_size(tmp_path):
    prepare_folder(make_raw(tmp_path / "raw"), tmp_path / "large", options(table="detailed"))
    prepare_folder(tmp_path / "large", tmp_path / "small", options(size=64))
    large, small = (read_lines(tmp_path / name / "prompt.json") for name in ("large", "small"))
    for key in ("captions", "regions", "prompt"):
        assert [line[key] for line in large] == [line[key] for line in small]
    files = [all_files(tmp_path / name)["regions.yaml"] for name in ("large", "small")]
    assert files[0] == files[1] and small[0]["size"] == [64, 64]


@pytest.mark.parametrize(
    "content",
    ["", "a: [", "names: [a, 1]", "names: []\ncolours: []"]
    + [f"names: [none, top]\ncolours: [[0, 0, 0], {colour}]" for colour in ("[0, 0, 300]", "[0, 0, 0]", "1")],
)
def test_a_wrong_regions_file_beside_the_masks_is_named(tmp_path, content):
    raw = write_pairs(tmp_path / "raw", {"a": some_ids()})
    (raw / "regions.yaml").write_text(content)
    with pytest.raises(ValueError, match=r"raw/regions.yaml(:| is no yaml:) [^\n]+$"):
        prepare_folder(raw, tmp_path / "out", options())


def test_options_that_the_data_overrules_are_refused(tmp_path):
    raw = write_pairs(tmp_path / "raw", {"a": some_ids()})
    (raw / "regions.yaml").write_text("names: [none, top]\ncolours: [[0, 0, 0], [1, 1, 1]]")
    with pytest.raises(ValueError, match="--table detailed needs --regions"):
        prepare_folder(raw, tmp_path / "out", options(table="detailed"))
    with pytest.raises(ValueError, match="--hints picture: .* are regions; leave it out"):
        prepare_folder(make_raw(tmp_path / "other"), tmp_path / "out", options(hints="picture"))


def test_nothing_that_can_be_read_is_refused_with_what_could(tmp_path):
    with pytest.raises(FileNotFoundError, match="is none of these:\n- iMaterialist"):
        prepare_folder(tmp_path, tmp_path / "out", options())
    with pytest.raises(FileNotFoundError, match="does not exist"):
        prepare_folder(tmp_path / "nowhere", tmp_path / "out", options())
    write_table(tmp_path / "prompt.json", [{"a": 1}])
    with pytest.raises(ValueError, match="holds no pair of a photo and a map: line 1: wanted"):
        prepare_folder(tmp_path, tmp_path / "out", options())
    assert not (tmp_path / "out").exists()


def test_a_photo_that_may_not_be_read_is_a_rejected_row_and_tried_again(tmp_path, monkeypatch):
    raw = write_pairs(tmp_path / "raw", {name: some_ids() for name in "ab"})
    read_bytes, access, secret = Path.read_bytes, os.access, raw / "images" / "b.jpg"

    def refuse(path):
        if path == secret:
            raise PermissionError(13, "Permission denied", str(path))
        return read_bytes(path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", refuse)
        patched.setattr(os, "access", lambda path, mode: path != secret and access(path, mode))
        prepare_folder(raw, tmp_path / "out", options())
    [reason] = read_reasons(tmp_path / "out")["images/b.jpg"]
    assert reason == "0: the photo can't be read: Permission denied"
    assert prepare_folder(raw, tmp_path / "out", options())["pictures"]["total"] == 2
