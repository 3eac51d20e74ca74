"""A small Demo, values of its page's inputs, and what comes of them."""

from dataclasses import fields

import numpy as np

from demo.garments.drawing import draw_request
from demo.garments.model import Demo
from demo.garments.page_request import Inputs, read_request
from demo.reports import Step
from pictures.hint import HintEncoder
from pictures.regions import REGIONS_FILE
from small import small_model

REGIONS = HintEncoder.from_file(REGIONS_FILE)
SHORT = dict(prompt="a red top", num_samples=2, image_resolution=64, ddim_steps=2, scale=3.0, seed=7)


def small_demo(**options):
    return Demo(
        small_model(zeros=False), REGIONS, "folder/small.safetensors", "small.safetensors", "0", **options
    )


def top_and_bottom(height=64, width=64):
    """Region ids uint8 (height, width)."""
    ids = np.zeros((height, width), np.uint8)
    ids[10:30, 20:50], ids[30:60, 25:45] = 1, 2
    return ids


def editor_value(ids=None, layers=()):
    """An image editor's value with a map as background."""
    ids = top_and_bottom() if ids is None else ids
    rgba = np.dstack([REGIONS.to_rgb(ids), np.full(ids.shape, 255, np.uint8)])
    return dict(background=rgba, layers=list(layers), composite=None)


def request(demo, **changes):
    values = dict(input_image=editor_value()) | SHORT | changes
    assert values.keys() <= {field.name for field in fields(Inputs)}
    return read_request(Inputs(**values), demo)


def drawn(demo, **changes):
    """(finished pictures, Steps) of a request."""
    told = []
    draw_request(demo, request(demo, **changes), told.append)
    finished = [picture for part in told if not isinstance(part, Step) for picture in part]
    return finished, [step for step in told if isinstance(step, Step)]
