"""What steers a picture: hints, each through a control branch, for some of the steps; several add up."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np
import torch
from einops import rearrange, repeat
from torch import nn


@dataclass(eq=False)
class Control:
    """A hint and how it acts.

    hint: float32 (H, W, c) in [0, 1], or (n, H, W, c) with one for each of n pictures.
    branch: the ControlNet that reads it, of the model's family and on its device; None for the model's own.
    strength: factor on its residuals, or a list of one for each, outermost first, the middle's last.
    start, end: shares of the steps that are run, between which it acts; in others nothing of it is computed.
    guess_mode: follow the hint even without a prompt: the picture without guidance isn't steered by it, and
        strength falls by 0.825 from residual to residual, from the middle outwards, as in the original.
    """

    hint: np.ndarray
    branch: nn.Module | None = None
    strength: float | Sequence[float] = 1.0
    start: float = 0.0
    end: float = 1.0
    guess_mode: bool = False

    def __post_init__(self):
        if np.ndim(self.hint) not in (3, 4):
            raise ValueError(f"a hint must be (H, W, c) or (n, H, W, c), got {np.shape(self.hint)}")
        several = isinstance(self.strength, Sequence) and not isinstance(self.strength, str)
        for factor in self.strength if several else [self.strength]:
            check_number("strength", factor, 0, 10)
        if not isinstance(self.guess_mode, bool):
            raise ValueError(f"guess_mode must be true or false, got {self.guess_mode!r:.60}")
        check_number("start", self.start, 0, 1)
        check_number("end", self.end, 0, 1)
        if self.start > self.end:
            raise ValueError(f"a control's start {self.start} lies behind its end {self.end}")

    @property
    def size(self) -> tuple[int, int]:
        return np.shape(self.hint)[-3:-1]

    def scales(self, num: int) -> list[float]:
        """A factor for each of a branch's residuals."""
        several = isinstance(self.strength, Sequence)
        factors = list(self.strength) if several else [self.strength] * num
        if len(factors) != num:
            raise ValueError(f"strength must be one number or {num}, one a residual, got {len(factors)}")
        return [f * 0.825 ** (num - 1 - i) for i, f in enumerate(factors)] if self.guess_mode else factors

    def steps(self, timesteps) -> set[int]:
        """Those of the ascending `timesteps`, which are run from the last on, at which it acts."""
        num = len(timesteps)
        return {
            int(t)
            for i, t in enumerate(reversed(timesteps))
            if self.start <= i / num and (i + 1) / num <= self.end
        }


@dataclass(eq=False)
class ActiveControl:
    """A control as a model takes it: tensors, on its device and in its dtype.

    `features` are the hint block's of `hint` (b, c, H, W), None where each call computes them; `steps` are
    the timesteps at which it acts; `scales` hold a factor for each residual.
    """

    branch: nn.Module
    hint: torch.Tensor
    features: torch.Tensor | None
    scales: list[float]
    steps: set[int] | None = None
    guess_mode: bool = False

    def residuals(self, x, t, context, only_mid_control=False):
        """Of latents (b, c, h, w): one for each skip, then the middle's; `only_mid_control`: that alone."""
        return self.scaled(self.branch(x, self.hint, t, context, only_mid_control, self.features))

    def scaled(self, residuals):
        """The branch's residuals, or the middle's alone, each by its factor."""
        scales = self.scales[-len(residuals) :]
        return [residual * scale for residual, scale in zip(residuals, scales, strict=True)]


def add_residuals(controls, x, t, context, only_mid_control=False):
    """The sum of what ActiveControls add to the U-Net's skips and middle; None where there are none."""
    total = None
    for control in controls:
        found = control.residuals(x, t, context, only_mid_control)
        total = found if total is None else [a + b for a, b in zip(total, found, strict=True)]
    return total


@torch.no_grad()
def prepare_controls(controls, model, num, timesteps, size) -> list[ActiveControl]:
    """Controls for `num` pictures of `size` (H, W); without those that add nothing at any of the timesteps.

    What depends on a hint alone is computed here, once a picture.
    """
    active, dtype = [], next(model.model.parameters()).dtype
    for control in controls:
        branch = control.branch or model.control_model
        hint = batched_hint(control.hint, num, branch.hint_channels, size)
        scales, steps = control.scales(len(branch.zero_convs) + 1), control.steps(timesteps)
        if steps and any(scales):
            hint = hint.to(model.device, dtype)
            features = branch.input_hint_block(hint)
            active.append(ActiveControl(branch, hint, features, scales, steps, control.guess_mode))
    return active


def batched_hint(hint, num, channels, size):
    """A hint (H, W, c), or one per picture (num, H, W, c) -> float32 tensor (num, c, H, W)."""
    hint = torch.from_numpy(np.ascontiguousarray(hint, dtype=np.float32))
    if hint.ndim not in (3, 4) or hint.shape[-1] != channels:
        raise ValueError(f"a hint must be (H, W, {channels}), got {tuple(hint.shape)}")
    if tuple(hint.shape[-3:-1]) != tuple(size):
        raise ValueError(f"hints and photos must be of one size, got {tuple(hint.shape[-3:-1])} and {size}")
    if hint.numel() and not 0 <= hint.min() <= hint.max() <= 1:
        raise ValueError(f"a hint must lie in [0, 1], got values from {hint.min():g} to {hint.max():g}")
    if hint.ndim == 3:
        return repeat(hint, "h w c -> b c h w", b=num)
    if len(hint) != num:
        raise ValueError(f"got {len(hint)} hints for {num} pictures")
    return rearrange(hint, "b h w c -> b c h w")


def check_number(name, value, low, high):
    """Raises ValueError for what is no number between `low` and `high`."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"{name} must be a number, got {value!r:.60}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be between {low} and {high}, got {value!s:.60}")
