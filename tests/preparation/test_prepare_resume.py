"""Preparing a folder can be stopped anywhere: the same command goes on to the very same bytes."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from jobs.whole_files import write_atomically
from pictures.region_maps import save_map
from preparation import journal, prepare_folder
from raw_data import UNCHECKED, all_files, make_many, make_raw, options, read_lines

FLAGS = ["--size", "128", "--square", "--test", "0", "--workers", "2"]
FLAGS += [flag for check in UNCHECKED for flag in ("--threshold", check)]


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return make_many(tmp_path_factory.mktemp("many") / "raw", 100)


@pytest.fixture(scope="module")
def whole(raw):
    """All files of an uninterrupted run."""
    prepare_folder(raw, raw.parent / "out", options())
    return all_files(raw.parent / "out")


def start(raw, out):
    command = [sys.executable, "tool_prepare_data.py", str(raw), str(out), *FLAGS]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_files(process, out, number):
    """Wait until so many photos are written."""
    while process.poll() is None and len(list(out.glob("target/*.jpg"))) < number:
        time.sleep(0.005)


def test_a_run_killed_again_and_again_ends_with_the_same_bytes(raw, whole, tmp_path):
    out = tmp_path / "out"
    for number in (1, 40):
        process = start(raw, out)
        wait_for_files(process, out, number)
        process.kill()
        process.communicate()
    assert len(list(out.glob("target/*.jpg"))) >= 40 and not (out / "prompt.json").exists()
    prepare_folder(raw, out, options())
    assert all_files(out) == whole


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_at_once_and_says_that_the_command_resumes(raw, tmp_path, number):
    process = start(raw, tmp_path / "out")
    wait_for_files(process, tmp_path / "out", 1)
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == 128 + number
    assert errors.strip() == "stopped; the same command resumes"
    assert not (tmp_path / "out" / "prompt.json").exists()


def test_a_run_that_fails_while_writing_any_file_resumes_to_the_same_bytes(tmp_path, monkeypatch):
    raw = make_raw(tmp_path / "raw")
    monkeypatch.setattr(journal, "CHUNK", 2)
    prepare_folder(raw, tmp_path / "whole" / "out", options())
    replace, room = os.replace, []

    def replace_some(*paths):
        if not room:
            raise OSError(28, "No space left on device")
        replace(*paths, **room.pop())

    monkeypatch.setattr(os, "replace", replace_some)
    for more in (0, 1, 2, 3, 5, 1, 1, 1, 2):
        room[:] = [{}] * more
        with pytest.raises(OSError, match="No space left on device.*out"):
            prepare_folder(raw, tmp_path / "out", options())
    room[:] = [{}] * 1000
    prepare_folder(raw, tmp_path / "out", options())
    assert all_files(tmp_path / "out") == all_files(tmp_path / "whole" / "out")


def test_a_photo_that_has_come_since_is_taken_up(tmp_path):
    raw, out = make_raw(tmp_path / "raw"), tmp_path / "out"
    prepare_folder(raw, out, options())
    save_map(out / "source" / "wide.png", np.full((128, 128), 2, np.uint8))
    Image.new("RGB", (256, 128)).save(raw / "train" / "missing.jpg")
    summary = prepare_folder(raw, out, options())
    assert summary["photos"]["used"] == 4
    lines = {line["photo"]: line for line in read_lines(out / "prompt.json")}
    assert lines["missing.jpg"]["regions"] == ["whole"] and lines["wide.jpg"]["regions"] == ["bottom"]


def test_lost_and_damaged_pictures_are_made_again(tmp_path):
    raw, out = make_raw(tmp_path / "raw"), tmp_path / "out"
    prepare_folder(raw, out, options())
    files = all_files(out)
    (out / "target" / "good.jpg").unlink()
    (out / "source" / "wide.png").write_bytes(b"")
    (out / "source" / "spoilt.png").write_bytes(files["source/spoilt.png"][:90])
    (out / "target" / "wide.jpg").write_bytes(files["target/wide.jpg"][:900])
    (out / "target" / "spoilt.jpg").write_bytes(bytes(len(files["target/spoilt.jpg"])))
    prepare_folder(raw, out, options())
    assert all_files(out) == files


def test_a_photo_retouched_by_hand_stays_and_one_of_another_size_is_left_out(tmp_path):
    raw, out = make_raw(tmp_path / "raw"), tmp_path / "out"
    prepare_folder(raw, out, options())
    for name, side in (("good", 128), ("wide", 64)):
        Image.new("RGB", (side, side)).save(out / "target" / f"{name}.jpg")
    retouched = (out / "target" / "good.jpg").read_bytes()
    prepare_folder(raw, out, options())
    assert (out / "target" / "good.jpg").read_bytes() == retouched
    assert "wide.jpg" not in {line["photo"] for line in read_lines(out / "prompt.json")}
    assert "the photo is 64 x 64 now, 128 x 128 is wanted" in (out / "rejected.csv").read_text()


def test_what_cannot_be_made_again_is_listed(tmp_path):
    raw, out = make_raw(tmp_path / "raw"), tmp_path / "out"
    prepare_folder(raw, out, options())
    for path in (out / "target" / "good.jpg", raw / "train" / "good.jpg"):
        path.unlink()
    prepare_folder(raw, out, options())
    assert "can't be made again" in (out / "rejected.csv").read_text()


def test_other_data_and_other_geometry_are_refused_by_name(tmp_path):
    raw, out = make_raw(tmp_path / "raw"), tmp_path / "out"
    prepare_folder(raw, out, options())
    for other, name in (
        (options(size=64), "size 128, not 64"),
        (options(square=False), "square True, not False"),
        (options(table="legacy"), "table official, not legacy"),
    ):
        with pytest.raises(ValueError, match=f"made with {name}: give another folder"):
            prepare_folder(raw, out, other)
    (raw / "train.csv").write_text((raw / "train.csv").read_text().replace(",10_8", ",11_8"))
    with pytest.raises(ValueError, match="made with train_csv"):
        prepare_folder(raw, out, options())
    (tmp_path / "other").mkdir()
    write_atomically(tmp_path / "other" / "prompt.json", json.dumps({}).encode())
    with pytest.raises(ValueError, match="holds prompt.json, but no settings.json .* give another folder"):
        prepare_folder(raw, tmp_path / "other", options())
