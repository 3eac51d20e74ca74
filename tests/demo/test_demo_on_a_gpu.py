"""The demo's drawing on a GPU mixes no devices: on the pretended one of pretended_gpu."""

import numpy as np
import pytest
from PIL import Image

from annotator.segment import PixelSegmenter
from demo.garments.page_request import REPAINT
from demo_requests import REGIONS, drawn, small_demo
from generation.control_files import ControlFile, Steering
from small import small_model
from small_evaluation import JUDGE


@pytest.mark.parametrize("low_memory", [False, True])
def test_a_request_of_everything_is_drawn_on_a_gpu(gpu, tmp_path, low_memory):
    photo = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    Image.new("RGB", (64, 64), "red").save(tmp_path / "pose.png")
    branch = small_model(zeros=False).control_model.to(gpu)
    further = (Steering(ControlFile("pose.safetensors"), branch, REGIONS, "1"),)
    judge = PixelSegmenter.load(JUDGE, device=gpu).segment
    demo = small_demo(further=further, low_memory=low_memory, judge=judge)
    demo.model.to(gpu)
    choices = dict(further=[str(tmp_path / "pose.png"), 1.0], preview=True, ddim_steps=10, compare=True)
    choices |= dict(photo=str(tmp_path / "photo.png"), photo_use=REPAINT, repaint=["top"], denoise=1.0)
    finished, steps = drawn(demo, **choices)
    assert steps and all(picture.pixels.shape == (64, 64, 3) for picture in finished)
