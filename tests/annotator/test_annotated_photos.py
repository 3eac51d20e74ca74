"""From photos to maps to pictures, and to a training folder, in one command each."""

import json

import numpy as np
import pytest
from PIL import Image

import small_maps
from annotated import CANNY, GARMENTS, ORIENTATION, table, write_photos
from pictures.photo import open_photo
from pictures.region_maps import load_map
from pictures.unusable import Unusable
from preparation import prepare_folder
from raw_data import options, read_lines, read_reasons
from tutorial_dataset import MyDataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return small_maps.write_maps(tmp_path_factory.mktemp("maps"))


@pytest.fixture
def draw(folder, monkeypatch):
    return small_maps.command_line(folder, monkeypatch)


def upright(path):
    with Image.open(path) as image:
        return np.asarray(image.transpose(Image.Transpose.ROTATE_270) if path.suffix == ".jpg" else image)


def test_annotated_photos_are_painted_anew_in_one_command(annotate, draw, tmp_path):
    """With their sub-folders, the way up that their cameras noted; photos without the region are rejected."""
    photos, out = write_photos(tmp_path / "photos"), tmp_path / "maps"
    annotate(photos, out, *GARMENTS)
    given = "--maps", out, "--photo", photos, "--inpaint", "whole", "--size", "64"
    pictures = draw(tmp_path / "out", *given)
    found = {row["photo"]: row for row in table(out / "maps.csv")}
    drawn = {row["photo"]: row for row in small_maps.rows(pictures / "manifest.csv")}
    wearing = {photo for photo, row in found.items() if "whole" in row["found"]}
    assert drawn.keys() == {str(photos / photo) for photo in wearing} and len(wearing) >= 2
    rejected = [row["map"] for row in small_maps.rows(pictures / "rejected.csv")]
    assert sorted(rejected) == sorted(found[photo]["map"] for photo in found.keys() - wearing)
    path = photos / "turned.jpg"
    row = drawn[str(path)]
    size = int(row["width"]), int(row["height"])
    picture = np.asarray(Image.open(pictures / row["file"]))
    photo = np.asarray(Image.fromarray(upright(path)).resize(size, Image.Resampling.LANCZOS))
    ids = np.asarray(Image.open(out / "masks" / "turned.png").resize(size, Image.Resampling.NEAREST))
    assert (picture[ids != 3] == photo[ids != 3]).all() and (picture[ids == 3] != photo[ids == 3]).any()


def test_without_the_folder_of_photos_each_row_says_what_to_give(annotate, draw, tmp_path):
    annotate(write_photos(tmp_path / "photos"), tmp_path / "maps", *GARMENTS)
    with pytest.raises(SystemExit):
        draw(tmp_path / "out", "--maps", tmp_path / "maps", "--inpaint", "top", "--size", "64")
    reasons = [row["reason"] for row in small_maps.rows(tmp_path / "out" / "rejected.csv")]
    assert sum("does not exist: give --photo FOLDER" in reason for reason in reasons) == 5


def test_texts_beside_photos_are_no_photos(draw, folder, tmp_path):
    maps, photos = folder / "maps" / "source", tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (64, 64)).save(photos / "1.jpg")
    (photos / "1.txt").write_text("a red top")
    out = draw(tmp_path / "out", "--maps", maps, "--photo", photos, "--prompt", "a")
    assert [row["photo"] for row in small_maps.rows(out / "manifest.csv")] == [str(photos / "1.jpg")]


@pytest.mark.parametrize("annotator", [GARMENTS, CANNY])
def test_photos_and_their_maps_become_a_training_folder(annotate, tmp_path, annotator):
    raw = tmp_path / "raw"
    photos = write_photos(raw / "images")
    (photos / "grey.webp").unlink()
    annotate(photos, raw, *annotator)
    prepare_folder(raw, tmp_path / "out", options(val=0))
    lines = read_lines(tmp_path / "out" / "prompt.json")
    assert [line["photo"] for line in lines] == [
        "images/shirts/13.png",
        "images/shirts/21.png",
        "images/shirts/41.png",
        "images/turned.jpg",
    ]
    assert lines[3]["prompt"] == "a doll" and not read_reasons(tmp_path / "out")
    assert (tmp_path / "out" / "regions.yaml").exists() == (annotator is GARMENTS)
    items = MyDataset(tmp_path / "out")
    assert len(items) == 4 and items[3]["hint"].any()
    if annotator is GARMENTS:
        ids = load_map(tmp_path / "out" / lines[3]["source"])
        assert lines[3]["regions"] == [["top", "bottom", "whole", "head"][i - 1] for i in np.unique(ids) if i]


def test_a_photo_that_lies_on_its_head_fits_its_map(annotate, tmp_path):
    """Its size does not tell that the map was made of the upright one."""
    raw = tmp_path / "raw"
    (raw / "images").mkdir(parents=True)
    exif, half = Image.Exif(), np.zeros((128, 128, 3), np.uint8)
    exif[ORIENTATION] = 3
    half[:40, 30:90] = 255, 0, 0
    Image.fromarray(half).save(raw / "images" / "a.png", exif=exif)
    annotate(raw / "images", raw, *CANNY)
    prepare_folder(raw, tmp_path / "out", options())
    (line,) = read_lines(tmp_path / "out" / "prompt.json")
    photo, edges = (np.asarray(Image.open(tmp_path / "out" / line[key])) for key in ("target", "source"))
    assert photo[100, 64, 0] > 200 and edges[64:].any() and not edges[:64].any()
    with pytest.raises(Unusable, match="128 x 128, the table says 64 x 128"):
        open_photo(raw / "images" / "a.png", 64, 128, upright=True)


def test_pictures_of_one_name_in_two_folders_are_told_apart_or_listed(annotate, tmp_path):
    raw = tmp_path / "raw"
    for name in ("a/1", "b/1", "b_1", "c"):
        (raw / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)).save(
            raw / "images" / f"{name}.png"
        )
    annotate(raw / "images", raw, *CANNY)
    prepare_folder(raw, tmp_path / "out", options(val=0))
    names = [json.loads(line)["source"] for line in (tmp_path / "out" / "prompt.json").open()]
    assert names == ["source/a_1.png", "source/b_1.png", "source/c.png"]
    assert "another picture would be called b_1" in read_reasons(tmp_path / "out")["images/b_1.png"][0]
