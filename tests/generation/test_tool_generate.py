"""The tool draws what its table asks for, goes on where it was stopped, and says how it made each picture."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from cldm.controls import Control
from cldm.weights.load import load_control
from generation import draw_table
from generation.generate import Settings, generate
from generation.inpainting import Photo, region_mask
from generation.picture_text import parameters, read_facts
from pictures.region_maps import load_map
from reporting.picture_sheet import GAP, MARGIN, TILE
from small_maps import FEW, REGIONS, pictures, rows
from sources import ROOT

# the script in a process that knows the prompt encoder of tests, which its yaml names
SCRIPT = "import small, tool_generate; tool_generate.main()"


def test_held_out_maps_are_drawn_listed_and_shown(draw, tmp_path):
    out = draw(tmp_path, "--num", 2, "--seed", 1)
    seeds = range(3, 9)  # row n of the table starts at 1 + 2 (n - 1)
    assert list(pictures(out)) == [
        f"0000{2 + i // 2}_{1 + i // 2}_{seed}.png" for i, seed in enumerate(seeds)
    ]
    listed = rows(out / "manifest.csv")
    assert [row["file"] for row in listed] == list(pictures(out))
    assert [(row["prompt"], row["seed"], row["width"]) for row in listed[1:3]] == [
        ("a red top, 1", "4", "64"),
        ("a red top, 2", "5", "128"),
    ]
    assert Image.open(out / "sheet.png").size[0] == 3 * TILE + 2 * GAP + 2 * MARGIN
    assert not (out / "rejected.csv").exists()


def test_a_picture_says_how_to_draw_it_again_to_the_bit(draw, folder, tmp_path):
    options = "--inpaint", "top", "--grow", 2, "--feather", 1, "--negative", "blurred", "--batch-size", 1
    path = draw(tmp_path, *options) / "00003_2_2.png"
    facts = read_facts(path)
    control, start = facts["controls"][0], facts["photo"]
    names = "steps", "sampler", "scale", "guidance_rescale", "eta", "seed", "prompt", "negative_prompt"
    settings = Settings(**{name: facts[name] for name in names})
    ids = load_map(folder / "maps" / control["map"])
    acting = Control(REGIONS.to_hint(ids), None, control["strength"], control["start"], control["end"])
    mask = region_mask(ids, REGIONS, start["inpaint"], start["grow"])
    photo = Photo(np.asarray(Image.open(start["file"])), start["denoise"], mask, start["feather"])
    model = load_control(control["file"], folder / "small.yaml", "cpu").model
    drawn, pixels = generate(model, acting, settings, photo=photo)[0], photo.pixels
    assert (np.asarray(Image.open(path)) == drawn).all() and facts["size"] == [64, 128]
    assert (drawn[~mask] == pixels[~mask]).all() and (drawn[mask] != pixels[mask]).mean() > 0.5


def test_other_programs_read_the_settings_too(draw, tmp_path):
    out = draw(tmp_path, "--negative", "blurred, dark", "--limit", 1, "--denoise", 0.5)
    with Image.open(out / "00002_1_1.png") as image:
        assert image.text["parameters"].split("\n") == [
            "a red top, 1",
            "Negative prompt: blurred, dark",
            "Steps: 2, Sampler: DDIM, CFG scale: 3, Seed: 1, Size: 64x64, Model: base, "
            "Denoising strength: 0.5, "
            'ControlNet 0: "Module: none, Model: control, Weight: 1, Guidance Start: 0, Guidance End: 1"',
        ]
        assert image.text["parameters"] == parameters(read_facts(out / "00002_1_1.png"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_goes_on_to_the_same_bits(draw, tmp_path, monkeypatch, number, code):
    whole, out = pictures(draw(tmp_path / "whole", "--num", 2)), tmp_path / "out"
    save, left = draw_table.write_atomically, [3]

    def stopping(path, data):
        save(path, data)
        left[0] -= path.name.startswith("0")
        if left[0] == 0:
            signal.raise_signal(number)

    monkeypatch.setattr(draw_table, "write_atomically", stopping)
    with pytest.raises(SystemExit) as stopped:
        draw(out, "--num", 2)
    assert stopped.value.code == code
    assert len(pictures(out)) == len(rows(out / "manifest.csv")) == 3
    monkeypatch.setattr(draw_table, "write_atomically", save)
    assert pictures(draw(out, "--num", 2)) == whole and len(rows(out / "manifest.csv")) == 6


def test_a_killed_run_goes_on_to_the_same_bits(draw, folder, tmp_path):
    whole, out = pictures(draw(tmp_path / "whole", "--num", 8)), tmp_path / "out"
    command = [
        sys.executable,
        "-c",
        SCRIPT,
        "--maps",
        folder / "maps",
        "--out",
        out,
        "--num",
        "8",
        *FEW,
        *("--config", folder / "small.yaml"),
    ]
    command += ["--control", folder / "control.safetensors"]
    environment = os.environ | dict(PYTHONPATH=str(ROOT / "tests" / "helpers"))
    process = subprocess.Popen(list(map(str, command)), cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 900
    while not list(out.glob("0*.png")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert 0 < len(pictures(out)) < len(whole) and pictures(out).items() <= whole.items()
    assert pictures(draw(out, "--num", 8)) == whole


def test_a_command_that_differs_does_not_mix_its_pictures_with_others(draw, tmp_path):
    before = pictures(draw(tmp_path, "--limit", 1))
    with pytest.raises(
        SystemExit, match="00002_1_1.png was made with scale 3.0, now scale is 5.0: delete it"
    ):
        draw(tmp_path, "--limit", 1, "--guidance", 5)
    assert pictures(tmp_path) == before
