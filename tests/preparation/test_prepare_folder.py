"""Which folders a run may write to: new ones, its own, and those that no other run has in hand."""

import json
import os

import pytest
from PIL import Image

from jobs.whole_files import alone_in
from preparation import prepare_folder
from raw_data import all_files, make_raw, options, read_lines, read_reasons, write_raw


@pytest.fixture
def raw(tmp_path):
    return make_raw(tmp_path / "raw")


def test_a_folder_with_other_files_is_left_alone(raw, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "report.html").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for out, message in (
        (raw / "train", "train holds alone.jpg, but no settings.json .* give another folder"),
        (tmp_path / "mine", "mine holds report.html"),
        (tmp_path / "file", "file is a file: give a folder"),
    ):
        before = all_files(tmp_path)
        with pytest.raises((ValueError, OSError), match=message):
            prepare_folder(raw, out, options())
        assert all_files(tmp_path) == before


@pytest.mark.parametrize("content", ["", "[]", "null", "\xff"])
def test_settings_that_are_not_ours_are_named(raw, tmp_path, content):
    (tmp_path / "settings.json").write_bytes(content.encode("latin1"))
    with pytest.raises(ValueError, match="settings.json was not written by tool_prepare_data.py"):
        prepare_folder(raw, tmp_path, options())


def test_two_runs_never_write_to_one_folder(raw, tmp_path):
    out = tmp_path / "out"
    prepare_folder(raw, out, options())
    with alone_in(out), pytest.raises(ValueError, match="out is being written by another run"):
        prepare_folder(raw, out, options())
    prepare_folder(raw, out, options())


def test_a_folder_within_the_photos_is_no_photo(raw):
    for _ in range(2):
        summary = prepare_folder(raw, raw / "train" / "out", options())
        assert summary["photos"]["total"] == 9


@pytest.mark.parametrize("left", ["", '{"name": "go', "\0\0\0", '{"failed": ["missing.jpg"]}\n'])
def test_records_that_a_power_cut_spoilt_are_made_again(raw, tmp_path, left):
    out = tmp_path / "out"
    prepare_folder(raw, out, options())
    files = all_files(out)
    (out / ".prepare" / "records_000000.jsonl").write_text(left)
    prepare_folder(raw, out, options())
    assert all_files(out) == files


def test_nothing_is_said_of_large_photos_but_why_they_are_rejected(raw, tmp_path, recwarn):
    data = bytearray((raw / "train" / "good.jpg").read_bytes())
    size = data.index(b"\xff\xc0") + 5
    data[size : size + 4] = (12000).to_bytes(2, "big") * 2
    (raw / "train" / "good.jpg").write_bytes(data)
    prepare_folder(raw, tmp_path / "out", options())
    assert "12000 x 12000" in read_reasons(tmp_path / "out")["good.jpg"][0]
    assert not [str(w.message) for w in recwarn]


def test_photos_whose_names_are_no_text_are_listed(raw, tmp_path):
    name = os.fsdecode(b"\xff.jpg")
    (raw / "train" / name).write_bytes(b"")
    pairs = tmp_path / "pairs"
    for folder in (pairs / "images", pairs / "masks"):
        folder.mkdir(parents=True)
        for photo in ("good.jpg", name):
            (folder / photo).write_bytes((raw / "train" / "good.jpg").read_bytes())
    prepare_folder(raw, tmp_path / "a", options())
    prepare_folder(pairs, tmp_path / "b", options(hints="picture"))
    for out, image in (("a", "\\xff.jpg"), ("b", "images/\\xff.jpg")):
        assert image in read_reasons(tmp_path / out) and read_lines(tmp_path / out / "prompt.json")


def test_a_second_crop_never_takes_another_photos_name(raw, tmp_path):
    with open(raw / "train.csv", "a") as file:
        file.write("good_crop2.jpg,1 100,128,128,1\n")
    with pytest.raises(ValueError, match="would be called good_crop2, as another photo is: rename that"):
        prepare_folder(raw, tmp_path / "out", options(second_crop=True))
    assert prepare_folder(raw, tmp_path / "out", options())["photos"]["total"] == 10


def test_prompts_of_pairs_may_change_and_their_masks_may_not(tmp_path):
    (tmp_path / "raw").mkdir()
    for name in ("photo.png", "mask.png", "other.png"):
        Image.new("L", (128, 128), 1).save(tmp_path / "raw" / name)
    table, item = tmp_path / "raw" / "pairs.jsonl", {"source": "mask.png", "target": "photo.png"}
    for prompt in ("short", "a longer one"):
        table.write_text(json.dumps(item | {"prompt": prompt}))
        prepare_folder(table, tmp_path / "out", options())
        assert read_lines(tmp_path / "out" / "prompt.json")[0]["prompt"] == prompt
    table.write_text(json.dumps(item | {"source": "other.png", "prompt": prompt}))
    with pytest.raises(ValueError, match="made with photos"):
        prepare_folder(table, tmp_path / "out", options())


def test_exports_that_a_run_leaves_as_they_were_are_named(raw, tmp_path, capsys):
    out = tmp_path / "out"
    for exports in (dict(imagefolder=True), dict(shards=2), dict(imagefolder=True, shards=2)):
        prepare_folder(raw, out, options(**exports))
        warnings = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")]
        stale = [name for name in ("imagefolder", "shards") if (out / name).exists() and name not in exports]
        assert len(warnings) == len(stale) and all(map(str.__contains__, warnings, stale))


def test_a_name_as_long_as_can_be_does_and_a_longer_one_is_listed(raw, tmp_path):
    [row] = [line for line in (raw / "train.csv").read_text().splitlines() if line.endswith(",128,128,1")]
    names = ["ü" * 125 + ".jpg", "x" * 300 + ".jpg"]
    other = write_raw(tmp_path / "other", [row.replace("good.jpg", name) for name in names])
    (other / "train" / names[0]).write_bytes((raw / "train" / "good.jpg").read_bytes())
    assert prepare_folder(other, tmp_path / "out", options())["photos"] == dict(total=2, used=1, rejected=1)
    assert read_lines(tmp_path / "out" / "prompt.json")[0]["photo"] == names[0]
    assert "the photo is missing" in (tmp_path / "out" / "rejected.csv").read_text()
    assert json.loads((tmp_path / "out" / "settings.json").read_text())["examples"] == 2
