"""Validation loss and metrics.csv: the same numbers however a run is batched, shared or resumed."""

import csv
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ldm.checkpoint import read_metadata, read_state_dict
from learning.callbacks import training_log, validation
from learning.callbacks.validation import ValidationLoss
from learning.options import TrainOptions
from learning.takeover import Takeover
from learning.train import train
from reporting.tables import read_rows
from small import small_model
from small_data import ENCODER, TALL, WIDE, write_items
from small_tryon import REFERENCE, batch, build, garment
from tutorial_dataset import MyDataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_items(folder, [WIDE] * 8, split="train")
    return write_items(folder, [WIDE, TALL, WIDE, WIDE, TALL], start=8, split="val")


def measured(model, held_out, times=1, **changes):
    """The rows that so many measurements of one callback give."""
    plugin = SimpleNamespace(forward_context=nullcontext)
    trainer = SimpleNamespace(precision_plugin=plugin, callback_metrics={}, global_step=0)
    callback = ValidationLoss(held_out, TrainOptions(**changes))
    callback.prepare(trainer, model)
    rows = [callback.measure(trainer, model) for _ in range(times)]
    return [{name: float(value) for name, value in row.items()} for row in rows]


@pytest.fixture
def held_out(folder):
    return MyDataset(folder, "val")


def test_it_draws_the_same_every_time_and_leaves_the_model_as_it_was(held_out):
    model = small_model(zeros=False).train()
    state = torch.random.get_rng_state()
    first, second = measured(model, held_out, times=2)
    assert first == second and model.training and torch.equal(state, torch.random.get_rng_state())
    assert len([name for name in first if name.startswith("loss_")]) == 4
    assert first["loss"] == pytest.approx(
        np.mean([first[name] for name in first if "loss_" in name]), abs=2e-6
    )


def test_the_gap_is_zero_until_the_branch_does_something(held_out):
    assert measured(small_model(), held_out)[0]["gap"] == 0
    assert measured(small_model(zeros=False), held_out)[0]["gap"] != 0


def test_neither_chunks_nor_weights_of_timesteps_change_it(held_out, monkeypatch):
    model = small_model(zeros=False)
    wanted = measured(model, held_out)[0]
    model.min_snr_gamma = 5.0
    monkeypatch.setattr(validation, "MOST_AT_ONCE", 1)
    assert measured(model, held_out)[0] == pytest.approx(wanted, abs=2e-6)


def test_try_on_has_losses_on_both_sides_of_the_mask():
    """With the garment and without it: outside of it, too, as a fresh garment reaches every pixel."""
    guidance, rows = [[["garment"], -1], [[], 2]], batch()
    model = build(REFERENCE | dict(garment=garment()), guidance=guidance)
    (row,) = measured(model, [{key: value[0] for key, value in rows.items()}])
    assert row["inside"] > 0 and row["outside"] > 0
    assert row["inside"] != row["inside_without"] and row["outside"] != row["outside_without"]
    share = rows["mask"][0, ::8, ::8].mean().item()  # of the latents' places
    whole = share * row["inside"] + (1 - share) * row["outside"]
    assert row["loss"] == pytest.approx(whole, abs=1e-5)


def test_two_processes_get_what_one_gets(held_out, monkeypatch):
    model, parts = small_model(zeros=False), []
    wanted = measured(model, held_out)[0]
    for rank in (0, 1):
        monkeypatch.setattr(validation, "part_of", lambda items, rank=rank: list(items[rank::2]))
        monkeypatch.setattr(validation, "from_all", lambda part: parts.append(part) or [part])
        measured(model, held_out)
    (control, without), (control_2, without_2) = parts[:2], parts[2:]
    monkeypatch.setattr(validation, "part_of", lambda items: list(items[0::2]))
    pairs = iter([[control, control_2], [without, without_2]])
    monkeypatch.setattr(validation, "from_all", lambda part: next(pairs))
    assert measured(model, held_out)[0] == pytest.approx(wanted, abs=2e-6)


