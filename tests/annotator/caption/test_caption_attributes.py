"""The annotation's own words as captions, with the boxes of their regions, and what is read of a folder."""

import json

import numpy as np
import pytest

from annotator.caption.agreement import check_phrases, measure_agreement
from annotator.caption.captioners import load_captioner
from annotator.caption.training_folder import caption_in, phrases_in, read_map, require_regions
from pictures.region_maps import save_map
from pictures.regions import REGIONS_FILE, Regions, standard_regions

GARMENTS = "a hip-length top, a straight mini skirt, a headband, shoes"


@pytest.fixture
def folder(tmp_path):
    """A training folder of one line, with the map of a top, a skirt and no headband."""
    (tmp_path / "source").mkdir()
    (tmp_path / "regions.yaml").write_bytes(standard_regions().to_yaml())
    ids = np.zeros((64, 32), np.uint8)
    ids[8:24, 8:24] = 1
    ids[24:48, 4:28] = 2
    save_map(tmp_path / "source" / "1.png", ids)
    line = dict(source="source/1.png", target="target/1.jpg", captions=dict(garments=GARMENTS, caption="x"))
    (tmp_path / "prompt.json").write_text(json.dumps(line))
    return tmp_path


@pytest.fixture
def lines(folder):
    return [json.loads(line) for line in (folder / "prompt.json").read_text().splitlines()]


def test_each_garment_has_the_boxes_of_its_region(folder, lines):
    captioner = load_captioner("attributes")
    captioner.folder = folder
    (caption,) = captioner.caption_lines(lines, [None])
    assert caption.text == GARMENTS
    assert caption.phrases == [
        ("a hip-length top", [(0.25, 0.125, 0.75, 0.375)]),
        ("a straight mini skirt", [(0.125, 0.375, 0.875, 0.75)]),
        ("a headband", []),
        ("shoes", []),
    ]


def test_its_boxes_agree_with_the_map(folder, lines):
    captioner, regions = load_captioner("attributes"), require_regions(folder)
    captioner.folder = folder
    (caption,) = captioner.caption_lines(lines)
    checks = check_phrases(caption.phrases, read_map(folder, lines[0], regions), regions)
    assert [check.region for check in checks] == ["top", "bottom"] and measure_agreement(checks) == 1


def test_a_picture_without_garments_has_an_empty_caption(folder, lines):
    captioner = load_captioner("attributes")
    captioner.folder = folder
    lines[0]["captions"]["garments"] = ""
    (caption,) = captioner.caption_lines(lines)
    assert (caption.text, caption.phrases) == ("", [])


def test_without_lines_of_a_folder_it_says_what_it_wants(folder, lines):
    captioner = load_captioner("attributes")
    with pytest.raises(ValueError, match="reads lines of a training folder's prompt.json"):
        captioner.caption([np.zeros((8, 8, 3), np.uint8)])
    with pytest.raises(ValueError, match="needs the training folder of the lines"):
        captioner.caption_lines(lines)
    captioner.folder = folder
    with pytest.raises(ValueError, match="1.jpg has no captions of the column 'garments', there are none"):
        captioner.caption_lines([lines[0] | dict(captions={})])


def test_phrases_are_parted_and_said_once():
    assert phrases_in(" a hat, shoes ,, a hat") == ["a hat", "shoes"] and phrases_in("") == []
    assert phrases_in("a hat, red;shoes", ";") == ["a hat, red", "shoes"]
    assert caption_in(dict(captions=dict(a="b")), "a") == "b"


def test_a_folder_s_own_table_counts(folder):
    (folder / "regions.yaml").write_bytes(Regions.read(REGIONS_FILE, "detailed").to_yaml())
    assert require_regions(folder).table == "detailed"


def test_regions_of_names_and_colours_alone_are_of_no_garment(folder):
    (folder / "regions.yaml").write_text("names: [nothing, sky]\ncolours: [[0, 0, 0], [0, 0, 255]]\n")
    regions = require_regions(folder)
    assert regions.names == ("nothing", "sky") and not regions.region_of


@pytest.mark.parametrize(
    "content", ["names: [a", "names: [a, b]", "[]", "names: [a]\ncolours: [[0, 0, 900]]"]
)
def test_a_damaged_table_is_named(folder, content):
    (folder / "regions.yaml").write_text(content)
    with pytest.raises(ValueError, match="regions.yaml"):
        require_regions(folder)


def test_a_folder_of_other_hints_is_named(folder):
    (folder / "regions.yaml").unlink()
    with pytest.raises(FileNotFoundError, match="there is no .*regions.yaml: only folders of region maps"):
        require_regions(folder)
