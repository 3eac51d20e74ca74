"""A raw iMaterialist folder as examples: every row is used or its reason given, once."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from annotator.imaterialist import LABELS_FILE, rle_encode
from pictures.regions import Regions
from pictures.unusable import Box, Rejection, Unusable
from preparation.imaterialist import IMaterialist, read_captions

HEADER = "ImageId,EncodedPixels,Height,Width,ClassId\n"
TOP, BOTTOM = 1, 2


def box(top, left, bottom, right):
    mask = np.zeros((30, 20), bool)
    mask[top:bottom, left:right] = True
    return rle_encode(mask)


LINES = [
    f"good.jpg,{box(0, 0, 10, 20)},30,20,0_72",
    f"part.jpg,{box(0, 0, 10, 20)},30,20,1",
    f"good.jpg,{box(10, 5, 30, 15)},30,20,6_37",
    "part.jpg,1 2 3,30,20,31",
    "spoilt.jpg,1 2 3,30,20,6",
    f"spoilt.jpg,{box(0, 0, 10, 20)},30,20,0",
    f"spoilt.jpg,{box(0, 0, 10, 20)},30,20,99",
    f"spoilt.jpg,{box(0, 0, 10, 20)},30,x,32",
    "hopeless.jpg,,30,20,6",
    "hopeless.jpg,1 1,30,20,pants",
    "classless.jpg,1 1,30,20,46",
    f"bag.jpg,{box(0, 0, 10, 20)},30,20,24",
    "../away.jpg,1 1,30,20,6",
]
PHOTOS = "good", "part", "spoilt", "hopeless", "classless", "bag", "alone"


@pytest.fixture
def raw(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "label_descriptions.json").write_bytes(LABELS_FILE.read_bytes())
    (tmp_path / "train.csv").write_text(HEADER + "".join(line + "\n" for line in LINES))
    for name in PHOTOS:
        (tmp_path / "train" / f"{name}.jpg").touch()
    (tmp_path / "train" / ".hidden").touch()
    return tmp_path


def examples(raw, table="detailed"):
    return {example.name: example for example in IMaterialist(raw, Regions.read(table=table)).examples}


def test_a_photo_is_its_rows_boxes_words_and_map(raw):
    source = IMaterialist(raw, Regions.read())
    assert (source.num_rows, source.names, source.colours[TOP]) == (
        len(LINES),
        Regions.read().names,
        (255, 0, 0),
    )
    assert source.regions_yaml == Regions.read().to_yaml()
    example = pickle.loads(pickle.dumps(source.examples[0]))
    assert (example.name, example.photo, example.lines) == ("good", raw / "train" / "good.jpg", (2, 4))
    annotation = example.annotation()
    assert (annotation.height, annotation.width, annotation.incomplete) == (30, 20, "")
    assert annotation.boxes == [Box(5, 10, 15, 30, BOTTOM), Box(0, 0, 20, 10, TOP)]
    assert annotation.captions == {"garments": "a striped shirt, wide leg pants"}
    crop = SimpleNamespace(sample_points=lambda: (np.array([5, 15]), np.array([0, 10])))
    assert annotation.draw(crop).tolist() == [[TOP, TOP], [0, BOTTOM]]


def test_every_row_and_photo_that_is_not_used_is_listed_once_with_its_reason(raw):
    source = IMaterialist(raw, Regions.read())
    found = list(source.rejected)
    for example in source.examples:
        try:
            found += example.annotation().rejected
        except Unusable as error:
            found += error.rejected
    expected = {
        ("part.jpg", 5): "pairs",
        ("spoilt.jpg", 6): "pairs",
        ("spoilt.jpg", 8): "no category 99",
        ("spoilt.jpg", 9): "Width",
        ("hopeless.jpg", 10): "empty mask",
        ("hopeless.jpg", 11): "must look like",
        ("classless.jpg", 12): "no category 46",
        ("../away.jpg", 14): "ImageId",
        ("alone.jpg", 0): "no row in train.csv annotates this photo",
    }
    assert sorted((r.image, r.line) for r in found) == sorted(expected)
    assert all(expected[r.image, r.line] in r.reason for r in found)


def test_a_map_that_lacks_a_garment_says_so_and_one_that_lacks_a_part_does_not(raw):
    known = examples(raw)
    spoilt, part = known["spoilt"].annotation(), known["part"].annotation()
    assert spoilt.incomplete.startswith("line 6: RLE must be pairs") and len(spoilt.boxes) == 1
    assert "; line 8: ClassId '99'" in spoilt.incomplete and "line 9" not in spoilt.incomplete
    assert part.incomplete == "" and len(part.rejected) == 1


def test_a_photo_without_a_good_row_is_unusable(raw):
    for name, reason in (("hopeless", "line 10: RLE is empty.*; line 11: ClassId"), ("classless", "line 12")):
        with pytest.raises(Unusable, match=f"none of its rows can be used: {reason}"):
            examples(raw)[name].annotation()


def test_what_a_table_does_not_paint_gives_no_boxes_but_words(raw):
    assert len(examples(raw)["bag"].annotation().boxes) == 1
    annotation = examples(raw, "official")["bag"].annotation()
    assert not annotation.boxes and annotation.captions == {"garments": "a bag"}
    crop = SimpleNamespace(sample_points=lambda: (np.arange(30), np.arange(20)))
    assert not annotation.draw(crop).any()


def test_each_column_of_captions_is_a_source(raw):
    (raw / "captions.csv").write_text(
        "\ufeff,ImageId,caption,fast_clip_prompts\n"
        '0,good.jpg,"a woman, smiling",\n1,good.jpg,another,"a photo,\n  erwin olaf"\n'
        "2,part.jpg,,\n3,odd.jpg\n"
    )
    known = examples(raw)
    assert known["good"].captions == {
        "caption": "a woman, smiling",
        "fast_clip_prompts": "a photo, erwin olaf",
    }
    assert known["part"].captions == known["bag"].captions == {}


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"image,caption\n", "column ImageId"),
        (b"ImageId\n", "one for each source of captions, it has ImageId"),
        (b"ImageId,garments\n", "named garments"),
        (b"ImageId,caption\ngood.jpg,a woman, smiling\n", "line 2 has more than 2 fields"),
        (b"ImageId,caption\ngood.jpg,\xff\n", "UTF-8"),
        (b"ImageId,caption,caption\ngood.jpg,a,b\n", "two columns caption"),
        (b"ImageId,caption\ngood,a\n", "such as 'good': ImageId must be .* such as 'good.jpg'"),
    ],
)
def test_captions_that_cannot_be_read_are_named(tmp_path, content, reason):
    (tmp_path / "captions.csv").write_bytes(content)
    with pytest.raises(ValueError, match=f"captions.csv.*{reason}"):
        read_captions(tmp_path / "captions.csv", ["good.jpg"])


def test_captions_of_photos_that_are_not_here_are_told_of(raw, capsys):
    (raw / "captions.csv").write_text("ImageId,caption\ngood.jpg,a woman\nother.jpg,a man\n")
    assert examples(raw)["good"].captions == {"caption": "a woman"}
    assert "1 of 2 images are not here, such as 'other.jpg'; their" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["train.csv", "label_descriptions.json"])
def test_a_folder_that_lacks_a_file_is_refused(raw, name):
    (raw / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name} is missing"):
        IMaterialist(raw, Regions.read())


def test_a_rejection_knows_its_category_where_the_row_tells(raw):
    rejected = IMaterialist(raw, Regions.read()).rejected
    assert {r.line: r.category for r in rejected if r.line} == {8: None, 9: 32, 11: None, 12: None, 14: 6}
    assert Rejection("a.jpg", 0, "why").category is None
