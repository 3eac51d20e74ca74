"""Guess mode on the command line is that of `generate`, control by control."""

import numpy as np
import pytest
from PIL import Image

from cldm.controls import Control
from cldm.weights.load import load_control
from generation.generate import Settings, generate
from generation.picture_text import read_facts
from ldm.checkpoint import read_state_dict, write_state_dict
from small_maps import REGIONS, pictures, region_ids

PROMPT = "a red top, 1"


@pytest.fixture(scope="module")
def folder(folder):
    """With a second branch, trained otherwise."""
    branch = {name: t + 0.01 for name, t in read_state_dict(folder / "control.safetensors").items()}
    write_state_dict(branch, folder / "other.safetensors", dict(hint=REGIONS.metadata()))
    return folder


def first(out):
    return np.asarray(Image.open(out / next(iter(pictures(out)))))


def drawn(draw, out, *controls, arguments=()):
    control = [text for control in controls for text in ("--control", control)]
    return first(draw(out, "--limit", 1, "--batch-size", 1, *arguments, control=control))


def test_a_control_in_guess_mode_is_drawn_as_generate_does_to_the_bit(draw, folder, tmp_path):
    path = folder / "control.safetensors"
    ours = drawn(draw, tmp_path / "out", f"{path}:0.9:0-0.5:guess")
    acting = Control(REGIONS.to_hint(region_ids(1)), None, 0.9, 0.0, 0.5, guess_mode=True)
    settings = Settings(PROMPT, steps=2, scale=3.0, seed=1)
    model = load_control(path, folder / "small.yaml", "cpu").model
    assert (ours == generate(model, acting, settings)[0]).all()
    assert (ours != drawn(draw, tmp_path / "plain", f"{path}:0.9:0-0.5")).any()


def test_guess_mode_is_said_for_each_control(draw, folder, tmp_path):
    first, second = folder / "control.safetensors", folder / "other.safetensors"
    both = [(f"{first}:guess", second), (first, f"{second}:guess"), (f"{first}:guess", f"{second}:guess")]
    ours = [drawn(draw, tmp_path / str(i), *controls) for i, controls in enumerate([(first, second), *both])]
    assert all((a != b).any() for i, a in enumerate(ours) for b in ours[:i])
    branch = load_control(second, folder / "small.yaml", "cpu", folder / "base.safetensors")
    model, hint = load_control(first, folder / "small.yaml", "cpu").model, REGIONS.to_hint(region_ids(1))
    controls = [Control(hint), Control(hint, branch.model.control_model, guess_mode=True)]
    wanted = generate(model, controls, Settings(PROMPT, steps=2, scale=3.0, seed=1))[0]
    # weights that lie elsewhere in memory round otherwise
    assert np.abs(ours[2].astype(int) - wanted).max() <= 1


def test_a_picture_says_which_control_was_in_guess_mode(draw, folder, tmp_path):
    path = folder / "control.safetensors"
    drawn(draw, tmp_path, f"{path}:guess", path)
    name = next(iter(pictures(tmp_path)))
    assert [c.get("guess_mode", False) for c in read_facts(tmp_path / name)["controls"]] == [True, False]
    with Image.open(tmp_path / name) as image:
        modes = image.text["parameters"].split("ControlNet 1")
    assert "Control Mode: ControlNet is more important" in modes[0] and "Control Mode" not in modes[1]


def test_pictures_with_and_without_it_are_not_mixed(draw, folder, tmp_path):
    path = folder / "control.safetensors"
    drawn(draw, tmp_path, path)
    with pytest.raises(SystemExit, match="was made with controls .*, now controls is .*guess_mode"):
        drawn(draw, tmp_path, f"{path}:guess")


@pytest.mark.parametrize(
    ("rest", "arguments", "message"),
    [
        (":guess", ("--guidance", 1), "--guidance 1 leaves one of guidance's two predictions"),
        (":guess", ("--guidance", 0), "--guidance 0 leaves one of guidance's two predictions"),
        (":0:guess", (), "guess mode without strength is no control: leave out either"),
        (":0,0,0,0,0:guess", (), "guess mode without strength"),
        (":guess:0.5", (), r"a control is FILE\[:STRENGTH\[:START-END\]\]\[:guess\]\[@MAPS\], got"),
        (":1:0.5-0.5", (), "acts at none of the 2 steps: its range 0.5-0.5 holds no whole step"),
        (":1:0-0.4", ("--denoise", 0.5), "acts at none of the 1 steps"),
        (":1:0.6-0.2", (), r"--control .*control.safetensors: a control's start 0.6 lies behind its end 0.2"),
        (":11", (), "control.safetensors: strength must be between 0 and 10, got 11"),
        (":1:nan-1", (), "start must be between 0 and 1, got nan"),
    ],
)
def test_what_means_nothing_is_refused_before_anything_is_loaded(
    draw, folder, tmp_path, monkeypatch, rest, arguments, message
):
    monkeypatch.setattr("generation.control_files.load_control", lambda *_: pytest.fail("was loaded"))
    with pytest.raises(SystemExit, match=message) as end:
        drawn(draw, tmp_path / "out", f"{folder / 'control.safetensors'}{rest}", arguments=arguments)
    assert "\n" not in str(end.value) and not (tmp_path / "out").exists()
