"""The implementations of one training step that bench_train.py compares, behind one face."""

import torch
from original_step import build_original
from rival_diffusers import DiffusersStep
from torch.nn.utils import clip_grad_norm_

from cldm.parts_present import STAGES
from learning.build import build_model

# name: (how it is built from TrainOptions, whether it recomputes)
WAYS = {
    "ours, cached": (lambda options: build_model(options, without=STAGES), False),
    "ours, uncached": (build_model, False),
    "diffusers": (DiffusersStep, False),
    "diffusers, recompute": (DiffusersStep, True),
    "original": (build_original, True),
}


class TrainingStep:
    """Calling it takes one step: forward, backward, clipping, optimizer; returns the loss.

    Gradients are dropped and norms clipped where the loops that these steps come from do it: Lightning clears
    them between forward and backward, diffusers' script zeroes them at the end, the original clips nothing.
    """

    def __init__(self, name, options, device):
        build, recompute = WAYS[name]
        options.recompute = recompute
        self.options, self.is_script = options, build is DiffusersStep
        self.model = build(options).to(device)
        self.clip = 0 if build is build_original else options.gradient_clip
        configured = self.model.configure_optimizers()
        alone = isinstance(configured, torch.optim.Optimizer)
        self.optimizer = configured if alone else configured["optimizer"]
        self.scheduler = None if alone else configured["lr_scheduler"]["scheduler"]
        self.autocast = options.precision == "bf16-mixed" and not self.is_script

    @property
    def trained(self) -> list:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def loss(self, batch, generator):
        device = self.trained[0].device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.autocast):
            return self.model.shared_step(batch, generator)[0]

    def __call__(self, batch, generator, lap=lambda name: None):
        """`lap(name)` is called at the end of each phase: encode, forward, backward, optimizer."""
        get_input = type(self.model).get_input

        def timed(*args, **kwargs):
            result = get_input(self.model, *args, **kwargs)
            lap("encode")
            return result

        self.model.get_input = timed
        loss = self.loss(batch, generator)
        lap("forward")
        if not self.is_script:
            self.optimizer.zero_grad()
        loss.backward()
        lap("backward")
        if self.clip:
            clip_grad_norm_(self.trained, self.clip)
        self.optimizer.step()
        if self.scheduler:
            self.scheduler.step()
        if self.is_script:
            self.optimizer.zero_grad(set_to_none=False)
        lap("optimizer")
        return float(loss.detach())
