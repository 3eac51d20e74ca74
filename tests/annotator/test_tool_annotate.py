"""The tool makes a map for each photo, goes on where it was stopped, and loses or hides nothing."""

import signal

import numpy as np
import pytest
from PIL import Image

import annotator.openpose
from annotated import CANNY, DOLLS, GARMENTS, files, table, write_photos
from annotator.canny import CannyDetector
from annotator.folder import run as running
from annotator.openpose import Pose, draw_poses
from annotator.segment import load_segmenter
from pictures.hint import HintEncoder
from pictures.region_maps import load_map
from reporting.picture_sheet import GAP, MARGIN

NAMES = ["grey.webp", "shirts/13.png", "shirts/21.png", "shirts/41.png", "turned.jpg"]


def upright(photos, name):
    image = Image.open(photos / name)
    return np.asarray(image.transpose(Image.Transpose.ROTATE_270) if name == "turned.jpg" else image)


def test_each_photo_has_the_garment_map_that_the_segmenter_finds_upright(annotate, photos, tmp_path, capsys):
    annotate(photos, tmp_path / "out", *GARMENTS)
    segmenter = load_segmenter(DOLLS)
    rows = table(tmp_path / "out" / "maps.csv")
    assert [row["photo"] for row in rows] == NAMES
    for row in rows:
        picture = upright(photos, row["photo"])
        ids = load_map(tmp_path / "out" / row["map"])
        assert (ids == segmenter(picture)).all()
        assert (int(row["height"]), int(row["width"])) == ids.shape == picture.shape[:2]
        assert ("whole" in row["found"]) == (ids == 3).any()
    assert ids.shape == (128, 96) and (ids == 3).sum() > 500
    regions = HintEncoder.from_file(tmp_path / "out" / "regions.yaml")
    assert regions.names == segmenter.names and regions.colours[3] == (0, 0, 255)
    assert "photos: files that are no photos by their names: 1 .txt" in capsys.readouterr().out


def test_photos_in_which_nothing_is_found_are_counted_and_listed(annotate, photos, tmp_path, capsys):
    annotate(photos, tmp_path / "out", *CANNY)
    assert table(tmp_path / "out" / "nothing_found.csv") == [dict(map="masks/grey.png", photo="grey.webp")]
    assert "5 maps in masks/; nothing was found for 1 of them" in capsys.readouterr().out
    assert not (tmp_path / "out" / "rejected.csv").exists()


def test_edges_are_grey_pictures_by_the_thresholds_that_were_given(annotate, photos, tmp_path):
    annotate(photos, tmp_path, *CANNY, "--low-threshold", 20, "--high-threshold", 60)
    with Image.open(tmp_path / "masks" / "shirts" / "21.png") as image:
        assert image.mode == "L"
        assert (np.asarray(image) == CannyDetector()(upright(photos, "shirts/21.png"), 20, 60)).all()
    assert not (tmp_path / "regions.yaml").exists()


def test_poses_are_the_pictures_that_the_detector_draws(annotate, photos, tmp_path, monkeypatch):
    class Detector:
        def poses(self, image, hand=False):
            body = np.zeros((18, 3), np.float32)
            body[0] = image.shape[1] / 2, image.shape[0] / 2, 1
            return [Pose(body, np.full((int(hand), 21, 3), 20, np.float32))]

        def __call__(self, image, hand=False):
            return draw_poses(self.poses(image, hand), *image.shape[:2])

    monkeypatch.setattr(annotator.openpose, "load_pose_detector", lambda path, device: Detector())
    pose = "--annotator", "pose", "--weights", tmp_path, "--device", "cpu"
    for out, hands in (("poses", ()), ("hands", ("--hands",))):
        annotate(photos, tmp_path / out, *pose, *hands)
        drawn = np.asarray(Image.open(tmp_path / out / "masks" / "turned.png"))
        assert (drawn == Detector()(upright(photos, "turned.jpg"), bool(hands))).all()
    assert table(tmp_path / "hands" / "maps.csv")[0]["found"].startswith("pose ")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_goes_on_to_the_files_of_one_that_nobody_stopped(
    annotate, photos, tmp_path, monkeypatch, number, code
):
    annotate(photos, tmp_path / "whole", *CANNY)
    out, row, left = tmp_path / "out", running.AnnotatingJob.make_row, [3]

    def stopping(self, *arguments):
        left[0] -= 1
        if left[0] == 0:
            signal.raise_signal(number)
        return row(self, *arguments)

    monkeypatch.setattr(running.AnnotatingJob, "make_row", stopping)
    with pytest.raises(SystemExit) as stopped:
        annotate(photos, out, *CANNY)
    assert stopped.value.code == code
    monkeypatch.setattr(running.AnnotatingJob, "make_row", row)
    there = files(out)
    assert len(table(out / "maps.csv")) <= sum(name.startswith("masks") for name in there) < 5
    annotate(photos, out, *CANNY)
    assert files(out) == files(tmp_path / "whole")


