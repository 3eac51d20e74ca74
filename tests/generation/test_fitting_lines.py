"""Lines of a training folder that name no picture, and joints that are no numbers, are refused."""

import json

import pytest

from generation.fitting_lines import lines_by_name
from generation.fitting_pictures import LONGEST
from pictures.unusable import Unusable
from preparation.fittings.one_fitting import read_pose
from small_pairs import command_line, pictures, write_tryon
from tutorial_tryon_dataset import TryonDataset

LINE = dict(name="a", target="a.jpg", garment="b.jpg", mask="c.png")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "data has no items"),
        ([dict(name="a")], "data holds no people in garments, its lines have no garment"),
        ([LINE | dict(name=3)], "data, item 1: name must be a text, got 3"),
        ([LINE | dict(name=["a"])], "data, item 1: name must be a text"),
        ([LINE | dict(garment=5)], "data, item 1: garment must be a text, got 5"),
        ([LINE | dict(garment_prompt=5)], "item 1: garment_prompt must be a text"),
        ([LINE | dict(name="../a")], "item 1: '../a' can name no file"),
        ([LINE | dict(name="..")], "item 1: '..' can name no file"),
        ([LINE | dict(name="a:b")], "can name no file"),
        ([LINE, LINE], "item 2: 'a' is an earlier item's name, too"),
    ],
)
def test_a_line_that_can_name_no_picture_is_refused(lines, message):
    with pytest.raises(ValueError, match=message.replace("..", r"\.\.")):
        lines_by_name("data", lines)
    assert lines_by_name("data", [LINE]) == dict(a=LINE)


@pytest.mark.parametrize(
    "text",
    [
        '{"points": {"nose": [1, 2]}, "height": 1e400}',
        '{"points": {"nose": [1, 2]}, "height": 0}',
        '{"points": {"nose": [NaN, 2]}, "height": 64}',
        '{"keypoints": [' + ", ".join(["[1e999, 1]"] * 18) + "]}",
        "[" * 100_000,
        "[1, 2",
        '{"people": 3}',
        '{"people": [{"pose_keypoints_2d": null}]}',
        '{"people": [{"pose_keypoints_2d": [1, 2]}]}',
        "null",
    ],
)
def test_joints_that_are_no_numbers_are_refused_by_their_file(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(Unusable, match="a.json holds no body25 or coco18 keypoints"):
        read_pose(tmp_path / "a.json", None, 64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tryon(tmp_path_factory.mktemp("lines"), num_people=2)


def test_no_picture_takes_the_place_of_another_or_has_too_long_a_name(folder, tmp_path, monkeypatch):
    """With --num 2, the second of a pair is called as the first of a garment whose name ends in __2."""
    data = folder / "data"
    lines = [json.loads(line) for line in (data / "prompt.json").read_text().splitlines()]
    first = next(line for line in lines if line["split"] == "test")
    further = [first | dict(name=name) for name in ("g", "g__2", "l" * (LONGEST - 20))]
    (data / "prompt.json").write_text("".join(json.dumps(line) + "\n" for line in [*lines, *further]))
    (tmp_path / "pairs.txt").write_text("\n".join(f"{first['name']} {line['name']}" for line in further))
    draw = command_line(folder, monkeypatch)
    out = draw(tmp_path / "out", "--pairs", tmp_path / "pairs.txt", "--num", 2)
    assert list(pictures(out)) == [f"{first['name']}__g.png", f"{first['name']}__g__2.png"]
    told = (out / "rejected.csv").read_text()
    assert "have the name of that of row 1" in told and f"longer than {LONGEST} bytes" in told


def test_a_line_of_one_name_says_what_is_wanted_and_a_category_is_no_third_name(folder, tmp_path):
    name = TryonDataset(folder / "data", "test").data[0]["name"]
    (tmp_path / "pairs.txt").write_text(f"{name} {name} upper\n")
    assert len(TryonDataset(folder / "data", pairs=tmp_path / "pairs.txt")) == 1
    (tmp_path / "pairs.txt").write_text(f"{name}\n")
    with pytest.raises(ValueError, match="a person and a garment are wanted"):
        TryonDataset(folder / "data", pairs=tmp_path / "pairs.txt")
