"""Tiny random captioners in folders, laid out and named as the published ones."""

import json
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import torch

from annotator.caption.captioners import load_captioner

WORDS = "a an the image of woman man in red blue dress shirt jeans hat with and street standing on".split()
# kind of model -> the captioner that it is for
KINDS = dict(kosmos2="kosmos2", grounding_dino="grounding_dino", blip="blip", qwen="vlm", florence="vlm")


@cache
def _root():
    return tempfile.TemporaryDirectory()


@cache
def captioner_folder(kind) -> Path:
    """The folder of a kind of model, written once for all tests."""
    import small_grounded
    import small_vlms

    folder = Path(_root().name) / kind
    torch.manual_seed(0)
    write = getattr(small_grounded, f"write_{kind}", None) or getattr(small_vlms, f"write_{kind}")
    write(folder)
    return folder


def as_published(folder, copy) -> Path:
    """A copy in the layout of transformers 4, which most published folders have."""
    shutil.copytree(folder, copy)
    content = json.loads((copy / "processor_config.json").read_text())
    (copy / "processor_config.json").unlink()
    content = content.pop("image_processor") | {"processor_class": content["processor_class"]}
    (copy / "preprocessor_config.json").write_text(json.dumps(content))
    return copy


def load_small(kind, folder=None, dtype=None, **options):
    """The captioner of a kind of model with some options."""
    from annotator.caption.captioners import CAPTIONERS

    name = KINDS[kind]
    return load_captioner(
        name, folder or captioner_folder(kind), CAPTIONERS[name].options(**options), dtype=dtype
    )


def some_pictures():
    """Five pictures, tall, wide and square, with little in common."""
    sizes = (40, 30), (24, 48), (32, 32), (64, 20), (33, 47)
    draw = np.random.default_rng(0)
    coarse = [draw.integers(0, 256, (4, 4, 3), np.uint8) for _ in sizes]
    return [
        np.ascontiguousarray(image.repeat(16, 0).repeat(16, 1)[:height, :width])
        for image, (height, width) in zip(coarse, sizes, strict=True)
    ]


def shake(model, std: float):
    """The model with weights so large that what it says depends on the picture."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=std)
    return model.eval()
