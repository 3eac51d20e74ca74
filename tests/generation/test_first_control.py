"""The first control may be in any layout, once its base is known: its pictures are the same to the bit."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from safetensors.torch import save_file

import cldm.weights.load as load
from cldm.weights.convert import convert
from cldm.weights.load import load_control
from demo.garments.loading import Loader
from ldm.checkpoint import CheckpointError, read_state_dict, write_state_dict
from small import small_config, small_model
from small_formats import KINDS, same, write_whole
from small_maps import REGIONS, pictures

PREFIX = "control_model."


@pytest.fixture(scope="module")
def layouts(folder):
    """The control of `folder` without a word of its base, in every layout."""
    state = read_state_dict(folder / "control.safetensors")
    write_state_dict(state, folder / "prefixed.safetensors")
    bare = {name.removeprefix(PREFIX): tensor for name, tensor in state.items()}
    write_state_dict(bare, folder / "bare.safetensors")
    write_state_dict(bare, folder / "bare.pth")
    convert(folder / "prefixed.safetensors", folder / "diffusers", config=folder / "small.yaml")
    weights = folder / "diffusers" / "diffusion_pytorch_model.safetensors"
    save_file(read_state_dict(weights), folder / "diffusers.safetensors")
    return folder


def drawn(draw, out, control, *arguments):
    control = "--control", control
    draw(out, "--limit", 2, "--batch-size", 1, *arguments, control=control)
    return [np.asarray(Image.open(out / name)) for name in pictures(out)]


def test_every_layout_of_the_first_control_draws_the_same_bits(layouts, draw, tmp_path):
    yaml, base = layouts / "small.yaml", layouts / "base.safetensors"
    weights = load_control(layouts / "control.safetensors", yaml, "cpu").model.state_dict()
    wanted = drawn(draw, tmp_path / "named", layouts / "control.safetensors")
    names = "prefixed.safetensors", "bare.safetensors", "bare.pth", "diffusers", "diffusers.safetensors"
    for name in names:
        assert same(load_control(layouts / name, yaml, "cpu", base).model.state_dict(), weights), name
        ours = drawn(draw, tmp_path / "out" / name, layouts / name, "--base", base)
        assert len(ours) == 2 and all((a == b).all() for a, b in zip(ours, wanted, strict=True)), name


def test_a_base_that_is_given_goes_before_the_one_that_a_control_names(layouts, draw, tmp_path):
    base = {name: t + 0.02 * ("diffusion" in name) for name, t in small_model(False).state_dict().items()}
    base = {name: t for name, t in base.items() if not name.startswith(PREFIX)}
    write_state_dict(base, tmp_path / "other.safetensors")
    control, given = layouts / "control.safetensors", ("--base", tmp_path / "other.safetensors")
    ours, named = drawn(draw, tmp_path / "a", control, *given), drawn(draw, tmp_path / "b", control)
    assert (ours[0] != named[0]).any()
    loaded = load_control(control, layouts / "small.yaml", "cpu", given[1])
    assert loaded.source == f"{control} on {given[1]}" and loaded.base == str(given[1])


@pytest.mark.parametrize("name", ["prefixed.safetensors", "bare.safetensors"])
def test_without_a_base_one_line_says_what_to_give(layouts, draw, tmp_path, name):
    """The tiny base, which is taken where there is no other, is of another family."""
    with pytest.raises(SystemExit, match=rf"{name} does not say what its base is.*: give --base FILE") as end:
        draw(tmp_path / "out", control=("--control", layouts / name))
    assert "\n" not in str(end.value) and not (tmp_path / "out").exists()


def test_a_control_that_does_not_say_its_base_takes_the_default_one_of_its_family(layouts, monkeypatch):
    monkeypatch.setattr(load, "default_files", lambda: (layouts / "base.safetensors", None, ""))
    loaded = load_control(layouts / "bare.safetensors", layouts / "small.yaml", "cpu")
    assert loaded.base.endswith("base.safetensors")


def test_the_demo_takes_a_base_as_well(layouts):
    yaml, base = layouts / "small.yaml", layouts / "base.safetensors"
    demo = Loader("cpu", REGIONS, str(yaml), base=str(base))(layouts / "bare.safetensors")
    wanted = load_control(layouts / "control.safetensors", yaml, "cpu").model
    assert same(demo.model.state_dict(), wanted.state_dict())
    assert demo.source == f"{layouts / 'bare.safetensors'} on {base}" and demo.encoder == REGIONS


@pytest.mark.parametrize("kind", KINDS)
def test_folders_of_diffusers_serve_as_base_and_as_whole_model(kind, tmp_path):
    yaml, model, file = write_whole(tmp_path, kind)
    state = model.state_dict()
    control = {name.removeprefix(PREFIX): t for name, t in state.items() if name.startswith(PREFIX)}
    write_state_dict(control, tmp_path / "bare.safetensors")
    convert(file, tmp_path / "pipeline", config=yaml)
    wanted = load_control(file, yaml, "cpu").model.state_dict()
    loaded = load_control(tmp_path / "bare.safetensors", yaml, "cpu", tmp_path / "pipeline")
    assert same(loaded.model.state_dict(), wanted) and not loaded.model.training
    assert same(load_control(tmp_path / "pipeline", yaml, "cpu").model.state_dict(), wanted)


def test_a_base_with_another_noise_schedule_gives_it_to_the_control(layouts, tmp_path):
    yaml = tmp_path / "v.yaml"
    OmegaConf.save(OmegaConf.create(dict(model=small_config(parameterization="v"))), yaml)
    state, facts = read_state_dict(layouts / "base.safetensors"), dict(options=dict(zero_terminal_snr=True))
    write_state_dict(state, tmp_path / "zero.safetensors", facts)
    for control in ("bare.safetensors", "control.safetensors"):
        loaded = load_control(layouts / control, yaml, "cpu", tmp_path / "zero.safetensors")
        assert loaded.zero_terminal_snr and loaded.model.alphas_cumprod[-1] == 0


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("none.safetensors", "none.safetensors does not exist"),
        ("control.safetensors", "control.safetensors holds no U-Net .*: a whole base is wanted"),
        ("bare.safetensors", "bare.safetensors holds no U-Net .*: a whole base is wanted"),
        ("diffusers", "diffusers holds no U-Net"),
        ("small.yaml", "small.yaml"),
        ("lora.safetensors", "lora.safetensors is a LoRA"),
        ("wider.safetensors", r"bare.safetensors does not fit its base: control_model.*\[16\]|wider"),
    ],
)
def test_what_is_no_base_is_refused_by_name(layouts, draw, tmp_path, base, message):
    write_state_dict({"x.lora_down.weight": torch.zeros(1, 1)}, tmp_path / "lora.safetensors")
    wider = small_model(unet=dict(context_dim=24)).state_dict()
    wider = {name: tensor for name, tensor in wider.items() if not name.startswith(PREFIX)}
    write_state_dict(wider, tmp_path / "wider.safetensors")
    path = tmp_path / base if (tmp_path / base).exists() else layouts / base
    given = "--base", path, "--config", layouts / "small.yaml"
    with pytest.raises(SystemExit, match=f"^error: .*{message}") as end:
        draw(tmp_path / "out", *given, control=("--control", layouts / "bare.safetensors"))
    assert "\n" not in str(end.value) and not (tmp_path / "out").exists()


def test_a_whole_model_has_its_base_already(layouts, tmp_path):
    write_state_dict(small_model(zeros=False).state_dict(), tmp_path / "whole.ckpt")
    with pytest.raises(ValueError, match="whole.ckpt is no control branch alone, which --base is for"):
        load_control(tmp_path / "whole.ckpt", layouts / "small.yaml", "cpu", layouts / "base.safetensors")


def test_a_branch_that_lacks_tensors_is_not_completed_with_its_bases(layouts, tmp_path):
    state = read_state_dict(layouts / "bare.safetensors")
    state = {name: tensor for name, tensor in state.items() if not name.startswith("zero_convs.1.")}
    write_state_dict(state, tmp_path / "cut.safetensors")
    with pytest.raises(CheckpointError, match="cut.safetensors lacks 2 tensors of the control branch; the"):
        load_control(
            tmp_path / "cut.safetensors", layouts / "small.yaml", "cpu", layouts / "base.safetensors"
        )
