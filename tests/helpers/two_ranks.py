"""A small run in the processes of torchrun, or in one, whose noise does not depend on which process draws it.

Each process would write into a folder of its own. Two processes: rank 1 meets a loss that is no number at its
second step and SIGTERM at its third.
"""

import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch

from cldm.cldm import ControlLDM
from jobs.ranks import gathered, part_of, world
from ldm.modules.diffusionmodules.model import DiagonalGaussianDistribution
from learning.callbacks.checkpoints import Checkpoints
from learning.callbacks.gradients import Gradients
from learning.options import TrainOptions
from learning.train import train
from small_data import ENCODER
from tutorial_dataset import MyDataset

BASE, DATA, HELD_OUT, OUT = map(Path, sys.argv[1:5])
ACCUMULATE, MAX_STEPS = map(int, sys.argv[5:])
RANK, TWO = int(os.environ.get("RANK", 0)), "RANK" in os.environ


def shared_step(self, batch, generator=None):
    x, cond = self.get_input(batch, self.first_stage_key)
    noise = torch.cos(torch.arange(x[0].numel()).float()).unflatten(0, x[0].shape).expand_as(x)
    return self.p_losses(x, cond, torch.full((len(x),), 500), noise=noise)


def before_step(self, trainer, model, optimizer, original=Gradients.on_before_optimizer_step):
    if not trainer.global_step:
        gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}
        torch.save(gradients, OUT / f"gradients_{RANK}.pt")
        if TWO:
            lists = [[*range(n)] for n in range(6)]
            torch.save([gathered(part_of(numbers)) == numbers for numbers in lists], OUT / f"parts_{RANK}.pt")
    original(self, trainer, model, optimizer)


def save_state(self, trainer, model, original=Checkpoints._save_state):
    torch.save(dict(model.control_model.state_dict()), OUT / f"weights_{RANK}_{trainer.global_step}.pt")
    original(self, trainer, model)


def training_step(self, batch, batch_idx, original=ControlLDM.training_step):
    loss = original(self, batch, batch_idx)
    if world() == (1, 2) and self.global_step == 2:
        os.kill(os.getpid(), signal.SIGTERM)
    return loss * torch.nan if world() == (1, 2) and self.global_step == 1 else loss


def judge(pictures):
    """Ids uint8 (n, H, W) of pictures (n, H, W, 3): a garment where one colour is the brightest."""
    return pictures.argmax(axis=-1).astype(np.uint8)


def main():
    DiagonalGaussianDistribution.sample = lambda self, generator=None: self.mean
    ControlLDM.shared_step, ControlLDM.training_step = shared_step, training_step
    Gradients.on_before_optimizer_step, Checkpoints._save_state = before_step, save_state
    given = dict(base=f"{BASE}/ini.safetensors", model=f"{BASE}/small.yaml", data=str(DATA), workers=0)
    given |= dict(precision="32-true", prompt_dropout=0.0, learning_rate=1e-3, gradient_clip=0.0)
    given |= dict(image_log_every=1, sampling_steps=1, checkpoint_every=1, measure_every=1, measure_maps=3)
    given |= dict(batch_size=2, accumulate=ACCUMULATE, max_steps=MAX_STEPS, run=f"{OUT}/run_{RANK}")
    train(TrainOptions(**given), MyDataset(DATA), MyDataset(HELD_OUT), ENCODER, judge)


if __name__ == "__main__":
    main()
