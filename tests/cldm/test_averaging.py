"""The average of what trains: its formula, where it is used, and that it outlives a stop."""

from types import SimpleNamespace

import pytest
import torch

from cldm.average import WeightAverage
from ldm.checkpoint import read_state_dict
from learning.callbacks.averaging import Averaging
from learning.options import TrainOptions
from learning.train import train
from small import small_model
from small_data import WIDE, write_base, write_items
from tutorial_dataset import MyDataset


@pytest.fixture
def model():
    return small_model(zeros=False).train()


def trained(model):
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


def shift(model, by):
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += by


def test_each_update_keeps_the_decay_or_less_at_the_start(model):
    average, wanted = WeightAverage(model, decay=0.3), trained(model)
    for kept in (2 / 11, 3 / 12, 0.3, 0.3):
        shift(model, 0.1)
        average.update()
        wanted = {name: kept * wanted[name] + (1 - kept) * p for name, p in trained(model).items()}
    for name, mean in average.state_dict()["shadow"].items():
        assert torch.allclose(mean, wanted[name], atol=1e-6)
    assert average.updates == 4


@pytest.mark.parametrize("locked", [True, False])
def test_all_that_trains_is_averaged_and_nothing_else(model, locked):
    model.sd_locked = locked
    names = WeightAverage(model, 0.9).state_dict()["shadow"].keys()
    assert names == trained(model).keys()
    parts = {name.split(".")[0] for name in names}
    assert parts == ({"control_model"} if locked else {"control_model", "model"})
    assert not any(name.startswith("model.diffusion_model.input_blocks") for name in names)


def test_the_average_is_lent_and_the_weights_come_back_to_the_bit(model):
    before = trained(model)
    with model.averaged():
        assert all(torch.equal(p, before[name]) for name, p in trained(model).items())
    model.average = WeightAverage(model, 0.9)
    shift(model, 0.25)
    after, mean = trained(model), model.average.state_dict()["shadow"]
    with pytest.raises(KeyError), model.averaged(), model.averaged():
        state = model.state_dict()
        assert all(torch.equal(state[name], mean[name]) for name in mean)
        raise KeyError
    assert all(torch.equal(p, after[name]) for name, p in trained(model).items())
    assert all(torch.equal(mean[name], before[name]) for name in mean)


def test_weights_in_16_bit_are_averaged_in_32(model):
    model.control_model.to(torch.bfloat16)
    model.average = WeightAverage(model, 0.999)
    shift(model, 0.5)
    model.average.update()
    assert all(mean.dtype == torch.float32 for mean in model.average.shadow)
    with model.averaged():
        assert all(p.dtype == torch.bfloat16 for p in model.control_model.parameters())


def test_a_step_counts_once_and_a_skipped_one_not_at_all(model):
    callback, trainer = Averaging(0.9), SimpleNamespace(global_step=5)
    callback.on_train_start(trainer, model)
    for step, skipped, updates in ((5, False, 0), (6, False, 1), (6, False, 1), (7, True, 1), (8, False, 2)):
        trainer.global_step, model.step_skipped = step, skipped
        callback.on_train_batch_end(trainer, model, None, None, 0)
        assert callback.average.updates == updates


def test_an_average_of_other_weights_is_refused(model):
    state = WeightAverage(model, 0.9).state_dict()
    model.sd_locked = False
    with pytest.raises(ValueError, match="of other weights"):
        WeightAverage(model, 0.9).load_state_dict(state)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_items(write_base(tmp_path_factory.mktemp("data")), [WIDE] * 8)


def run(folder, name, **changes):
    """A short run; what its last.ckpt says of weights and average, and what it published."""
    options = dict(run=str(folder / name), data=str(folder), ema_decay=0.5, max_steps=3, batch_size=2)
    options |= dict(model=str(folder / "small.yaml"), base=str(folder / "ini.safetensors"), workers=0)
    options |= dict(learning_rate=1e-2, precision="32-true", accumulate=2, image_log_every=0)
    options = TrainOptions(**options | changes)
    train(options, MyDataset(folder))
    state = torch.load(folder / name / "last.ckpt", weights_only=True)
    average = next((state for key, state in state["callbacks"].items() if "Averaging" in key), None)
    return state["state_dict"], average, read_state_dict(folder / name / "control.safetensors")


def test_the_average_is_published_and_survives_a_stop_exactly(folder):
    weights, average, published = run(folder, "whole")
    assert average["updates"] == 3
    assert published.keys() == average["shadow"].keys()
    assert all(torch.equal(mean, published[name]) for name, mean in average["shadow"].items())
    assert not all(torch.equal(weights[name], published[name]) for name in published)
    run(folder, "parts", max_steps=1)
    others = run(folder, "parts")
    assert others[1]["updates"] == 3
    for ours, theirs in ((weights, others[0]), (average["shadow"], others[1]["shadow"])):
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_averaging_leaves_training_as_it_is(folder):
    weights, average, published = run(folder, "plain", ema_decay=0.0)
    assert average is None
    averaged = run(folder, "averaged")[0]
    assert all(torch.equal(weights[name], averaged[name]) for name in weights)
    assert all(torch.equal(weights[name], published[name]) for name in published)
