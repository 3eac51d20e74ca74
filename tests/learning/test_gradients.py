"""Gradients before the optimizer: clipped by their norm; a step that is no number changes nothing."""

from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins import MixedPrecision

from learning.callbacks.gradients import Gradients, check_gradients
from learning.options import TrainOptions
from learning.train import train
from learning.verified_files import are_equal
from small_data import WIDE, write_base, write_items
from tutorial_dataset import MyDataset


class Pictures(MyDataset):
    """Items of a folder, of which number 3 is no picture."""

    def __getitem__(self, index):
        item = super().__getitem__(index)
        if index == 3:
            item["jpg"][5, 5] = torch.nan
        return item


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base, data = tmp_path_factory.mktemp("base"), tmp_path_factory.mktemp("data")
    return write_base(base), write_items(data, [WIDE] * 8)


def options(folders, run, **changes):
    base, data = folders
    given = dict(run=str(run), data=str(data), model=f"{base}/small.yaml", base=f"{base}/ini.safetensors")
    given |= dict(batch_size=2, accumulate=2, workers=0, precision="32-true", image_log_every=0)
    given |= dict(learning_rate=1e-3, checkpoint_every=1, ema_decay=0.9, max_steps=2)
    return TrainOptions(**given | changes)


def test_a_bad_step_names_its_file_changes_nothing_and_ends_the_run_when_there_are_too_many(
    folders, tmp_path, capsys
):
    # the two steps of an epoch see all 8 pictures, one of the steps number 3
    train(options(folders, tmp_path), Pictures(folders[1]))
    said = capsys.readouterr().out
    assert "the gradient of control_model." in said and "The step is skipped (1 so far" in said
    assert said.count("the loss is nan for ") == 1
    assert "3.png" in said.split("the loss is nan for ")[1].split(". The step")[0]
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert saved["callbacks"]["Gradients"] == dict(bad_steps=1)
    assert saved["callbacks"]["Averaging"]["updates"] == 1
    assert {int(moments["step"]) for moments in saved["optimizer_states"][0]["state"].values()} == {1}
    assert all(value.isfinite().all() for value in saved["state_dict"].values())
    with pytest.raises(
        ValueError, match="3.png.* stops at max_bad_steps=2, its last checkpoint is from before"
    ):
        train(options(folders, tmp_path, max_steps=4, max_bad_steps=2), Pictures(folders[1]))
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] in (2, 3)


def parts(norm=1.0, losses=(1.0,), scale=None, clip=0.0, **settings):
    """The callback before a step with a gradient of `norm`, and its hook's arguments."""
    model = torch.nn.Linear(2, 2)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    model.weight.grad[0] = torch.tensor([0.6 * norm, 0.8 * norm])
    scaler = None if scale is None else SimpleNamespace(get_scale=lambda: scale)
    trainer = SimpleNamespace(global_step=4, is_global_zero=True)
    trainer.precision_plugin = SimpleNamespace(scaler=scaler)
    trainer.fit_loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_idx=6))
    trainer.datamodule = SimpleNamespace(names_at=lambda place: [f"{place}.png"])
    callback = Gradients(TrainOptions(gradient_clip=clip, **settings))
    callback.log = lambda name, value: setattr(model, name, value)
    for loss in losses:
        callback.on_before_backward(trainer, model, torch.tensor(loss))
    return callback, trainer, model, torch.optim.AdamW(model.parameters())


@pytest.mark.parametrize("clip", [0.0, 2.0, 7.0])
def test_gradients_are_clipped_as_torch_does_and_only_above_the_norm(clip):
    callback, *hook = parts(norm=5.0, clip=clip)
    model = hook[1]
    wanted = [p.grad.clone() for p in model.parameters()]
    if 0 < clip < 5:
        copies = [torch.nn.Parameter(p.detach().clone()) for p in model.parameters()]
        for copy, gradient in zip(copies, wanted, strict=True):
            copy.grad = gradient
        torch.nn.utils.clip_grad_norm_(copies, clip)
    callback.on_before_optimizer_step(*hook)
    assert are_equal([p.grad for p in model.parameters()], wanted)
    assert model.grad_norm == pytest.approx(5.0) and not model.step_skipped


def test_an_infinite_gradient_of_finite_losses_names_all_files_of_the_step(capsys):
    callback, *hook = parts(norm=float("inf"), losses=(0.5, 0.25))
    callback.on_before_optimizer_step(*hook)
    assert hook[1].step_skipped and all(p.grad is None for p in hook[1].parameters())
    assert (
        "step 5: the gradient of weight is no number; it took 6.png; it took 6.png" in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("scale", "loss", "counted"), [(65536.0, 1.0, 0), (0.5, 1.0, 1), (65536.0, float("nan"), 1)]
)
def test_overflows_by_which_the_loss_scale_is_found_are_skipped_but_not_counted(scale, loss, counted):
    callback, *hook = parts(norm=float("inf"), losses=[loss], scale=scale)
    callback.on_before_optimizer_step(*hook)
    assert hook[1].step_skipped and callback.bad_steps == callback.state_dict()["bad_steps"] == counted


def test_what_trains_without_a_gradient_or_is_locked_with_one_is_named():
    model = torch.nn.Linear(2, 2)
    model.weight.grad, model.bias.grad = torch.zeros(2, 2), torch.zeros(2)
    check_gradients(model)
    model.bias.requires_grad_(False)
    with pytest.raises(ValueError, match="bias is locked but got a gradient"):
        check_gradients(model)
    model.bias.grad = model.weight.grad = None
    with pytest.raises(ValueError, match="weight trains but got no gradient"):
        check_gradients(model)


def test_loss_scaling_of_16_bit_goes_on_exactly(folders, tmp_path, monkeypatch):
    original = pl.Trainer

    def trainer(precision, plugins, **given):  # Lightning itself has 16 bit on GPUs alone
        return original(plugins=[*plugins, MixedPrecision(precision, "cpu")], **given)

    monkeypatch.setattr("learning.build.pl.Trainer", trainer)
    for run, stops in (("whole", [2]), ("parts", [1, 2])):
        for stop in stops:
            changes = dict(precision="16-mixed", accumulate=1, max_steps=stop)
            train(options(folders, tmp_path / run, **changes), MyDataset(folders[1]))
    whole, parts = (torch.load(tmp_path / run / "last.ckpt", weights_only=True) for run in ("whole", "parts"))
    assert whole["MixedPrecision"]["scale"] and not [n for n in whole if not are_equal(whole[n], parts[n])]
