"""Edges, and the annotators' page: what it shows, what it refuses, and that it looks up nothing."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gradio_annotator
from annotator.canny import CannyDetector
from annotator.openpose import Pose
from annotator.segment import PixelSegmenter
from demo.annotators_page import LONGEST, show_all, show_poses, show_regions
from demo_server import connected, serving_script
from paperdoll import draw
from pictures.regions import colour_of

ROOT = Path(__file__).parents[2]


def step(contrast):
    picture = np.full((32, 40, 3), 100, np.uint8)
    picture[:, 20:] += np.uint8(contrast)
    return picture


def test_canny_finds_the_edge_whose_gradient_is_over_the_thresholds():
    # a step of 40 has a Sobel gradient of 160
    for contrast, low, high, there in ((40, 100, 150, True), (40, 100, 200, False), (60, 100, 200, True)):
        edges = CannyDetector()(step(contrast), low, high)
        assert edges.shape == (32, 40) and edges.dtype == np.uint8 and set(np.unique(edges)) <= {0, 255}
        assert edges.any() == there
    assert np.flatnonzero(edges.any(axis=0)).tolist() in ([19], [20])


def test_canny_refuses_what_is_no_picture_and_thresholds_the_wrong_way_round():
    with pytest.raises(ValueError, match=r"canny wants an RGB picture, uint8 \(h, w, 3\); got float32"):
        CannyDetector()(np.zeros((4, 4, 3), np.float32))
    with pytest.raises(ValueError, match="low_threshold <= high_threshold, got 200 and 100"):
        CannyDetector()(step(9), 200, 100)


def test_the_page_shows_the_photo_and_each_annotation():
    segmenter = PixelSegmenter.load(ROOT / "models/tiny/segmenter.safetensors")
    body = np.zeros((18, 3), np.float32)
    body[0] = 64, 64, 1

    class Detector:
        def poses(self, image):
            return [Pose(body, np.zeros((0, 21, 3), np.float32))]

    photo = draw(0, 5, 128).photo
    annotators = {"garments": show_regions(segmenter), "pose": show_poses(Detector())}
    shown = show_all(photo, annotators, 100, 200)
    assert all(picture.shape == (128, 128, 3) and picture.dtype == np.uint8 for picture, _ in shown)
    (first, _), (_, canny), (regions, garments), (pose, joints) = shown
    assert (first == photo).all() and canny == "canny" and joints == "pose: 1 person, 1 joints"
    assert garments.startswith("garments: top ") and "head" in garments
    ids = segmenter(photo)
    assert (regions[ids == 1] == [255, 0, 0]).all() and pose[64, 64].tolist() == [255, 0, 0]


def test_large_photos_are_shrunk_and_regions_of_any_name_have_a_colour_of_their_own():
    (photo, _), _ = show_all(np.zeros((4000, 30, 3), np.uint8), {}, 100, 200)
    assert photo.shape[0] == LONGEST
    names = ["background", "top", "feet", "trousers", "socks"]
    assert len({colour_of(name, i) for i, name in enumerate(names)}) == 5
    assert colour_of("feet", 2) == (0, 255, 255) and colour_of("cloth", 0) == (0, 0, 0)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serving_script(tmp_path_factory.mktemp("server"), "gradio_annotator.py") as served:
        yield served


def test_gradio_client_gets_every_map_and_plain_errors_and_no_name_is_looked_up(served, tmp_path):
    from gradio_client import handle_file

    client = connected(served.url)
    Image.fromarray(draw(0, 5, 96).photo).save(tmp_path / "doll.png")
    photo = handle_file(str(tmp_path / "doll.png"))
    shown = client.predict(photo, 100, 200, api_name="/annotate")
    assert len(shown) >= 3 and all(Image.open(item["image"]).size == (96, 96) for item in shown)
    assert [item["caption"].split(":")[0] for item in shown[:3]] == [
        "photo",
        "canny",
        "garments (segmenter.safetensors)",
    ]
    for request, message in (
        ((None, 100, 200), "Upload a photo first"),
        ((photo, 300, 200), "got 300 and 200"),
    ):
        with pytest.raises(Exception, match=message):
            client.predict(*request, api_name="/annotate")
    (tmp_path / "broken.png").write_bytes(b"hello")
    with pytest.raises(Exception, match="this is no picture that can be read"):
        client.predict(handle_file(str(tmp_path / "broken.png")), 100, 200, api_name="/annotate")
    assert served.looked_up() and served.looked_up() <= {"127.0.0.1", "localhost"}


def test_a_missing_segmenter_ends_the_script_in_one_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["", "--segmenter", "nowhere.pth"])
    monkeypatch.setattr("demo.start.prepare_server", lambda: None)
    with pytest.raises(SystemExit, match="^error: no U2-Net weights at nowhere.pth.*cloth-segmentation"):
        gradio_annotator.main()
