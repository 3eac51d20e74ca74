"""iMaterialist's files: what the format says, and what may be wrong with it."""

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco

from annotator.imaterialist import (
    REGIONS_FILE,
    index_annotations,
    read_labels,
    read_rows,
    rle_decode,
    rle_encode,
)

LABELS = REGIONS_FILE.with_name("label_descriptions.json")
REAL = Path(__file__).parent / "data" / "imaterialist" / "train.csv"
HEADER = "ImageId,EncodedPixels,Height,Width,ClassId\n"


def write_csv(folder, *lines):
    (folder / "train.csv").write_text(HEADER + "".join(line + "\n" for line in lines))
    return folder / "train.csv"


def read_all(path):
    """Rows by image, and all rejections."""
    index = index_annotations(path, LABELS)
    found = {image: read_rows(path, places) for image, places in index.places.items()}
    rejected = [*index.rejected, *(r for _, wrong in found.values() for r in wrong)]
    return {image: rows for image, (rows, _) in found.items()}, rejected


def test_rle_counts_from_one_down_the_columns():
    mask = rle_decode("2 2 7 1", 3, 4)
    assert mask.shape == (3, 4) and mask.dtype == bool
    assert (np.argwhere(mask) == [(0, 2), (1, 0), (2, 0)]).all()


def test_rle_round_trips_also_at_the_borders():
    generator = np.random.default_rng(0)
    for mask in [np.ones((5, 7), bool), *(generator.random((20, 5, 7)) < 0.4)]:
        assert (rle_decode(rle_encode(mask), 5, 7) == mask).all()
    assert rle_encode(np.zeros((5, 7), bool)) == ""


def test_the_real_masks_decode_as_pycocotools_decodes_them():
    [rows] = read_all(REAL)[0].values()
    for found in rows[:3]:
        numbers = np.array(found.rle.split(), np.int64).reshape(-1, 2)
        ends = numbers.sum(axis=1) - 1
        gaps = numbers[:, 0] - 1 - np.concatenate([[0], ends[:-1]])
        counts = [*np.stack([gaps, numbers[:, 1]], 1).ravel(), found.height * found.width - ends[-1]]
        size = [found.height, found.width]
        wanted = coco.decode(coco.frPyObjects({"size": size, "counts": list(map(int, counts))}, *size))
        assert (rle_decode(found.rle, *size) == wanted).all()


@pytest.mark.parametrize(
    "text, reason",
    [
        ("", "empty mask"),
        ("1 2 3", "pairs"),
        ("1 x", "whole number"),
        ("1.5 2", "whole number"),
        ("0 2", "count from 1"),
        ("1 0", "at least 1"),
        ("11 3", "reaches to pixel 13"),
        ("4 2 5 1", "overlap or are not sorted"),
        ("7 1 2 1", "overlap or are not sorted"),
        ("99999999999999999999 1", "reaches to pixel"),
        ("9223372036854775807 9223372036854775807", "reaches to pixel"),
    ],
)
def test_a_wrong_rle_is_refused_with_its_reason(text, reason):
    with pytest.raises(ValueError, match=reason):
        rle_decode(text, 3, 4)


def test_the_real_annotation_is_read_whole():
    images, rejected = read_all(REAL)
    [rows] = images.values()
    assert not rejected
    assert [r.category for r in rows] == [6, 0, 28, 31, 31, 32, 32, 29, 4]
    assert {(r.height, r.width) for r in rows} == {(5214, 3676)}


def test_names_with_commas_stay_whole():
    categories, attributes = read_labels(LABELS)
    assert categories[0] == "shirt, blouse" and attributes[64] == "letters, numbers"


def test_a_truncated_label_file_is_refused(tmp_path):
    content = json.loads(LABELS.read_text())
    content["categories"] = content["categories"][:27]
    (tmp_path / "labels.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="46 categories.*lists 27"):
        read_labels(tmp_path / "labels.json")


def test_the_2020_edition_is_refused_by_name(tmp_path):
    (tmp_path / "train.csv").write_text("ImageId,EncodedPixels,Height,Width,ClassId,AttributesIds\n")
    with pytest.raises(ValueError, match="2020"):
        index_annotations(tmp_path / "train.csv", LABELS)


def test_missing_columns_are_named(tmp_path):
    (tmp_path / "train.csv").write_text("ImageId,EncodedPixels,ClassId\n")
    with pytest.raises(ValueError, match="Height, Width"):
        index_annotations(tmp_path / "train.csv", LABELS)


@pytest.mark.parametrize(
    "line, reason",
    [
        ("a.jpg,1 2 3,3,4,6", "pairs"),
        ("a.jpg,11 3,3,4,6", "reaches to pixel"),
        ("a.jpg,4 2 5 1,3,4,6", "overlap"),
        ("a.jpg,1 1,3,4,46", "no category 46"),
        ("a.jpg,1 1,3,4,6_92", "no attribute 92"),
        ("a.jpg,1 1,3,4,pants", "must look like"),
        ("a.jpg,1 1,3,5,6", "does not match"),
        ("a.jpg,1 1,,4,6", "Height"),
        ("a.jpg,1 1,3", "fields"),
        ("../a.jpg,1 1,3,4,6", "ImageId"),
    ],
)
def test_a_bad_row_is_collected_with_line_and_reason(tmp_path, line, reason):
    images, rejected = read_all(write_csv(tmp_path, "a.jpg,1 1,3,4,10_8_20", line, "b.jpg,1 1,3,4,6"))
    assert [(r.line, reason in r.reason) for r in rejected] == [(3, True)]
    assert [len(rows) for rows in images.values()] == [1, 1]
    assert images["a.jpg"][0].attributes == (8, 20)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"categories": 3}', b'{"categories": ["a"]}'])
def test_a_damaged_label_file_is_named(tmp_path, content):
    (tmp_path / "labels.json").write_bytes(content)
    with pytest.raises(ValueError, match="labels.json"):
        read_labels(tmp_path / "labels.json")
