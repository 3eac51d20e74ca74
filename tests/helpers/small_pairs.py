"""A try-on checkpoint on the tiny base, drawn people in garments, and tool_generate.py on them."""

import sys

import torch

import tool_generate
from cldm.weights.graft import add_control
from ldm.checkpoint import read_metadata, read_state_dict, write_state_dict
from small_fittings import draw_fittings
from sources import ROOT

SIZE, STYLE = (64, 64), "body_part"
BASE = ROOT / "models/tiny/base.safetensors"
FEW = ["--sampling-steps", "1", "--batch-size", "2", "--device", "cpu"]


def write_tryon(folder, num_people=3):
    """tryon.safetensors, which draws badly but draws, and data/ with people in garments of 64 x 64."""
    data = draw_fittings(folder, 1, num_people, drawn=(64, 48), size=SIZE)
    graft, path = folder / "ini.safetensors", folder / "tryon.safetensors"
    add_control(BASE, str(graft), str(ROOT / "models/tryon_tiny_joint.yaml"))
    told = read_metadata(graft)
    told["tryon"] |= dict(mask_style=STYLE, size=list(SIZE))
    write_state_dict(read_state_dict(graft), path, told | dict(options=dict(data=str(data))))
    return folder


def write_control(path):
    """A control of the tiny base, none of whose layers is at zero."""
    whole = path.with_name("whole.ckpt")
    add_control(BASE, str(whole), str(ROOT / "models/cldm_tiny.yaml"))
    state, random = read_state_dict(whole), torch.Generator().manual_seed(0)
    control = {name: tensor for name, tensor in state.items() if name.startswith("control_model.")}
    for name, tensor in control.items():
        if not tensor.any():
            control[name] = 0.1 * torch.randn(tensor.shape, generator=random)
    write_state_dict(control, path, dict(config="models/cldm_tiny.yaml", base=str(BASE)))
    return path


def command_line(folder, monkeypatch):
    """A function that runs the tool into `out` with the checkpoint of `folder` and further arguments."""

    def run(out, *arguments, control=("--control", folder / "tryon.safetensors")):
        given = [*control, "--out", out, *FEW, *arguments]
        monkeypatch.setattr(sys, "argv", ["tool_generate.py", *map(str, given)])
        tool_generate.main()
        return out

    return run


def pictures(out):
    """The bytes of the pictures of a folder, by name."""
    return {path.name: path.read_bytes() for path in sorted(out.glob("*__*.png"))}
