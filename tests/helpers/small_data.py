"""A training folder of noise in two sizes, and weights of the small model, as files."""

import json

import cv2
import numpy as np
from omegaconf import OmegaConf

from ldm.checkpoint import write_state_dict
from pictures.hint import HintEncoder
from pictures.regions import REGIONS_FILE
from small import small_config, small_model

ENCODER = HintEncoder.from_file(REGIONS_FILE)
WIDE, TALL = (64, 64), (128, 64)


def write_base(folder):
    """small.yaml and ini.safetensors, as the options `model` and `base` take them."""
    OmegaConf.save(OmegaConf.create(dict(model=small_config())), folder / "small.yaml")
    # a U-Net whose output layer is zero would give the control branch no gradient
    write_state_dict(small_model(zeros=False).state_dict(), folder / "ini.safetensors")
    return folder


def write_items(folder, sizes, start=0, said=True, **fields):
    """Append an item of each size (height, width) to a training folder; `said`: their lines say it."""
    lines = []
    for i, (height, width) in enumerate(sizes, start):
        rng = np.random.default_rng(i)
        ids = np.zeros((height, width), np.uint8)
        ids[8 : 30 + i, 10:50], ids[40:60, 20:44] = 1, 2
        cv2.imwrite(str(folder / f"{i}_map.png"), ENCODER.to_rgb(ids)[..., ::-1])
        cv2.imwrite(str(folder / f"{i}.png"), rng.integers(0, 255, (height, width, 3)).astype(np.uint8))
        line = dict(source=f"{i}_map.png", target=f"{i}.png", prompt=f"a red top, number {i // 2}", **fields)
        lines.append(line | (dict(size=[height, width]) if said else {}))
    with open(folder / "prompt.json", "a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    return folder
