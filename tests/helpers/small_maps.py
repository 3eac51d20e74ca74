"""A control on its base and a training folder of small maps, and tool_generate.py's command line on them."""

import csv
import json
import sys

import numpy as np
from omegaconf import OmegaConf
from PIL import Image

import tool_generate
from ldm.checkpoint import write_state_dict
from pictures.hint import HintEncoder
from pictures.region_maps import save_map
from pictures.regions import REGIONS_FILE
from small import small_config, small_model

REGIONS = HintEncoder.from_file(REGIONS_FILE)
FEW = ["--sampling-steps", "2", "--sampler", "ddim", "--batch-size", "2", "--device", "cpu"]


def region_ids(i, width=64):
    """Region ids (64, width) of a top and a bottom."""
    ids = np.zeros((64, width), np.uint8)
    ids[10 + i : 40, 20:44], ids[40:60, 20:44] = 1, 2
    return ids


def write_maps(folder):
    """control.safetensors on base.safetensors, and maps/ with three held-out maps, one of them wider."""
    model = small_model(zeros=False)
    OmegaConf.save(OmegaConf.create(dict(model=small_config())), folder / "small.yaml")
    state = model.state_dict()
    control = {name: tensor for name, tensor in state.items() if name.startswith("control_model.")}
    write_state_dict({n: t for n, t in state.items() if n not in control}, folder / "base.safetensors")
    facts = dict(base=str(folder / "base.safetensors"), config=str(folder / "small.yaml"))
    write_state_dict(control, folder / "control.safetensors", facts | dict(hint=REGIONS.metadata()))
    for part in ("source", "target"):
        (folder / "maps" / part).mkdir(parents=True)
    random, lines = np.random.default_rng(0), []
    for i, width in enumerate((64, 64, 128, 64)):
        save_map(folder / "maps" / "source" / f"{i}.png", region_ids(i, width))
        photo = random.integers(0, 256, (64, width, 3), np.uint8)
        Image.fromarray(photo).save(folder / "maps" / "target" / f"{i}.png")
        line = dict(source=f"source/{i}.png", target=f"target/{i}.png", prompt=f"a red top, {i}")
        lines.append(json.dumps(line | dict(split="val" if i else "train")))
    (folder / "maps" / "prompt.json").write_text("\n".join(lines))
    return folder


def command_line(folder, monkeypatch):
    """A function that runs the tool into `out` of `folder` with further arguments, and returns `out`."""
    control = "--control", str(folder / "control.safetensors")

    def run(out, *arguments, control=control):
        if "--config" not in arguments:
            arguments += "--config", folder / "small.yaml"
        given = ["--maps", folder / "maps", *control, "--out", out, *FEW, *arguments]
        monkeypatch.setattr(sys, "argv", ["tool_generate.py", *map(str, given)])
        tool_generate.main()
        return out

    return run


def pictures(out):
    """The bytes of the pictures of a folder, by name."""
    return {path.name: path.read_bytes() for path in sorted(out.glob("0*.png"))}


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