def test_what_a_kill_leaves_is_made_whole(annotate, photos, tmp_path):
    """Half a row, a temporary file, a map without its row and a row without its map."""
    annotate(photos, tmp_path / "whole", *CANNY)
    out = tmp_path / "out"
    annotate(photos, out, *CANNY)
    (out / "masks" / ".21.png.99.tmp").write_bytes(b"half")
    (out / "masks" / "turned.png").unlink()
    lines = (out / "maps.csv").read_text().splitlines(keepends=True)
    (out / "maps.csv").write_text("".join([lines[0], *lines[2:4], lines[5], lines[4][:14]]))
    annotate(photos, out, *CANNY)
    assert files(out) == files(tmp_path / "whole")


def test_new_photos_are_added_and_corrected_maps_stay(annotate, photos, tmp_path, capsys):
    mine, out = write_photos(tmp_path / "photos"), tmp_path / "out"
    annotate(mine, out, *GARMENTS, "--limit", 2)
    assert [row["photo"] for row in table(out / "maps.csv")] == NAMES[:2]
    corrected = np.zeros((64, 96, 3), np.uint8)
    corrected[10:20] = 255, 0, 0
    Image.fromarray(corrected).save(out / "masks" / "grey.png")
    before = (out / "masks" / "grey.png").read_bytes()
    capsys.readouterr()
    annotate(mine, out, *GARMENTS)
    assert (out / "masks" / "grey.png").read_bytes() == before
    assert table(out / "maps.csv")[0]["found"] == "top 15.6%" and len(table(out / "maps.csv")) == 5
    assert not (out / "nothing_found.csv").exists()
    Image.new("RGB", (96, 64), "white").save(mine / "grey.webp")
    annotate(mine, out, *GARMENTS)
    assert "1 photos are newer than their maps, which stay: delete" in capsys.readouterr().out


def test_other_settings_are_refused_by_name_and_change_nothing(annotate, photos, tmp_path):
    annotate(photos, tmp_path / "out", *CANNY)
    before = files(tmp_path)
    for arguments, reason in (
        ((photos, *CANNY, "--low-threshold", 50), "low_threshold 100.0, not 50.0"),
        ((photos / "shirts", *CANNY), f"photos {photos}, not {photos / 'shirts'}"),
        ((photos, *GARMENTS), "annotator canny, not garments"),
    ):
        with pytest.raises(SystemExit, match=f"was made with {reason}: give another folder"):
            annotate(arguments[0], tmp_path / "out", *arguments[1:])
    assert files(tmp_path) == before


def test_other_weights_are_other_settings(annotate, photos, tmp_path):
    weights = tmp_path / "segmenter.safetensors"
    load_segmenter(DOLLS).save(weights, {})
    annotate(photos, tmp_path / "out", "--annotator", "garments", "--weights", weights, "--limit", 1)
    with pytest.raises(SystemExit, match="was made with weights segmenter.safetensors .{16}, not segmenter"):
        annotate(photos, tmp_path / "out", *GARMENTS, "--limit", 1)


def test_the_number_of_threads_changes_no_file(annotate, photos, tmp_path):
    for workers in (1, 3):
        annotate(photos, tmp_path / str(workers), *GARMENTS, "--workers", workers)
    assert files(tmp_path / "1") == files(tmp_path / "3")


def test_the_sheet_shows_photos_beside_their_maps(annotate, photos, tmp_path):
    annotate(photos, tmp_path, *GARMENTS)
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.size[0] == 8 * 200 + 7 * GAP + 2 * MARGIN
        colours = {colour for _, colour in image.convert("RGB").getcolors(2**20)}
    assert {(255, 0, 0), (0, 0, 255), (255, 255, 0)} <= colours
