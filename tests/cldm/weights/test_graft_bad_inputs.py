"""What cannot be grafted gets one clear line, a non-zero exit and no output file."""

import os
import re
import shutil
from functools import partial

import pytest
import torch

import cldm.weights.graft
import tool_add_control
from cldm.weights.graft import CONTEXT, MODELS, STEM
from ldm.checkpoint import write_state_dict

UNET = "model.diffusion_model."


def tensors(*names, **shapes):
    return {name: torch.zeros(shapes.get(name, (1,))) for name in names}


def base(in_channels=4, width=320, context=768):
    return {STEM: torch.zeros(width, in_channels, 3, 3), CONTEXT: torch.zeros(width, context)}


class Payload:
    def __reduce__(self):
        return os.system, ("touch pwned",)


def cut(path):
    write_state_dict({"w": torch.zeros(5000)}, path.with_name("whole.ckpt"))
    path.write_bytes(path.with_name("whole.ckpt").read_bytes()[:9000])


def saves(state):
    return lambda path: torch.save(state, path)


CASES = {
    "missing": (lambda path: None, "in.ckpt does not exist"),
    "truncated": (cut, "is truncated"),
    "text": (lambda path: path.write_text("hello"), "is not a checkpoint"),
    "malicious": (
        saves({"state_dict": base(), "x": Payload()}),
        "is malicious: it asks to call posix.system",
    ),
    "kohya LoRA": (
        saves(tensors("lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight")),
        "is a LoRA",
    ),
    "peft LoRA": (saves(tensors("unet.down_blocks.0.attentions.0.to_k.lora_A.weight")), "is a LoRA"),
    "SDXL": (saves(base() | tensors("conditioner.embedders.0.transformer.text_model.x")), "is SDXL"),
    "SDXL without text": (saves(base() | tensors(UNET + "label_emb.0.0.weight")), "is SDXL"),
    "inpainting": (saves(base(in_channels=9)), "is an inpainting model: its U-Net takes 9 channels"),
    "grafted": (
        saves(base() | tensors("control_model.input_hint_block.0.weight")),
        "holds a control branch already",
    ),
    "control alone": (saves(tensors("input_hint_block.0.weight")), "holds a control branch already"),
    "diffusers": (
        saves(tensors("down_blocks.0.resnets.0.conv1.weight")),
        "convert its whole folder by tool_convert.py",
    ),
    "a VAE": (saves(tensors("first_stage_model.encoder.conv_in.weight")), "holds no U-Net"),
    "a stem of no channels": (saves(base() | tensors(STEM)), "is no Stable Diffusion"),
    "a numbered tensor": (saves(base() | {3: torch.zeros(1)}), "which is no text"),
    "quantised": (
        saves(base() | {UNET + "time_embed.0.bias": torch.zeros(1280, dtype=torch.int8)}),
        r"is quantised \(.* is int8\)",
    ),
    "other sizes": (saves(base(width=128, context=512)), r"fits no known family .*\(4, 128, 512\)"),
    "SD1.5 in part": (
        saves(base()),
        "lacks tensors of .*: 684 of model, 248 of first_stage_model, 196 of cond_stage",
    ),
    "SD1.5 in name": (
        saves(base() | tensors(UNET + "time_embed.0.bias")),
        r"time_embed.0.bias is \[1\] in the file, \[1280\]",
    ),
}


@pytest.fixture
def run(exit_message):
    return partial(exit_message, tool_add_control)


@pytest.mark.parametrize("case", CASES)
def test_a_bad_input_gives_one_clear_line(run, tmp_path, case):
    make, message = CASES[case]
    make(tmp_path / "in.ckpt")
    told = run("in.ckpt", "out.ckpt")
    assert isinstance(told, str), "sys.exit with a text: printed to stderr, exit status 1"
    assert len(told.splitlines()) == 1
    assert told.startswith(("error: in.ckpt ", "error: in.ckpt: "))
    assert re.search(message, told), told
    assert not (tmp_path / "out.ckpt").exists()
    assert not (tmp_path / "pwned").exists()


def test_an_existing_output_is_refused_before_reading(run, tmp_path):
    (tmp_path / "out.ckpt").write_text("precious")
    assert "out.ckpt exists already" in run("nowhere.ckpt", "out.ckpt")
    assert (tmp_path / "out.ckpt").read_text() == "precious"


def test_an_output_folder_that_is_missing_is_told(run):
    assert "missing does not exist: make it first" in run("in.ckpt", "missing/out.ckpt")


def test_an_output_of_another_kind_is_told(run):
    assert "ends in .ckpt or .safetensors" in run("in.ckpt", "out.zip")


def test_a_full_disk_is_told_and_leaves_nothing(run, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1))
    monkeypatch.setattr(cldm.weights.graft, "graft", lambda *arguments: ({"w": torch.zeros(9)}, None))
    torch.save(base(), tmp_path / "in.ckpt")
    assert "the disk is full" in run("in.ckpt", "out.ckpt")
    assert [path.name for path in tmp_path.iterdir()] == ["in.ckpt"]


def test_a_yaml_that_is_missing_is_told(run, tmp_path):
    torch.save(base(), tmp_path / "in.ckpt")
    assert "nowhere.yaml" in run("in.ckpt", "out.ckpt", "--config", "nowhere.yaml")


@pytest.mark.parametrize("text", ["a: 1", "model: [", "hello", "model: {target: x}"])
def test_a_yaml_of_something_else_is_told(run, tmp_path, text):
    torch.save(base(), tmp_path / "in.ckpt")
    (tmp_path / "other.yaml").write_text(text)
    told = run("in.ckpt", "out.ckpt", "--config", "other.yaml")
    assert told.startswith("error: other.yaml ") and len(told.splitlines()) == 1


def test_the_yaml_of_another_family_is_told(run, tmp_path):
    torch.save(base(), tmp_path / "in.ckpt")
    told = run("in.ckpt", "out.ckpt", "--config", str(MODELS / "cldm_v21.yaml"))
    assert "does not fit" in told
    told = run("in.ckpt", "out.ckpt", "--config", str(MODELS / "cldm_tiny.yaml"))
    assert "in.ckpt is another model: its U-Net takes 4 channels, a base with 16 is wanted" in told


def test_one_argument_is_too_few(run, capsys):
    assert run("in.ckpt") == 2
    assert "give INPUT and OUTPUT, or neither" in capsys.readouterr().err
