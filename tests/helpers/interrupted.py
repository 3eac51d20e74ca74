"""A small run that is ended in many ways, each in a process of its own, and started again after each.

python tests/helpers/interrupted.py BASE DATA RUNS    # leaves RUNS/whole, never interrupted, and RUNS/parts
"""

import json
import os
import resource
import signal
import sys
from pathlib import Path

import torch
from torch.utils.data import get_worker_info

import learning.callbacks.checkpoints as checkpoints
import small  # noqa: F401, for its prompt encoder, which yamls of tests name
from cldm.cldm import ControlLDM
from learning.options import TrainOptions
from learning.train import train
from pictures.hint import HintEncoder
from pictures.regions import REGIONS_FILE
from tutorial_dataset import MyDataset

BASE, DATA, RUNS = map(Path, sys.argv[1:])
ENCODER = HintEncoder.from_file(REGIONS_FILE)
OPTIONS = dict(
    data=str(DATA), model=f"{BASE}/small.yaml", base=f"{BASE}/ini.safetensors", max_steps=7, batch_size=2
)
OPTIONS |= dict(accumulate=2, workers=2, flip=True, mask_dilation=3, mask_simplification=3)
OPTIONS |= dict(learning_rate=1e-3, warmup_steps=3, lr_schedule="cosine", ema_decay=0.9, hint_dropout=0.2)
OPTIONS |= dict(precision="32-true", checkpoint_every=2, image_log_every=0)


class Failing(MyDataset):
    def __getitem__(self, index):
        # not yet where maps are looked at before the first step, in the run's own process
        if index == self.bad and get_worker_info():
            raise OSError("the disk with the pictures is gone")
        return super().__getitem__(index)


def whole_group(signum):
    """As a terminal and many schedulers do: every process of the run gets the signal."""
    os.killpg(0, signum)


def at_batch(number, signum, send=lambda signum: os.kill(os.getpid(), signum)):
    """A signal while the given micro-batch of this start is computed."""
    original, count = ControlLDM.training_step, iter(range(1000))

    def training_step(self, batch, batch_idx):
        if next(count) == number:
            send(signum)
        return original(self, batch, batch_idx)

    ControlLDM.training_step = training_step


def killed_amid_last_ckpt():
    original = torch.save

    def save(content, path):
        original(content, path)
        os.truncate(path, os.path.getsize(path) // 2)
        os.kill(os.getpid(), signal.SIGKILL)

    torch.save = save


def killed_before_last_ckpt():
    def write_weights(*arguments):
        os.kill(os.getpid(), signal.SIGKILL)

    checkpoints.write_weights = write_weights


def full_disk():
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))


def log_losses(run):
    original = ControlLDM.training_step

    def training_step(self, batch, batch_idx):
        loss = original(self, batch, batch_idx)
        with open(RUNS / f"{run}.losses", "a") as file:
            file.write(json.dumps([self.current_epoch, batch_idx, loss.item()]) + "\n")
        return loss

    ControlLDM.training_step = training_step


def start(run, end=None, **changes):
    """The exit code of a run's process in which `end` is called first."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        os.setsid()
        dataset = Failing(DATA)
        dataset.bad = changes.pop("bad", None)
        log_losses(run)
        if end:
            end()
        train(TrainOptions(**OPTIONS | dict(run=f"{RUNS}/{run}") | changes), dataset, encoder=ENCODER)
        sys.exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def last_step(run):
    path = RUNS / run / "last.ckpt"
    return torch.load(path, weights_only=True, mmap=True)["global_step"] if path.exists() else 0


def main():
    codes = [("whole", start("whole"), last_step("whole"))]
    term, interrupt = signal.SIGTERM, signal.SIGINT
    ends = dict(
        killed=dict(end=lambda: at_batch(5, signal.SIGKILL)),  # amid step 3
        terminated=dict(end=lambda: at_batch(0, term, whole_group)),  # amid step 3 again
        amid_a_file=dict(end=killed_amid_last_ckpt),
        between_files=dict(end=killed_before_last_ckpt),
        full_disk=dict(end=full_disk),
        interrupted=dict(end=lambda: at_batch(2, interrupt, whole_group)),  # amid step 5
        bad_item=dict(bad=3),
        finished=dict(),
    )
    for name, arguments in ends.items():
        code = start("parts", **arguments)
        codes.append((name, code, last_step("parts")))
    (RUNS / "codes.json").write_text(json.dumps(codes))


if __name__ == "__main__":
    main()
