"""Samplers: pure functions of a denoiser.

A denoiser maps (x (b, c, h, w), timestep int) to (predicted noise, predicted x_0). A sampler takes it from
noise at the last of `timesteps` (ascending) to latents, calling `callback(dict(i=, t=, x=, pred_x0=))` after
each step.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch


def ddim(denoise, x, alphas_cumprod, timesteps, eta=0.0, randn=torch.randn_like, callback=None):
    """DDIM (arXiv 2010.02502, equation 12); `eta` 0 is deterministic, 1 is DDPM's variance.

    Args:
        x: noise (b, c, h, w) at timesteps[-1].
        alphas_cumprod: (T,), the whole schedule.
        timesteps: ascending indices (S,) into it.
        randn: draws noise shaped like its argument; called only if eta > 0.
    """
    for i, (t, a, a_prev) in enumerate(reversed(noise_levels(alphas_cumprod, timesteps))):
        eps, x0 = denoise(x, t)
        x = ddim_step(eps, x0, a, a_prev, eta, randn)
        _report(callback, i, t, x, x0)
    return x


def ddim_step(eps, x0, a, a_prev, eta=0.0, randn=torch.randn_like):
    """Predictions made at the level a -> latents at the level a_prev."""
    sigma = eta * ((1 - a_prev) / (1 - a) * (1 - a / a_prev)).sqrt()
    rest = (1 - a_prev - sigma**2).clamp(min=0)  # 0 at a = 0 and eta = 1, rounding aside
    x = a_prev.sqrt() * x0 + rest.sqrt() * eps
    return x + sigma * randn(x) if eta else x


def ddim_inversion(denoise, x, alphas_cumprod, timesteps, callback=None):
    """DDIM without noise, run backwards: clean latents -> about the noise that `ddim` draws them from.

    Arguments as in `ddim`. Every step asks for the noise at its end, as the latents there are not known yet.
    """
    for i, (t, a, a_prev) in enumerate(noise_levels(alphas_cumprod, timesteps)):
        eps, _ = denoise(x, t)
        x0 = (x - (1 - a_prev).sqrt() * eps) / a_prev.sqrt()
        x = a.sqrt() * x0 + (1 - a).sqrt() * eps
        _report(callback, i, t, x, x0)
    return x


def dpmpp_2m(denoise, x, alphas_cumprod, timesteps, eta=0.0, randn=torch.randn_like, callback=None):
    """DPM-Solver++(2M) (arXiv 2211.01095, algorithm 2); its first and last step are of first order.

    Arguments as in `ddim`; the solver is deterministic, so any `eta` but 0 is refused.
    """
    if eta:
        raise ValueError(f"eta must be 0 with dpmpp_2m, a deterministic solver, got {eta}")
    last_x0 = last_h = None
    for i, (t, a, a_prev) in enumerate(reversed(noise_levels(alphas_cumprod, timesteps))):
        _, x0 = denoise(x, t)
        h = _log_snr(a_prev) - _log_snr(a)
        first_order = last_x0 is None or i == len(timesteps) - 1
        direction = x0 if first_order else x0 + h / (2 * last_h) * (x0 - last_x0)
        x = ((1 - a_prev) / (1 - a)).sqrt() * x - a_prev.sqrt() * torch.expm1(-h) * direction
        last_x0, last_h = x0, h
        _report(callback, i, t, x, x0)
    return x


def unipc(denoise, x, alphas_cumprod, timesteps, eta=0.0, randn=torch.randn_like, callback=None):
    """UniPC (arXiv 2302.04867) of order 2 on x_0, B(h) = e^h - 1; its first and last step are of order 1.

    Each prediction corrects the step that led to it, by no further call. Arguments as in `ddim`; the solver
    is deterministic, so any `eta` but 0 is refused.
    """
    if eta:
        raise ValueError(f"eta must be 0 with unipc, a deterministic solver, got {eta}")
    past, step = [], None
    for i, (t, a, a_next) in enumerate(reversed(noise_levels(alphas_cumprod, timesteps))):
        _, x0 = denoise(x, t)
        if step is not None:
            x = step(past, x0)
        past = [*past[-1:], (_log_snr(a.double()), x0)]
        order = 1 if i == len(timesteps) - 1 else len(past)
        step = partial(_unified_step, x, a.double(), a_next.double(), order)
        x = step(past)
        _report(callback, i, t, x, x0)
    return x


def _unified_step(x, a, a_next, order, past, x0_next=None):
    """Latents at the level a -> those at a_next; with the prediction there, corrected by it.

    past: [(log SNR / 2, x_0)] of the predictions so far, the last made at a.
    """
    (log_snr, x0), h = past[-1], _log_snr(a_next) - past[-1][0]
    b_h, direction = torch.expm1(-h), x0
    # the paper's b of the corrector, for the differences to the past and to the next prediction
    b_1, b_2 = _phi(2, -h) / b_h, 2 * _phi(3, -h) / b_h
    weight, rest = 0.5, 0.5
    if order == 2:
        r = (past[-2][0] - log_snr) / h
        if x0_next is not None:
            weight = (b_2 - b_1) / (r - 1)
            rest = b_1 - weight
        direction = direction + weight / r * (past[-2][1] - x0)
    if x0_next is not None:
        direction = direction + rest * (x0_next - x0)
    return ((1 - a_next) / (1 - a)).sqrt() * x - a_next.sqrt() * b_h * direction


def _phi(k, h):
    """h phi_k(h): (e^h - 1) for k = 1, then each (the one before) / h - 1 / (k - 1)!."""
    value, factorial = torch.expm1(h), 1
    for i in range(1, k):
        value, factorial = value / h - 1 / factorial, factorial * (i + 1)
    return value


class Sampler(NamedTuple):
    """`run` has the arguments of `ddim`; `title` is what the texts in AUTOMATIC1111's pictures call it."""

    run: Callable
    title: str


# by the name that settings and options have; another one is a row here, and everything else follows
SAMPLERS = {
    "ddim": Sampler(ddim, "DDIM"),
    "dpmpp_2m": Sampler(dpmpp_2m, "DPM++ 2M"),
    "unipc": Sampler(unipc, "UniPC"),
}


def noise_levels(alphas_cumprod, timesteps):
    """[(t, a_t, a of the next lower timestep)], ascending; below the lowest comes index 0, then a = 1.

    The levels are numbers of fp32 on the CPU, which act on tensors of any device without it being waited for.
    """
    alphas, levels = exact_alphas(alphas_cumprod), []
    a_prev = alphas[0] if 0 not in timesteps else torch.ones_like(alphas[0])
    for t in map(int, timesteps):
        levels.append((t, alphas[t].float(), a_prev.float()))
        a_prev = alphas[t]
    return levels


def exact_alphas(alphas_cumprod):
    """A schedule (T,) in float64, on the CPU: a Mac's GPU knows no such numbers."""
    return alphas_cumprod.cpu().double()


def _log_snr(a):
    return 0.5 * (torch.log(a) - torch.log1p(-a))


def _report(callback, i, t, x, x0):
    if callback:
        callback(dict(i=i, t=t, x=x, pred_x0=x0))
