"""A step's gradient before the optimizer takes it: norm, clipping, and a guard against what is no number."""

import math

import pytorch_lightning as pl
import torch
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from jobs.ranks import from_all, say

NAMED_FILES = 8  # of a batch, in a message


class Gradients(pl.Callback):
    """Logs `grad_norm` and clips it to `gradient_clip`; skips steps whose loss or gradient is no number.

    A skipped step leaves weights and moments as they are; it is counted, and the run ends at the
    `max_bad_steps`-th. `pl_module.step_skipped` tells whoever averages or reports. With 16 bit and loss
    scaling, an infinite gradient of a finite loss is the scaler's way to its factor, and not counted until
    that has fallen below 1.

    At the first step: what trains must have a gradient, and what is locked none.
    """

    def __init__(self, options):
        self.options, self.bad_steps, self.checked, self.losses = options, 0, False, []

    def on_before_backward(self, trainer, pl_module, loss):
        self.losses.append((trainer.fit_loop.epoch_loop.batch_idx, loss.detach()))

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        trained = [p for group in optimizer.param_groups for p in group["params"]]
        if not self.checked:
            check_gradients(pl_module)
            self.checked = True
        gradients = [p.grad for p in trained if p.grad is not None]
        norm = get_total_norm(gradients)
        window, self.losses = self.losses, []
        # one transfer from the device for all that is asked here
        norm, *losses = torch.stack([norm.float(), *(loss.float() for _, loss in window)]).tolist()
        self.log("grad_norm", norm)
        # the gradient is the same for all processes, the loss is not
        bad = max(from_all(not all(map(math.isfinite, [norm, *losses]))))
        pl_module.step_skipped = bad
        if bad:
            batches = [(place, loss) for (place, _), loss in zip(window, losses, strict=True)]
            self._skip(trainer, pl_module, optimizer, batches)
        elif 0 < self.options.gradient_clip < norm:
            clip_grads_with_norm_(trained, self.options.gradient_clip, torch.tensor(norm))

    def _skip(self, trainer, pl_module, optimizer, batches):
        first = next((n for n, p in pl_module.named_parameters() if not is_finite(p.grad)), None)
        # without gradients the optimizer changes neither weights nor moments
        optimizer.zero_grad(set_to_none=True)
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        told = [told for part in from_all(name_bad_files(trainer, batches)) for told in part]
        finite = not any("the loss is" in line for line in told)
        if scaler and finite and scaler.get_scale() >= 1:
            return
        self.bad_steps += 1
        what = [f"the gradient of {first} is no number"] * bool(first) + told
        text = f"step {trainer.global_step + 1}: {'; '.join(what)}"
        if self.bad_steps >= self.options.max_bad_steps:
            raise ValueError(
                f"{text}. The run stops at max_bad_steps={self.options.max_bad_steps}, its last checkpoint "
                "is from before. Look at these files and mend or remove "
                f"them, or start another run=FOLDER with a learning_rate under {self.options.learning_rate:g}"
            )
        if trainer.is_global_zero:
            counted = f"{self.bad_steps} so far, max_bad_steps={self.options.max_bad_steps}"
            say(f"{text}. The step is skipped ({counted})")

    def state_dict(self):
        return dict(bad_steps=self.bad_steps)

    def load_state_dict(self, state):
        self.bad_steps = state["bad_steps"]


def is_finite(gradient) -> bool:
    return gradient is None or bool(gradient.isfinite().all())


def check_gradients(model):
    """Raise ValueError unless what trains has gradients and all else has none."""
    parameters = dict(model.named_parameters())
    lacking = [name for name, p in parameters.items() if p.requires_grad and p.grad is None]
    locked = [name for name, p in parameters.items() if not p.requires_grad and p.grad is not None]
    for names, problem in ((lacking, "trains but got no gradient"), (locked, "is locked but got a gradient")):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise ValueError(f"{names[0]}{more} {problem}: the model computes other than its lock says")


def name_bad_files(trainer, batches) -> list[str]:
    """What this process knows of (batch index, loss) of a bad step: the bad ones' files, or all files."""
    bad = [(place, loss) for place, loss in batches if not math.isfinite(loss)]
    told = []
    for place, loss in bad or batches:
        names = trainer.datamodule.names_at(place)
        listed = ", ".join(names[:NAMED_FILES]) + (", ..." if len(names) > NAMED_FILES else "")
        told.append(f"the loss is {loss} for {listed}" if (place, loss) in bad else f"it took {listed}")
    return told
