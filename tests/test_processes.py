"""Several processes that torchrun has started train as one run."""

import csv
import os
import subprocess
import sys

import pytest
import torch

from cldm.options import TrainOptions
from cldm.train import lightning_trainer
from ldm.checkpoint import read_state_dict
from small_data import TALL, WIDE, write_base, write_items
from sources import ROOT

SCRIPT = """import sys
from cldm.options import TrainOptions
from cldm.train import train
from tutorial_dataset import MyDataset

base, data, run, max_steps = sys.argv[1:]
model = dict(base=f"{base}/ini.safetensors", model=f"{base}/small.yaml", learning_rate=1e-3)
size = dict(batch_size=1, accumulate=2, num_workers=0, max_steps=int(max_steps), flip=True)
rest = dict(precision="32-true", image_log_every=1, checkpoint_every=1, sampling_steps=1)
train(TrainOptions(run=run, data=data, **model, **size, **rest), MyDataset(data))
"""


@pytest.mark.parametrize(("started", "nodes"), [(1, 1), (2, 1), (2, 4)])
def test_the_trainer_expects_the_processes_that_torchrun_started(monkeypatch, tmp_path, started, nodes):
    launched = dict(LOCAL_WORLD_SIZE=started, WORLD_SIZE=started * nodes, RANK=0, LOCAL_RANK=0)
    for name, value in launched.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(torch.distributed, "is_torchelastic_launched", lambda: True)
    given = {}
    monkeypatch.setattr("cldm.train.pl.Trainer", lambda **options: given.update(options))
    lightning_trainer(TrainOptions(run=str(tmp_path)), [])
    assert (given["devices"], given["num_nodes"]) == (started, nodes)


@pytest.mark.slow
def test_two_processes_are_one_run_that_resumes_exactly(tmp_path):
    base, data, script = tmp_path / "base", tmp_path / "data", tmp_path / "script.py"
    base.mkdir()
    data.mkdir()
    write_base(base)
    write_items(data, [WIDE, TALL] * 5)
    script.write_text(SCRIPT)
    environment = os.environ | dict(PYTHONPATH=f"{ROOT}:{ROOT / 'tests'}", OMP_NUM_THREADS="1")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    for run, steps in (("whole", 3), ("parts", 1), ("parts", 3)):
        command = [*launcher, script, base, data, tmp_path / run, str(steps)]
        subprocess.run(command, check=True, env=environment, cwd=ROOT)
    with open(tmp_path / "whole" / "metrics.csv") as file:
        assert len(list(csv.DictReader(file))) == 3
    whole, parts = (read_state_dict(tmp_path / run / "control.safetensors") for run in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
