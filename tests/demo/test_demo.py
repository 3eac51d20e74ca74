"""The demo finds whatever model there is, says what it is, and makes pictures of a request."""

import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from cldm.weights import load
from cldm.weights.load import newest_checkpoint
from demo.garments import drawing
from demo.garments.loading import load_for_demo
from demo.garments.model import Demo
from demo_requests import REGIONS, drawn
from jobs.devices import pick_device
from ldm.checkpoint import write_state_dict
from small import small_config, small_model


def is_control(name):
    return name.startswith("control_model.")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A yaml, a trained model in one file, its base, and its control branch as training writes it."""
    folder = tmp_path_factory.mktemp("files")
    OmegaConf.save(OmegaConf.create(dict(model=small_config())), folder / "small.yaml")
    state = small_model(zeros=False).state_dict()
    hint = dict(names=["nothing", "cloth"], colours=[[9, 9, 9], [1, 2, 3]])
    options = dict(base=str(folder / "base.safetensors"), model=str(folder / "small.yaml"))
    control = {name: tensor for name, tensor in state.items() if is_control(name)}
    write_state_dict(state, folder / "full.ckpt")
    write_state_dict({k: v for k, v in state.items() if not is_control(k)}, folder / "base.safetensors")
    write_state_dict(control, folder / "control.safetensors", dict(options=options, hint=hint))
    return folder


@pytest.fixture(scope="module")
def demo(files):
    return load_for_demo(files / "full.ckpt", files / "small.yaml", REGIONS, "cpu")


def pictures(demo, **changes):
    """[(picture, caption), ...] of a request, and the steps that were reported."""
    finished, steps = drawn(demo, **changes)
    return [(picture.pixels, picture.caption) for picture in finished], steps


def test_a_control_branch_on_its_base_is_the_whole_model(files, demo):
    control = load_for_demo(files / "control.safetensors", files / "small.yaml", REGIONS, "cpu")
    wanted, state = demo.model.state_dict(), control.model.state_dict()
    assert state.keys() == wanted.keys() and all(torch.equal(state[name], wanted[name]) for name in wanted)
    assert control.control_is_trained and not control.warning()
    assert "control.safetensors on" in control.name()


def test_the_checkpoint_knows_what_its_colours_mean(files, demo):
    control = load_for_demo(files / "control.safetensors", files / "small.yaml", REGIONS, "cpu")
    assert control.encoder.names == ("nothing", "cloth") and demo.encoder == REGIONS


def test_a_base_alone_is_grafted_and_the_page_says_so(files):
    demo = load_for_demo(files / "base.safetensors", files / "small.yaml", REGIONS, "cpu")
    assert not demo.control_is_trained
    assert "untrained" in demo.warning() and "python tutorial_train.py" in demo.warning()


def test_without_a_checkpoint_the_newest_result_is_taken_else_the_default_base(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(load, "default_files", lambda: (files / "base.safetensors", None, ""))
    assert newest_checkpoint() is None
    assert not load_for_demo(None, files / "small.yaml", REGIONS, "cpu").control_is_trained
    for age, name in enumerate(["b", "a"]):
        (tmp_path / "runs" / name).mkdir(parents=True)
        path = tmp_path / "runs" / name / "control.safetensors"
        path.write_bytes((files / "control.safetensors").read_bytes())
        os.utime(path, (1e9 - age, 1e9 - age))
    assert newest_checkpoint().parent.name == "b"
    assert load_for_demo(None, files / "small.yaml", REGIONS, "cpu").control_is_trained


def test_weights_in_16_bit_are_drawn_with_in_32(files, tmp_path):
    state = {name: t.half() for name, t in small_model(zeros=False).state_dict().items()}
    write_state_dict(state, tmp_path / "half.safetensors")
    demo = load_for_demo(tmp_path / "half.safetensors", files / "small.yaml", REGIONS, "cpu")
    assert len(pictures(demo)[0]) == 2


def test_a_base_that_is_gone_or_does_not_fit_is_named(files, tmp_path):
    control = {"control_model.time_embed.0.weight": torch.zeros(3, 3)}
    path = tmp_path / "control.safetensors"
    write_state_dict(control, path, dict(base="gone.safetensors"))
    with pytest.raises(FileNotFoundError, match="was trained on gone.safetensors, which is not here"):
        load_for_demo(path, None, REGIONS, "cpu")
    facts = dict(base=str(files / "full.ckpt"), config=str(files / "small.yaml"))
    write_state_dict(control, path, facts, overwrite=True)
    with pytest.raises(ValueError, match=r"control_model.time_embed.0.weight \[3, 3\] has no place"):
        load_for_demo(path, files / "small.yaml", REGIONS, "cpu")


def test_a_device_is_picked_that_works_here():
    assert torch.empty(1, device=pick_device("auto")).numel() == 1 and pick_device("cpu") == "cpu"
    with pytest.raises(ValueError, match="the device 'gpu' cannot be used here, try auto or cpu"):
        pick_device("gpu")


def test_a_request_gives_pictures_with_their_seeds_and_counts_its_steps(demo):
    finished, steps = pictures(demo)
    assert [caption for _, caption in finished] == ["seed 7", "seed 8"]
    assert all(picture.shape == (64, 64, 3) and picture.dtype == np.uint8 for picture, _ in finished)
    assert [(step.done, step.total) for step in steps] == [(1, 2), (2, 2)]


def test_a_picture_can_be_drawn_again_from_its_seed(demo):
    first, again = pictures(demo)[0][1], pictures(demo, seed=8, num_samples=1)[0][0]
    assert first[1] == again[1] and np.abs(first[0].astype(int) - again[0]).max() <= 1
    seeds = {pictures(demo, seed=-1, num_samples=1, ddim_steps=1)[0][0][1] for _ in range(4)}
    assert len(seeds) > 1


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(input_image=None), "The map is empty"),
        (dict(ddim_steps=0), "steps must be between"),
        (dict(sampler="euler"), "sampler must be one of"),
        (dict(sampler="dpmpp_2m", eta=0.5), "eta must be 0"),
        (dict(control_start=0.9, control_end=0.1), "start 0.9 lies behind"),
    ],
)
def test_a_request_that_cannot_be_met_says_why(demo, changes, message):
    with pytest.raises(ValueError, match=message):
        pictures(demo, **changes)


def test_running_out_of_memory_names_the_remedy(demo, monkeypatch):
    def generate(*arguments, **options):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(drawing, "generate", generate)
    with pytest.raises(ValueError, match="Out of memory: ask for fewer pictures"):
        pictures(demo)


def test_stable_diffusion_starts_with_the_originals_defaults():
    demo = Demo(SimpleNamespace(image_size=64), REGIONS, "control_sd15_seg.pth")
    start = demo.defaults()
    assert (demo.native_size, start["scale"], start["num_samples"]) == (512, 9.0, 1)
    assert start["a_prompt"] == "best quality, extremely detailed" and start["n_prompt"].startswith(
        "longbody, lowres"
    )
    assert demo.name() == "Model: control_sd15_seg.pth." and "512 pixels" in demo.about()
