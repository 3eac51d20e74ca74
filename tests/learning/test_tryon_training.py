"""A whole try-on run on dolls and a tiny recipe: it trains, resumes exactly, and publishes its weights."""

import re
import shutil
from pathlib import Path

import pytest
import torch

from batches.cache.build import build_cache
from cldm.weights.graft import add_control
from cldm.weights.load_tryon import load_tryon
from generation.fitting import FittingSettings, put_on
from ldm.checkpoint import read_state_dict
from learning.options import TrainOptions
from learning.train import train
from paperdoll.tryon_folders import make_viton_hd
from preparation.fittings import FittingOptions, prepare_fittings
from tutorial_tryon_dataset import TryonDataset

ROOT = Path(__file__).parents[2]
RECIPES = sorted(path.stem.removeprefix("tryon_tiny_") for path in ROOT.glob("models/tryon_tiny_*.yaml"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Six persons to train on, two to test."""
    folder = tmp_path_factory.mktemp("fittings")
    make_viton_hd(folder / "raw", 6, 2, seed=5)
    options = FittingOptions(size=(128, 96), mask_style="body_part", workers=1)
    prepare_fittings(folder / "raw", folder / "data", options)
    return folder / "data"


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
    assert rows[0].startswith("step,") and [row.split(",")[0] for row in rows[1:]] == ["0", "3"]


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


@pytest.mark.parametrize("name", ["joint", "fastfit", "catvton"])
def test_a_dry_run_counts_the_memory_and_trains_nothing(name, bases, data, tmp_path, capsys):
    settings = options(name, bases(name), data, tmp_path / "run", dry_run=True)
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
