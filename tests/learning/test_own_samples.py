"""Own samples are drawn while a run trains; a slip in their yaml is one line before anything is loaded."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cldm.weights.graft import add_control
from generation.generate import Settings, generate
from learning.callbacks.own_samples import OwnFittings, OwnMaps
from learning.options import TrainOptions
from learning.train import train
from small import small_model
from small_data import ENCODER, TALL, WIDE, write_items
from small_fittings import draw_fittings
from sources import ROOT
from tutorial_dataset import MyDataset
from tutorial_tryon_dataset import TryonDataset

TWO = "- {map: 0_map.png, prompt: a red top, seed: 3}\n- {map: 1_map.png}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_items(tmp_path_factory.mktemp("data"), [WIDE, TALL, WIDE, WIDE], split="train")


def listed(folder, text):
    """The options of a run with samples of this yaml, which lies beside its maps."""
    path = folder / "samples.yaml"
    path.write_text(text)
    return TrainOptions(samples=str(path), sampling_steps=2)


def test_they_are_drawn_every_so_many_steps_and_stand_in_the_report(base, folder, tmp_path):
    samples = listed(folder, TWO).samples
    run, model = tmp_path / "run", str(base / "small.yaml")
    settings = dict(run=str(run), data=str(folder), model=model, base=str(base / "ini.safetensors"))
    settings |= dict(batch_size=1, workers=0, precision="32-true", image_log_every=0, sampling_steps=2)
    settings |= dict(samples=samples, samples_every=2, max_steps=3)
    data = MyDataset(folder, "train")
    train(TrainOptions(**settings), data, encoder=ENCODER)
    drawn = sorted(path.name for path in (run / "own_samples").iterdir())
    assert drawn == ["given.json", "map.png", "step_000002.png", "step_000003.png"]
    assert "Own samples" in (run / "report.html").read_text()
    train(TrainOptions(**settings | dict(max_steps=4)), data, encoder=ENCODER)
    assert (run / "own_samples" / "step_000004.png").exists()


def test_a_sample_is_what_the_same_settings_draw_elsewhere(folder):
    own, model = OwnMaps(listed(folder, TWO), ENCODER), small_model(zeros=False)
    hint = np.asarray(Image.open(folder / "0_map.png").convert("RGB"), np.float32) / 255
    settings = Settings(prompt="a red top", seed=3, steps=2, sampler="dpmpp_2m")
    assert np.array_equal(own.draw(model, 0), generate(model, hint, settings)[0])
    assert own.draw(model, 1).shape == (*TALL, 3)


@pytest.mark.parametrize(
    "text, message",
    [
        ("map: 0_map.png", "must hold a list of samples"),
        ("- 0_map.png", "sample 1: wanted map, prompt, negative, seed, got '0_map.png'"),
        ("- {prompt: a hat}", "sample 1: it lacks map"),
        ("- {map: 0_map.png, promt: a hat}", "sample 1: unknown key 'promt', did you mean 'prompt'"),
        ("- {map: 0_map.png, seed: many}", "sample 1: seed must be of type int, got 'many'"),
        ("- {map: 0_map.png}\n- {map: 9_map.png}", "sample 2: 9_map.png is no file of"),
        ("- {map: 0.png}", r"sample 1: 0.png: \d+ of \d+ pixels are off the palette"),
        ("- {map: odd.png}", "sample 1: odd.png is 64 x 60, where multiples of 64 are wanted"),
    ],
)
def test_a_slip_names_the_sample_and_what_is_wanted(text, message, folder):
    Image.new("RGB", (60, 64)).save(folder / "odd.png")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        OwnMaps(listed(folder, text), ENCODER)


def test_a_yaml_that_is_not_there_is_named():
    with pytest.raises(FileNotFoundError, match="samples=none.yaml is no file"):
        OwnMaps(TrainOptions(samples="none.yaml"), ENCODER)


def test_people_try_on_what_the_yaml_says(tmp_path):
    data = draw_fittings(tmp_path, 3, 1)
    names = [line["name"] for line in TryonDataset(data).data]
    settings = listed(data, f"- {{person: {names[0]}, garment: {names[3]}, seed: 5}}\n")
    own = OwnFittings(settings, TryonDataset(data, "train"))
    (person, garment), items = (own.given()[name][0] for name in ("person", "garment")), TryonDataset(data)
    assert np.abs(person / 127.5 - 1 - items[0]["jpg"]).max() < 0.01
    assert np.array_equal(garment, items[3]["garment_pixels"])
    wrong = listed(data, f"- {{person: {names[0]}, garment: {names[0]}x}}")
    with pytest.raises(ValueError, match=f"unknown name of .*sample 1: '{names[0]}x', did you mean"):
        OwnFittings(wrong, SimpleNamespace(folder=data))
    recipe, graft = str(ROOT / "models/tryon_tiny_locked.yaml"), tmp_path / "ini.safetensors"
    add_control(ROOT / "models/tiny/base.safetensors", str(graft), recipe)
    settings = dict(run=str(tmp_path / "run"), data=str(data), model=recipe, base=str(graft), workers=0)
    settings |= dict(max_steps=1, batch_size=1, precision="32-true", image_log_every=0, sampling_steps=1)
    samples = listed(data, f"- {{person: {names[0]}, garment: {names[3]}, seed: 5}}\n").samples
    train(TrainOptions(**settings, samples=samples), TryonDataset(data, "train"))
    drawn = Image.open(tmp_path / "run" / "own_samples" / "step_000001.png")
    assert drawn.size == (96, 128) and np.asarray(drawn).std() > 0
