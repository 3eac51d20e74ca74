"""What cannot be evaluated is refused in one line, before anything is drawn."""

import shutil

import numpy as np
import pytest
import torch
import yaml
from torchvision import models

from evaluation import picture_sets
from pictures.hint import HintEncoder
from small_data import ENCODER, WIDE, write_items
from small_evaluation import CONTROL, JUDGE, results, write_control, write_evaluation

OTHER = HintEncoder(("background", "face"), ((0, 0, 0), (255, 0, 255)))
LIGHTER = HintEncoder(ENCODER.names, tuple((min(r, 250), g, b) for r, g, b in ENCODER.colours))


def diverged(control):
    control[f"{CONTROL}zero_convs.1.0.weight"][0, 0] = float("nan")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = write_evaluation(tmp_path_factory.mktemp("evaluation"), num=2)
    write_control(folder, "nan.safetensors", diverged)
    write_control(folder, "faces.safetensors", hint=OTHER)
    write_control(folder, "lighter.safetensors", hint=LIGHTER)
    write_control(folder, "any.safetensors", hint=None)
    shutil.copytree(folder / "data", folder / "pairs")
    (folder / "pairs" / "regions.yaml").unlink()
    (folder / "broken.safetensors").write_bytes((folder / "a.safetensors").read_bytes()[:5000])
    (folder / "unsplit").mkdir()
    write_items(folder / "unsplit", [WIDE], split="train")
    shutil.copytree(folder / "data", folder / "missing_map")
    (folder / "missing_map" / "1_map.png").unlink()
    shutil.copytree(folder / "data", folder / "odd")
    write_items(folder / "odd", [(64, 72)], start=7, split="val")
    shutil.copytree(folder / "data", folder / "dresses")
    told = ENCODER.metadata()
    told["names"][3] = "dress"
    (folder / "dresses" / "regions.yaml").write_text(yaml.safe_dump(told))
    return folder


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (dict(controls=["none.safetensors"]), r"the checkpoint .*none\.safetensors does not exist"),
        (dict(controls=["."]), r"the checkpoint .* is a folder, not a file"),
        (dict(controls=["a.safetensors", "none.safetensors"]), r"none\.safetensors does not exist"),
        (dict(controls=["a.safetensors"] * 3), "one checkpoint is measured, or two are compared, got 3"),
        (dict(controls=["broken.safetensors"]), "truncated or damaged"),
        (dict(controls=["a.safetensors", "nan.safetensors"]), r"zero_convs\.1\.0\.weight are no numbers"),
        (dict(controls=["a.safetensors", "faces.safetensors"]), "trained on the regions background, face"),
        (dict(data="nowhere"), "nowhere does not exist: `make demo` makes training/dolls"),
        (dict(data="unsplit"), "no items of split val, only of train: prepare it with held-out items"),
        (dict(data="missing_map"), r"1_map\.png is missing"),
        (dict(data="odd"), "7_map.png is 64 x 72: sides must be multiples of 64"),
        (
            dict(data="dresses"),
            "finds the regions background, top, .* they differ in dress, whole. Take another segmenter",
        ),
    ],
)
def test_what_cannot_be_evaluated_is_said_in_one_line(evaluate, tmp_path, monkeypatch, given, message):
    monkeypatch.setattr(picture_sets, "draw_items", lambda *_: pytest.fail("something was drawn"))
    with pytest.raises(SystemExit, match=message) as stopped:
        evaluate(tmp_path / "out", **given)
    assert stopped.value.code.startswith("error: ") and "\n" not in stopped.value.code


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--segmenter", "none.safetensors"], r"no segmenter weights at none\.safetensors"),
        (["--clip", "none"], "none is no folder: a CLIP is a folder of"),
        (["--lpips", "none.pth"], r"none\.pth does not exist"),
        (["--inception", JUDGE], "segmenter.safetensors is no Inception v3: wanted"),
        (["--lpips", JUDGE], "segmenter.safetensors is no backbone of LPIPS: wanted"),
        (["--sampling-steps", 0], "steps must be between 1 and 1000"),
        (["--sampler", "euler"], "sampler must be one of ddim, dpmpp_2m"),
        (["--guidance", "nan"], "scale must be between"),
        (["--num", 0], "--num must be at least 1, got 0"),
        (["--batch-size", -1], "--batch-size must be at least 1, got -1"),
        (["--limit", 0], "--limit must be at least 1, got 0"),
        (["--split", "test"], "no items of split test, only of train, val"),
        (["--device", "abacus"], "the device 'abacus' cannot be used here"),
    ],
)
def test_options_that_cannot_be_are_said_in_one_line(evaluate, tmp_path, options, message):
    with pytest.raises(SystemExit, match=message):
        evaluate(tmp_path / "out", *options)


def test_without_a_trained_control_the_way_to_one_is_said(evaluate, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="no trained control in runs/: `make demo` trains one"):
        evaluate(tmp_path / "out", controls=[])


def test_a_damaged_picture_is_named(evaluate, tmp_path):
    out = evaluate(tmp_path, "--limit", 1)
    picture = next((out / "pictures").rglob("*.png"))
    picture.write_bytes(picture.read_bytes()[:100])
    with pytest.raises(SystemExit, match="is damaged: delete it, and the same command draws it again"):
        evaluate(tmp_path, "--limit", 1)


def test_a_map_reaches_each_control_in_its_own_colours(evaluate, tmp_path, monkeypatch):
    hints, original = [], picture_sets.sample

    def sample(model, controls, *arguments, **named):
        hints.extend(control.hint for control in controls or [])
        return original(model, controls, *arguments, **named)

    monkeypatch.setattr(picture_sets, "sample", sample)
    out = evaluate(tmp_path, "--limit", 1, "--num", 1, controls=["a.safetensors", "lighter.safetensors"])
    a, b = (np.unique((255 * np.asarray(hint)).round()[0, ..., 0]) for hint in hints)
    assert list(a) == [0, 255] and list(b) == [0, 250]
    told = results(out)["protocol"]["checkpoints"]
    assert told["A"]["colours"]["colours"][1] == [255, 0, 0] and told["B"]["colours"]["colours"][1] == [
        250,
        0,
        0,
    ]


def test_lpips_is_measured_where_its_backbone_is_given(evaluate, tmp_path):
    torch.manual_seed(0)
    torch.save(models.alexnet(weights=None).state_dict(), tmp_path / "alexnet.pth")
    found = results(evaluate(tmp_path / "out", "--limit", 1, "--lpips", tmp_path / "alexnet.pth"))
    assert found["metrics"]["LPIPS (AlexNet)"]["better"] == "lower" and "LPIPS" not in found["missing"]
    assert found["protocol"]["backbones"]["lpips"]["backbone"] == "alex"


@pytest.mark.parametrize("control", ["any.safetensors", "a.safetensors"])
def test_pairs_without_named_regions_are_measured_but_for_miou(evaluate, tmp_path, control):
    found = results(evaluate(tmp_path, "--limit", 1, "--num", 1, controls=[control], data="pairs"))
    assert "has no regions.yaml" in found["missing"]["mIoU"] and {*found["metrics"]} == {"SSIM", "PSNR"}


def test_without_a_segmenter_the_rest_is_measured(evaluate, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("evaluation.backbones.find_run_segmenter", lambda path: "")
    found = results(evaluate(tmp_path, "--limit", 1, "--num", 1))
    assert "name one by --segmenter" in found["missing"]["mIoU"] and {*found["metrics"]} == {"SSIM", "PSNR"}
