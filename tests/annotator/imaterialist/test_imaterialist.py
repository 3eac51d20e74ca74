"""iMaterialist's files: what the format says, and what may be wrong with it."""

import json
import pickle
from pathlib import Path

import pytest

from annotator.imaterialist import LABELS_FILE, index_annotations, read_labels, read_rows

REAL = Path(__file__).parents[2] / "helpers" / "data" / "imaterialist" / "train.csv"
HEADER = "ImageId,EncodedPixels,Height,Width,ClassId\n"


def write_csv(folder, *lines):
    (folder / "train.csv").write_text(HEADER + "".join(line + "\n" for line in lines))
    return folder / "train.csv"


def read_all(path):
    """Rows by image, and all rejections."""
    index = index_annotations(path, LABELS_FILE)
    found = {image: read_rows(path, places) for image, places in index.places.items()}
    rejected = [*index.rejected, *(r for _, wrong in found.values() for r in wrong)]
    return {image: rows for image, (rows, _) in found.items()}, rejected


def test_the_real_annotation_is_read_whole():
    images, rejected = read_all(REAL)
    [rows] = images.values()
    assert not rejected
    assert [r.category for r in rows] == [6, 0, 28, 31, 31, 32, 32, 29, 4]
    assert {(r.height, r.width) for r in rows} == {(5214, 3676)}


def test_names_with_commas_stay_whole():
    categories, attributes = read_labels(LABELS_FILE)
    assert categories[0] == "shirt, blouse" and attributes[64] == "letters, numbers"


def test_a_truncated_label_file_is_refused(tmp_path):
    content = json.loads(LABELS_FILE.read_text())
    content["categories"] = content["categories"][:27]
    (tmp_path / "labels.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="46 categories.*lists 27"):
        read_labels(tmp_path / "labels.json")


def test_the_2020_edition_is_refused_by_name(tmp_path):
    (tmp_path / "train.csv").write_text("ImageId,EncodedPixels,Height,Width,ClassId,AttributesIds\n")
    with pytest.raises(ValueError, match="2020"):
        index_annotations(tmp_path / "train.csv", LABELS_FILE)


def test_missing_columns_are_named(tmp_path):
    (tmp_path / "train.csv").write_text("ImageId,EncodedPixels,ClassId\n")
    with pytest.raises(ValueError, match="Height, Width"):
        index_annotations(tmp_path / "train.csv", LABELS_FILE)


@pytest.mark.parametrize(
    "line, reason",
    [
        ("a.jpg,1 2 3,3,4,6", "pairs"),
        ("a.jpg,11 3,3,4,6", "reaches to pixel"),
        ("a.jpg,4 2 5 1,3,4,6", "overlap"),
        ("a.jpg,1 1,3,4,46", "no category 46"),
        ("a.jpg,1 1,3,4,6_92", "no attribute 92"),
        ("a.jpg,1 1,3,4,pants", "must look like"),
        ("a.jpg,1 1,,4,6", "Height"),
        ("a.jpg,1 1,3", "fields"),
        ("../a.jpg,1 1,3,4,6", "ImageId"),
        (".jpg,1 1,3,4,6", "ImageId"),
        ("a.jpg,,3,4,6", "empty mask"),
        ("a.jpg,3,4,6,1 1", "ClassId must look like"),
        ("a.jpg,1 1,3,65536,6", "Width"),
        ('a.jpg,"1 1,3,4,6', "fields"),
        ("a.jpg,1 1,3,4,6,7", "5 fields, it has 6"),
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


def test_the_rows_of_another_size_than_most_of_their_image_are_rejected_wherever_they_stand(tmp_path):
    images, rejected = read_all(
        write_csv(tmp_path, "a.jpg,1 1,4,3,31", "a.jpg,1 1,3,4,6", "a.jpg,1 1,3,4,1", "b.jpg,1 1,4,3,6")
    )
    assert [(r.line, r.category, "4 x 3 does not match 3 x 4" in r.reason) for r in rejected] == [
        (2, 31, True)
    ]
    assert [r.category for r in images["a.jpg"]] == [6, 1] and len(images["b.jpg"]) == 1


def test_places_find_their_rows_whatever_wrote_the_file(tmp_path):
    lines = ["ClassId,ImageId,note,Height,Width,EncodedPixels", "", '6_8,"a.jpg","x, ""y""",3,4,"2 3"', "  "]
    lines += ["1,b.jpg,\u00e9,3,4,5 1", "31,a.jpg,,3,4,7 2"]
    (tmp_path / "train.csv").write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    index = index_annotations(tmp_path / "train.csv", LABELS_FILE)
    assert {image: [p.line for p in places] for image, places in index.places.items()} == {
        "a.jpg": [3, 6],
        "b.jpg": [5],
    }
    assert index.total_rows == 3 and not index.rejected
    rows, rejected = read_rows(tmp_path / "train.csv", index.places["a.jpg"])
    assert [(r.image, r.rle, r.category) for r in rows] == [("a.jpg", "2 3", 6), ("a.jpg", "7 2", 31)]
    assert not rejected


def test_what_is_not_utf8_costs_its_row_alone(tmp_path):
    path = write_csv(tmp_path, "a.jpg,1 1,3,4,6", "b.jpg,1 1,3,4,6")
    with open(path, "ab") as file:
        file.write(b"\xff.jpg,1 1,3,4,6\nb.jpg,1 \xff,3,4,6\nb.jpg,1 1,3,4,\xff\nb.jpg,2 2,3,4,7\n")
    images, rejected = read_all(path)
    assert sorted(r.line for r in rejected) == [4, 5, 6]
    assert [len(rows) for rows in images.values()] == [1, 2]
    path.write_bytes(HEADER.encode("utf-16"))
    with pytest.raises(ValueError, match="UTF-8"):
        index_annotations(path, LABELS_FILE)


def test_the_index_holds_no_masks():
    index = index_annotations(REAL, LABELS_FILE)
    assert len(pickle.dumps(index.places)) < 1000 < REAL.stat().st_size / 100
