"""Two small controls and a training folder of held-out noise, and tool_evaluate.py's command line on them."""

import csv
import json
import shutil
import sys

import tool_evaluate
from ldm.checkpoint import read_state_dict, write_state_dict
from pictures.regions import REGIONS_FILE
from small_data import ENCODER, WIDE, write_base, write_items
from sources import ROOT

JUDGE = ROOT / "models" / "tiny" / "segmenter.safetensors"
CONTROL = "control_model."
TALL = (128, 64)


def write_control(folder, name, change=None, hint=ENCODER):
    """A control on ini.safetensors; `change` of its tensors; `hint` None: its maps are any pictures."""
    state = read_state_dict(folder / "ini.safetensors")
    control = {n: tensor.clone() for n, tensor in state.items() if n.startswith(CONTROL)}
    if change:
        change(control)
    facts = dict(config=str(folder / "small.yaml"), base=str(folder / "ini.safetensors"))
    facts |= dict(options=dict(segmenter=str(JUDGE))) | (dict(hint=hint.metadata()) if hint else {})
    write_state_dict(control, folder / name, facts)
    return folder / name


def stronger(control):
    """Zero convolutions that act more."""
    for name, tensor in control.items():
        if "zero_convs" in name or "middle_block_out" in name:
            tensor *= 5


def write_evaluation(folder, num=4):
    """a.safetensors, b.safetensors, and data/: an item to train on and `num` held out, one of them tall."""
    write_base(folder)
    write_control(folder, "a.safetensors")
    write_control(folder, "b.safetensors", stronger)
    (folder / "data").mkdir()
    write_items(folder / "data", [WIDE], split="train")
    write_items(folder / "data", [WIDE] * (num - 1) + [TALL], start=1, split="val")
    shutil.copy(REGIONS_FILE, folder / "data" / "regions.yaml")
    return folder


def command_line(folder, monkeypatch):
    """A function that runs the tool into `out` on controls of `folder`, and returns `out`."""

    def run(out, *arguments, controls=("a.safetensors",), data="data"):
        given = [*(folder / name for name in controls), "--data", folder / data, "--out", out]
        given += ["--config", folder / "small.yaml"]
        given += ["--sampling-steps", 2, "--num", 2, "--batch-size", 2, "--device", "cpu", *arguments]
        monkeypatch.setattr(sys, "argv", ["tool_evaluate.py", *map(str, given)])
        tool_evaluate.main()
        return out

    return run


def results(out):
    """results.json, its metrics by name."""
    content = json.loads((out / "results.json").read_text())
    return content | dict(metrics={metric["name"]: metric for metric in content["metrics"]})


def rows(out):
    with open(out / "results.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def pictures(out):
    """The bytes of all pictures, by their names below pictures/."""
    folder = out / "pictures"
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.png"))}
