"""A run that ends in any way goes on by the same command as if it had never been interrupted."""

import json
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from ldm.checkpoint import read_state_dict
from learning.callbacks.stopping import Stopping, explain_stops
from learning.verified_files import are_equal
from small_data import WIDE, write_base, write_items
from sources import ROOT


def test_a_second_ctrl_c_interrupts_at_once():
    stopping = Stopping()
    stopping.on_train_start(SimpleNamespace(received_sigterm=False), None)
    try:
        signal.raise_signal(signal.SIGINT)
        assert stopping.asked() == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        stopping.on_train_end(None, None)


@pytest.mark.parametrize(("raised", "code"), [(KeyboardInterrupt(), 130), (ValueError(), 3)])
def test_only_an_interruption_changes_the_exit_code(raised, code):
    with pytest.raises(SystemExit) as stop, explain_stops("runs/a"):
        try:
            raise raised
        except BaseException:
            sys.exit(1 if code == 130 else code)
    assert stop.value.code == code


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folder with runs whole and parts, and what the processes of tests/helpers/interrupted.py said."""
    base, data, runs = (tmp_path_factory.mktemp(name) for name in ("base", "data", "runs"))
    write_base(base)
    write_items(data, [WIDE] * 11)
    environment = os.environ | dict(PYTHONPATH=f"{ROOT}:{ROOT / 'tests' / 'helpers'}", OMP_NUM_THREADS="1")
    command = [sys.executable, ROOT / "tests" / "helpers" / "interrupted.py", base, data, runs]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    print(done.stdout, done.stderr)
    done.check_returncode()
    return runs, done.stdout + done.stderr


def test_every_end_has_its_exit_code_and_leaves_the_last_whole_checkpoint(runs):
    folder, said = runs
    assert json.loads((folder / "codes.json").read_text()) == [
        ["whole", 0, 7],
        ["killed", -signal.SIGKILL, 2],
        ["terminated", 143, 3],
        ["amid_a_file", -signal.SIGKILL, 3],
        ["between_files", -signal.SIGKILL, 3],
        ["full_disk", 1, 3],
        ["interrupted", 130, 5],
        ["bad_item", 1, 6],
        ["finished", 0, 7],
    ]
    assert "stopped by SIGTERM at step 3, which is saved; the same command resumes" in said
    assert "stopped by SIGINT at step 5, which is saved; the same command resumes" in said
    assert "could not be written" in said and "The former checkpoint is whole: make room" in said
    assert "the disk with the pictures is gone" in said


def test_all_that_a_run_goes_on_from_is_the_same_to_the_bit(runs):
    whole, parts = (torch.load(runs[0] / run / "last.ckpt", weights_only=True) for run in ("whole", "parts"))
    assert whole["callbacks"].keys() >= {"Averaging", "Gradients"} and whole["lr_schedulers"]
    differing = [name for name in whole if not are_equal(whole[name], parts.get(name))]
    assert not differing


def test_published_weights_are_the_same_and_nothing_unfinished_is_left(runs):
    whole, parts = (read_state_dict(runs[0] / run / "control.safetensors") for run in ("whole", "parts"))
    assert are_equal(whole, parts)
    assert not [path for path in (runs[0] / "parts").iterdir() if path.name.startswith(".")]


def test_losses_are_those_of_the_run_that_was_not_interrupted(runs):
    whole, parts = (
        [json.loads(line) for line in (runs[0] / f"{run}.losses").read_text().splitlines()]
        for run in ("whole", "parts")
    )
    assert len(whole) == 14 and len(parts) > len(whole)
    wanted = {(epoch, batch): loss for epoch, batch, loss in whole}
    assert {(epoch, batch) for epoch, batch, _ in parts} == wanted.keys()
    assert all(wanted[epoch, batch] == loss for epoch, batch, loss in parts)
