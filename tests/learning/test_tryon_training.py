"""A whole try-on run on dolls and a tiny recipe: it trains, resumes exactly, and publishes its weights."""

import csv
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from batches.cache.build import build_cache
from cldm.weights.graft import add_control
from cldm.weights.load_tryon import load_tryon
from generation.fitting import FittingSettings, put_on
from ldm.checkpoint import read_metadata, read_state_dict
from learning.callbacks.garment_metric import watch_garments
from learning.options import TrainOptions
from learning.train import train
from small_fittings import draw_fittings, forget_drawing
from tutorial_tryon_dataset import TryonDataset

ROOT = Path(__file__).parents[2]
RECIPES = sorted(path.stem.removeprefix("tryon_tiny_") for path in ROOT.glob("models/tryon_tiny_*.yaml"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Six persons to train on, two to test."""
    return draw_fittings(tmp_path_factory.mktemp("fittings"), 6, 2)


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """A function recipe -> its graft on the tiny base."""
    folder = tmp_path_factory.mktemp("bases")

    def graft(name):
        path = folder / f"{name}.safetensors"
        if not path.exists():
            add_control(ROOT / "models/tiny/base.safetensors", str(path), recipe(name))
        return path

    return graft


def recipe(name):
    return str(ROOT / f"models/tryon_tiny_{name}.yaml")


def options(name, base, data, run, **changes):
    settings = dict(
        run=str(run),
        data=str(data),
        model=recipe(name),
        base=str(base),
        max_steps=3,
        batch_size=2,
        learning_rate=1e-3,
        recompute=False,
        precision="32-true",
        workers=0,
        checkpoint_every=2,
        measure_every=3,
        measure_maps=2,
        sampling_steps=2,
        image_log_every=0,
    )
    return TrainOptions(**settings | changes)


def trained(settings):
    train(settings, TryonDataset(settings.data, "train"), TryonDataset(settings.data, "test"))
    return read_state_dict(f"{settings.run}/tryon.safetensors")


@pytest.mark.parametrize("name", RECIPES)
def test_every_tiny_recipe_trains_and_goes_on_exactly(name, bases, data, tmp_path):
    whole = trained(options(name, bases(name), data, tmp_path / "whole"))
    trained(options(name, bases(name), data, tmp_path / "parts", max_steps=2))
    resumed = trained(options(name, bases(name), data, tmp_path / "parts"))
    assert whole.keys() == resumed.keys()
    differing = [key for key in whole if not torch.equal(whole[key], resumed[key])]
    assert not differing, f"{len(differing)} of {len(whole)} differ, {differing[0]} first"
    before = read_state_dict(bases(name))
    assert all(key in before for key in whole)
    assert any(not torch.equal(whole[key], before[key]) for key in whole)
    rows = (tmp_path / "whole/validation.csv").read_text().splitlines()
    assert {"inside", "inside_without", "outside", "outside_without"} < {*rows[0].split(",")}
    assert rows[0].startswith("step,") and [row.split(",")[0] for row in rows[1:]] == ["0", "3"]
    ((measured,), (_, again)) = (read_fidelity(tmp_path / run) for run in ("whole", "parts"))
    assert measured == again and measured["step"] == "3"


def read_fidelity(run):
    with open(run / "garment_fidelity.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_measures_whether_the_garment_is_obeyed(bases, data, tmp_path, capsys):
    settings = options("joint", bases("joint"), data, tmp_path, max_steps=2, measure_every=1, measure_maps=9)
    trained(settings)
    rows, said = read_fidelity(tmp_path), capsys.readouterr().out
    assert [row["step"] for row in rows] == ["1", "2"]
    for row in rows:
        told = {name: float(value) for name, value in row.items()}
        for name in ("garment_at_16", "rolled_garment_at_16", "floor_garment_at_16"):
            assert told[name] in (0, 0.5, 1)
        assert told["ceiling_garment_at_16"] == 1 and told["ceiling_detail"] > told["floor_detail"]
        assert told["ceiling_delta_e"] < min(told["delta_e"], told["rolled_delta_e"], told["floor_delta_e"])
        assert -1 < told["detail"] < 1 and told["mask_psnr"] > 0
        # the garment enters: without it, and with another one, other pictures are drawn
        assert len({told[f"{what}delta_e"] for what in ("", "rolled_", "floor_")}) == 3
    assert "garment fidelity of 2 dolls: ceiling garment@16 1.00" in said
    assert "step 2: garment@16 0." in said and re.search(r"loss [\d.]+, garment@16 \d", said)
    best = read_metadata(tmp_path / "tryon_best.safetensors")
    assert float(best["garment_detail"]) == pytest.approx(max(float(row["detail"]) for row in rows), abs=1e-4)
    page = (tmp_path / "report.html").read_text()
    assert "Is the garment obeyed?" in page and "given another garment" in page and "Held-out dolls" in page
    # of training, of validation and both sides of the mask, of fidelity
    assert page.count("<svg") == 5 + (5 + 2) + 5


def test_each_doll_tries_on_the_next_ones_garment_and_rolled_the_one_after(data, tmp_path):
    (metric,) = watch_garments(TryonDataset(data, "train"), options("joint", "", data, tmp_path))
    assert [(p["name"][-4], g["name"][-4]) for p, g in metric.asked.pairs] == [("0", "1"), ("5", "0")]
    assert [(p["name"][-4], g["name"][-4]) for p, g in metric.rolled.pairs] == [("0", "2"), ("5", "1")]


def test_on_photographs_one_line_says_that_it_is_not_measured(data, tmp_path, capsys):
    folder = forget_drawing(shutil.copytree(data, tmp_path / "data"))
    settings = options("joint", "", folder, tmp_path)
    assert watch_garments(TryonDataset(folder, "test"), settings) == []
    assert watch_garments([dict(jpg=None)], settings) == []
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 2 and all("garment fidelity (garment@16, detail, ΔE) is not" in line for line in said)
    alone = TryonDataset(data, "test")
    alone.pairs = alone.pairs[:1]
    assert watch_garments(alone, settings) == []
    assert "not measured: there is no other garment of category upper" in capsys.readouterr().out


def test_a_run_logs_pictures_and_publishes_what_draws(bases, data, tmp_path):
    trained(options("joint", bases("joint"), data, tmp_path, max_steps=1, image_log_every=1))
    logged = {path.name.split("_gs")[0] for path in (tmp_path / "image_log/train").iterdir()}
    assert logged == {"reconstruction", "agnostic", "garment", "samples"}
    report = re.sub('src="[^"]*"', "", (tmp_path / "report.html").read_text()).split("<summary>Options")[0]
    assert "with the garment" in report and report.count("<img") >= 3
    assert not re.search(r"\bmaps?\b", report)
    loaded, tests = load_tryon(tmp_path / "tryon.safetensors"), TryonDataset(data, "test")
    loaded.record.check_data(tests.data)
    (picture,) = put_on(loaded.model, [tests[0]], [0], FittingSettings(steps=2))
    assert picture.shape == (128, 96, 3) and picture.std() > 0


def test_an_option_of_a_control_is_refused(bases, data, tmp_path):
    settings = options("joint", bases("joint"), data, tmp_path, prompt_dropout=0.1)
    with pytest.raises(ValueError, match="prompt_dropout=0.1 is for a control"):
        trained(settings)


def test_a_run_trains_the_parts_that_it_is_told_records_them_and_goes_on_with_no_others(
    bases, data, tmp_path, capsys
):
    told = dict(train=dict(unet="attn1", garment="attn1_kv"), learning_rates=dict(garment=2e-3))
    given = options("joint", bases("joint"), data, tmp_path, max_steps=2, measure_every=9, **told)
    state, before = trained(given), read_state_dict(bases("joint"))
    parts = {name.split(".")[0] for name in state}
    assert parts == {"model", "garment_model"} and all(".attn1." in name for name in state)
    assert not any(torch.equal(tensor, before[name]) for name, tensor in state.items())
    assert read_metadata(tmp_path / "tryon.safetensors")["tryon"]["train"] == told["train"]
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if "train." in line]
    assert [(row[1], row[-1]) for row in rows] == [
        ("train.unet=attn1", "0.001"),
        ("train.garment=attn1_kv", "0.002"),
    ]
    with pytest.raises(ValueError, match="train.unet=attn1 train.garment=attn1_kv, got no train"):
        trained(replace(given, train={}, max_steps=3))
    trained(replace(given, max_steps=3))
    assert f"resuming {tmp_path} at step 2" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["joint", "fastfit", "catvton"])
def test_a_dry_run_counts_the_memory_and_trains_nothing(name, bases, data, tmp_path, capsys):
    # of weights that do not even lie there
    settings = options(name, tmp_path / "none.safetensors", data, tmp_path / "run", dry_run=True)
    train(settings, TryonDataset(data, "train"), TryonDataset(data, "test"))
    said = capsys.readouterr().out
    assert "128 x 96 pixels" in said and "activations of 2" in said
    assert not (tmp_path / "run").exists()


def test_a_run_takes_the_cache_and_mirrors(bases, data, tmp_path, capsys):
    folder = shutil.copytree(data, tmp_path / "data")
    build_cache(TryonDataset(folder), bases("joint"), recipe("joint"), flips=True, dtype="float32")
    trained(options("joint", bases("joint"), folder, tmp_path / "run", flip=True, image_log_every=3))
    assert f"latents and prompts taken from {folder}/cache" in capsys.readouterr().out
    logged = {path.name.split("_gs")[0] for path in (tmp_path / "run/image_log/train").iterdir()}
    assert logged == {"reconstruction", "agnostic", "garment", "samples"}