def test_without_control_is_measured_once_while_the_unet_is_locked(held_out, monkeypatch):
    model, calls = small_model(zeros=False), []
    kept = ValidationLoss._losses
    monkeypatch.setattr(
        ValidationLoss,
        "_losses",
        lambda self, m, control=True: calls.append(control) or kept(self, m, control),
    )
    measured(model, held_out, times=2)
    model.sd_locked = False
    measured(model, held_out, times=2)
    assert calls == [True, False, True] + [True, False, True, False]


def run(base, folder, where, **changes):
    settings = dict(run=str(where), data=str(folder), model=str(base / "small.yaml"), learning_rate=1e-3)
    settings |= dict(base=str(base / "ini.safetensors"), batch_size=2, accumulate=2, workers=0)
    settings |= dict(
        precision="32-true", image_log_every=0, checkpoint_every=1, measure_every=2, warmup_steps=3
    )
    options = TrainOptions(**settings | dict(max_steps=4) | changes)
    train(options, MyDataset(folder, "train"), MyDataset(folder, "val"), ENCODER)
    return read_rows(where / "metrics.csv"), read_rows(where / "validation.csv")


def test_a_resumed_run_has_one_table_equal_to_that_of_a_whole_run(base, folder, tmp_path):
    steps, losses = run(base, folder, tmp_path / "whole")
    run(base, folder, tmp_path / "parts", max_steps=3)
    with open(tmp_path / "parts" / "metrics.csv", "a") as file:
        file.write("4,16,9,9,9,9,9,0\n5,20,9")  # what a killed run had gone on with
    again, losses_again = run(base, folder, tmp_path / "parts")
    clocks = {"pictures_per_second", "data_wait"}
    assert [{k: v for k, v in row.items() if k not in clocks} for row in again] == [
        {k: v for k, v in row.items() if k not in clocks} for row in steps
    ]
    assert [row["step"] for row in steps] == ["1", "2", "3", "4"]
    # the last step of each run is measured
    assert [row for row in losses_again if row["step"] != "3"] == losses
    assert [row["pictures"] for row in steps] == ["4", "8", "12", "16"]
    assert [float(row["lr"]) for row in steps] == pytest.approx([1e-3 / 3, 2e-3 / 3, 1e-3, 1e-3])
    assert [row["step"] for row in losses] == ["0", "2", "4"] and float(losses[0]["gap"]) != 0
    assert all(float(row["grad_norm"]) > 0 and 0 <= float(row["data_wait"]) <= 1 for row in steps)
    assert b"Validation loss" in (tmp_path / "whole" / "report.html").read_bytes()


def test_a_run_goes_on_exactly_behind_its_switch_to_larger_steps(base, folder, tmp_path, monkeypatch):
    def told(run):
        return Takeover(0, 2, 0.0, 1.0, "it") if len(read_rows(Path(run) / "validation.csv")) > 1 else None

    monkeypatch.setattr("learning.callbacks.convergence.find_takeover_in", told)
    changes = dict(after_convergence="accumulate:4", batch_size=1)
    steps, _ = run(base, folder, tmp_path / "whole", max_steps=5, **changes)
    assert [row["pictures"] for row in steps] == ["2", "4", "8", "12", "16"]
    run(base, folder, tmp_path / "parts", max_steps=3, **changes)
    again, _ = run(base, folder, tmp_path / "parts", max_steps=5, **changes)
    assert [row["loss"] for row in again] == [row["loss"] for row in steps]
    whole, parts = (read_state_dict(tmp_path / name / "control.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert read_metadata(tmp_path / "parts" / "control.safetensors")["convergence"]["accumulate_from"] == 2


def test_a_table_keeps_a_loss_to_the_last_bit():
    loss = float(np.float32(0.1) * np.float32(1.7))
    text = training_log.format_row(dict(step=20000, pictures=12345678, loss=loss, lr=1e-5, data_wait=0.01234))
    assert np.float32(text["loss"]) == np.float32(loss)
    assert list(csv.reader([",".join(text.values())]))[0] == [
        "20000",
        "12345678",
        text["loss"],
        "1e-05",
        "0.0123",
    ]
