"""What the tool refuses, at once and in one line, and which photos it lists with their reasons."""

import json
import os
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from annotated import AGNOSTIC, CANNY, DOLLS, GARMENTS, files, table
from annotator.segment import load_segmenter


def noise(height=64, width=64):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_bad_photos_are_listed_with_their_reasons_and_the_others_annotated(annotate, tmp_path, capsys):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("good.png", "a, \"b\"\n'c'.png", "twice.jpg", "twice.png"):
        Image.fromarray(noise()).save(photos / name)
    Image.fromarray(noise()).convert("CMYK").save(photos / "cmyk.jpg")
    Image.fromarray(noise()).convert("LA").save(photos / "transparent.png")
    jpeg = (photos / "twice.jpg").read_bytes()
    (photos / "cut.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    (photos / "empty.png").touch()
    (photos / "text.jpg").write_text("a photo")
    Image.fromarray(np.zeros((64, 64), np.uint16)).save(photos / "deep.png")
    Image.fromarray(noise(4, 64)).save(photos / "flat.png")
    Image.fromarray(noise(20, 400)).save(photos / "long.png")
    (photos / "dangling.jpg").symlink_to("nowhere.jpg")
    bomb = bytearray((photos / "good.png").read_bytes())
    bomb[16:24] = (60000).to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    (photos / "bomb.png").write_bytes(bomb)
    with open(os.path.join(os.fsencode(photos), b"\xff.jpg"), "wb") as file:
        file.write(jpeg)
    annotate(photos, tmp_path / "out", *CANNY)
    reasons = {row["photo"]: row["reason"] for row in table(tmp_path / "out" / "rejected.csv")}
    for name, reason in {
        "cut.jpg": "truncated",
        "empty.png": "damaged at its start",
        "text.jpg": "is no JPEG, PNG",
        "deep.png": "8 bits a channel",
        "flat.png": "64 x 4 pixels: at least 16 a side",
        "long.png": "one side at most 16 times the other",
        "dangling.jpg": "missing",
        "bomb.png": "exceeds limit",
        "twice.png": "twice.jpg has the same name: rename one of them",
        "\\xff.jpg": "no text in UTF-8",
    }.items():
        assert reason in reasons.pop(name)
    assert not reasons
    rows = table(tmp_path / "out" / "maps.csv")
    assert sorted(row["photo"] for row in rows) == [
        "a, \"b\"\n'c'.png",
        "cmyk.jpg",
        "good.png",
        "transparent.png",
        "twice.jpg",
    ]
    assert all((tmp_path / "out" / row["map"]).is_file() for row in rows)
    told = capsys.readouterr().out
    assert "10 photos rejected, see rejected.csv" in told and "  bomb.png: the photo can't be read" in told


def test_a_folder_that_cannot_be_entered_is_listed(annotate, photos, tmp_path, monkeypatch):
    scandir = os.scandir

    def refuse(path="."):
        if os.fspath(path).endswith("shirts"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    annotate(photos, tmp_path / "out", *CANNY)
    monkeypatch.undo()
    reason = "the folder can't be read: Permission denied"
    assert table(tmp_path / "out" / "rejected.csv") == [dict(photo="shirts", reason=reason)]
    assert len(table(tmp_path / "out" / "maps.csv")) == 2


def test_a_photo_that_was_mended_is_no_longer_rejected(annotate, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.png").write_bytes(b"half")
    Image.fromarray(noise()).save(photos / "b.png")
    annotate(photos, tmp_path / "out", *CANNY)
    assert (tmp_path / "out" / "rejected.csv").exists()
    Image.fromarray(noise()).save(photos / "a.png")
    annotate(photos, tmp_path / "out", *CANNY)
    assert not (tmp_path / "out" / "rejected.csv").exists()
    (photos / "b.png").unlink()
    (photos / "b.png").symlink_to("nowhere.png")
    annotate(photos, tmp_path / "out", *CANNY)
    assert len(table(tmp_path / "out" / "maps.csv")) == 2


@pytest.mark.parametrize("content", [b"\x00\xff" * 9, b"map,photo,width,height,found\n" + b"a" * 200_000])
def test_a_damaged_table_is_written_anew(annotate, photos, tmp_path, content):
    annotate(photos, tmp_path, *CANNY)
    before = files(tmp_path)
    (tmp_path / "maps.csv").write_bytes(content)
    annotate(photos, tmp_path, *CANNY)
    assert files(tmp_path) == before


def test_a_map_that_was_spoilt_by_hand_is_listed_and_stays(annotate, photos, tmp_path):
    annotate(photos, tmp_path / "out", *GARMENTS)
    Image.fromarray(noise()).save(tmp_path / "out" / "masks" / "grey.png")
    annotate(photos, tmp_path / "out", *GARMENTS)
    (row,) = table(tmp_path / "out" / "rejected.csv")
    assert row["photo"] == "grey.webp" and "off the regions' colours" in row["reason"]
    assert "correct it, or delete it" in row["reason"]
    assert len(table(tmp_path / "out" / "maps.csv")) == 4


def test_linked_folders_are_entered_once_and_hidden_ones_left_alone(annotate, photos, tmp_path):
    mine = tmp_path / "photos"
    (mine / ".trash").mkdir(parents=True)
    Image.fromarray(noise()).save(mine / ".trash" / "1.png")
    Image.fromarray(noise()).save(mine / "._1.png")
    (mine / "linked").symlink_to(photos / "shirts")
    (photos / "shirts" / "round").symlink_to(mine)
    try:
        annotate(mine, tmp_path / "out", *CANNY)
    finally:
        (photos / "shirts" / "round").unlink()
    assert [row["photo"] for row in table(tmp_path / "out" / "maps.csv")] == [
        f"linked/{number}.png" for number in (13, 21, 41)
    ]


@pytest.mark.parametrize("error", [ValueError, torch.OutOfMemoryError])
def test_a_photo_that_an_annotator_refuses_is_listed(annotate, photos, tmp_path, monkeypatch, error):
    segment = type(load_segmenter(DOLLS)).segment

    def refusing(self, images):
        if images.shape[1] == 64:
            raise error("64 is too few\nby far")
        return segment(self, images)

    monkeypatch.setattr(type(load_segmenter(DOLLS)), "segment", refusing)
    annotate(photos, tmp_path, *GARMENTS)
    assert table(tmp_path / "rejected.csv") == [dict(photo="grey.webp", reason="64 is too few")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none", "out", *CANNY], "the folder of photos none does not exist"),
        (["file.txt", "out", *CANNY], "the folder of photos file.txt is a file, not a folder"),
        (["empty", "out", *CANNY], "empty holds no photos: files such as .jpg"),
        (["photos", "file.txt", *CANNY], "file.txt is a file: give a folder to make"),
        (["photos", "photos", *CANNY], "photos lies among the photos of photos"),
        (["photos", "photos/out", *CANNY], "photos/out lies among the photos of photos"),
        (["others/masks", "others", *CANNY], "others/masks lies where the maps shall be"),
        (["photos", "others", *CANNY], "others holds masks, which is not of tool_annotate.py"),
        (["photos", "deep", *CANNY], "deep/settings.json is not of tool_annotate.py, or is damaged"),
        (["photos", "training", *CANNY], "settings.json is not of tool_annotate.py, or is damaged"),
        (["photos", "out", "--annotator", "depth"], "one of agnostic, canny, garments, pose, got 'depth'"),
        (["photos", "out", "--annotator", "garments"], "garments needs --weights PATH: .*docs/annotators.md"),
        (["photos", "out", "--annotator", "pose"], "no body_pose_model.pth in models/annotators: put it"),
        (["photos", "out", *GARMENTS[:2], "--weights", "none.pth"], "no U-?2?-?Net weights at none.pth"),
        (["photos", "out", *GARMENTS[:2], "--weights", "file.txt"], "file.txt is no segmenter"),
        (["photos", "out", *GARMENTS[:2], "--weights", "empty"], "empty"),
        (["photos", "out", *AGNOSTIC], "a pose: no segmenter at models/annotators: .* or take the rough one"),
        (["photos", "out", *AGNOSTIC, "--weights", DOLLS], "a label map and a pose: no body_pose_model.pth"),
        (["photos", "out", *AGNOSTIC, "--weights", "none.pth"], "and a pose: no U-?2-?Net weights at none"),
        (["photos", "out", *AGNOSTIC, "--mask-style", "hr"], "mask style must be one of .*, got 'hr'"),
        (["photos", "out", *AGNOSTIC, "--category", "hat"], "upper, lower, dress, not 'hat'"),
        (["photos", "out", *GARMENTS, "--category", "upper"], "is an option of --annotator agnostic: gar"),
        (["photos", "out", *CANNY, "--weights", "file.txt"], "canny has none"),
        (["photos", "out", *CANNY, "--hands"], "--hands is an option of --annotator pose: canny has"),
        (
            ["photos", "out", *GARMENTS, "--low-threshold", "9"],
            "--low-threshold is an option of --annotator canny: gar",
        ),
        (["photos", "out", *CANNY, "--low-threshold", "300"], "got 300.0 and 200.0"),
        (["photos", "out", *CANNY, "--high-threshold", "nan"], "got 100.0 and nan"),
        (["photos", "out", *CANNY, "--limit", "0"], "--limit must be at least 1, got 0"),
        (["photos", "out", *CANNY, "--workers", "-2"], "--workers must be at least 1, got -2"),
        (["photos", "out", *CANNY, "--device", "none"], "device 'none' cannot be used"),
        (["broken", "out", *CANNY], "no photo could be annotated: out/rejected.csv says why"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(annotate, photos, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "others/masks", "training/source", "deep", "broken"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "photos").symlink_to(photos)
    (tmp_path / "file.txt").touch()
    (tmp_path / "broken" / "a.jpg").touch()
    (tmp_path / "deep" / "settings.json").write_text("[" * 100_000)
    (tmp_path / "training" / "settings.json").write_text(json.dumps(dict(format=2)))
    Image.fromarray(noise()).save(tmp_path / "others" / "masks" / "a.png")
    before = files(tmp_path)
    with pytest.raises(SystemExit, match=message) as stopped:
        annotate(*arguments)
    assert str(stopped.value).startswith("error: ") and "\n" not in str(stopped.value)
    if arguments[0] != "broken":
        assert files(tmp_path) == before and not (tmp_path / "out").exists()
