"""Schedules, time embedding, norms and recompute checkpointing shared by every part of latent diffusion."""

import math

import numpy as np
import torch
import torch.utils.checkpoint
from einops import rearrange
from torch import nn

from jobs.devices import send


def make_beta_schedule(schedule, n_timestep, linear_start=1e-4, linear_end=2e-2):
    """Noise variances (n_timestep,) float64. "linear" means in sqrt(beta), as Stable Diffusion has it."""
    if schedule != "linear":
        raise ValueError(
            f"beta_schedule must be 'linear' (Stable Diffusion's, linear in sqrt(beta)), got {schedule!r}"
        )
    if not 0 < linear_start < linear_end < 1:
        raise ValueError(
            f"linear_start and linear_end must rise within 0..1, got {linear_start}, {linear_end}"
        )
    return np.linspace(linear_start**0.5, linear_end**0.5, n_timestep, dtype=np.float64) ** 2


def make_ddim_timesteps(ddim_discr_method, num_ddim_timesteps, num_ddpm_timesteps, verbose=False):
    """Exactly `num_ddim_timesteps` ascending timesteps out of `num_ddpm_timesteps`, int64.

    "uniform" starts at 1, as the schedule of the checkpoints does; only a walk over every timestep needs
    index 0 as well. "trailing" ends at the last timestep (arXiv 2305.08891, table 2).
    """
    S, T = num_ddim_timesteps, num_ddpm_timesteps
    if ddim_discr_method not in ("uniform", "trailing"):
        raise ValueError(f"ddim_discretize must be 'uniform' or 'trailing', got {ddim_discr_method!r}")
    if not 1 <= S <= T:
        raise ValueError(f"the number of sampling steps must be between 1 and {T}, got {S}")
    if ddim_discr_method == "trailing":
        steps = np.round(np.arange(1, S + 1) * T / S).astype(np.int64) - 1
    else:
        steps = np.arange(S) * T // S + (S < T)
    if verbose:
        print(f"Selected timesteps for DDIM: {steps}")
    return steps


def make_ddim_sampling_parameters(alphacums, ddim_timesteps, eta, verbose=False):
    """(sigmas, alphas, alphas_prev), each (S,), of DDIM equations 12 and 16 (arXiv 2010.02502)."""
    alphas = np.asarray(alphacums)[ddim_timesteps]
    alphas_prev = np.append(alphacums[0] if ddim_timesteps[0] else 1.0, alphas[:-1])
    sigmas = eta * np.sqrt((1 - alphas_prev) / (1 - alphas) * (1 - alphas / alphas_prev))
    if verbose:
        print(f"Selected alphas for DDIM: a_t: {alphas}; a_(t-1): {alphas_prev}; eta {eta}: sigma_t {sigmas}")
    return sigmas, alphas, alphas_prev


def extract_into_tensor(a, t, x_shape):
    """a[t] for timesteps (b,), shaped to broadcast over a tensor of `x_shape`."""
    return rearrange(a.gather(-1, t), f"b -> b {'1 ' * (len(x_shape) - 1)}")


def timestep_embedding(timesteps, dim, max_period=10000):
    """Sinusoidal embeddings (b, dim) of timesteps (b,), fractional or not; cosines first, padded if odd."""
    half = dim // 2
    freqs = torch.exp(
        -math.log(max_period) * torch.arange(half, dtype=torch.float32, device=timesteps.device) / half
    )
    args = timesteps[:, None].float() * freqs[None]
    return nn.functional.pad(torch.cat([torch.cos(args), torch.sin(args)], dim=-1), (0, dim % 2))


ROW_SEED = "row_seed"  # key of an item, and of the list of those of a batch


def row_generators(batch) -> list[torch.Generator] | None:
    """A random source for each row of a batch that brings their seeds, on the CPU; None where it brings none.

    What a row draws then depends neither on its batch nor on the device, nor on how many of these there are.
    """
    if ROW_SEED not in batch:
        return None
    return [torch.Generator().manual_seed(seed) for seed in batch[ROW_SEED]]


def draw_rows(shape, generators):
    """Normal noise (b, *shape) of which each row is drawn with its own generator."""
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators])


def draw_normal(like, generator=None):
    """Normal noise of the shape, dtype and device of `like` (b, ...).

    generator: one of that device, a list of the CPU's, one a row, or None for the global random source.
    """
    if isinstance(generator, list):
        return send(draw_rows(like.shape[1:], generator), like.device).to(like.dtype)
    return torch.randn(like.shape, generator=generator, device=like.device, dtype=like.dtype)


class GroupNorm32(nn.GroupNorm):
    """Group norm computed in fp32 at least, whatever the dtype of its input."""

    def forward(self, x):
        wide = torch.promote_types(x.dtype, torch.float32)
        weight, bias = self.weight.to(wide), self.bias.to(wide)
        return nn.functional.group_norm(x.to(wide), self.num_groups, weight, bias, self.eps).to(x.dtype)


def normalization(channels):
    return GroupNorm32(32, channels)


def zero_module(module):
    """Zero a module's parameters in place and return it."""
    for p in module.parameters():
        nn.init.zeros_(p)
    return module


def attend(q, k, v, is_causal=False, mask=None):
    """Softmax attention of queries (b, heads, n, d) over keys and values (b, heads, m, d).

    `mask`: bool, broadcast to (b, heads, n, m), False for keys that a query does not see.
    """
    attention = nn.functional.scaled_dot_product_attention
    if q.device.type == "cpu" and q.dtype == torch.bfloat16:
        # PyTorch's CPU kernel is up to eight times slower backward in bfloat16 than in fp32, and not faster
        with torch.autocast("cpu", enabled=False):
            return attention(q.float(), k.float(), v.float(), mask, is_causal=is_causal).bfloat16()
    return attention(q, k, v, mask, is_causal=is_causal)


def checkpoint(function, inputs, flag):
    """function(*inputs), recomputed in the backward pass instead of stored when `flag` is set."""
    if flag and torch.is_grad_enabled():
        return torch.utils.checkpoint.checkpoint(function, *inputs, use_reentrant=False)
    return function(*inputs)
