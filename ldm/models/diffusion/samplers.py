"""Samplers: pure functions of a denoiser.

A denoiser maps (x (b, c, h, w), timestep int) to (predicted noise, predicted x_0). A sampler takes it from
noise at the last of `timesteps` (ascending) to latents, calling `callback(dict(i=, t=, x=, pred_x0=))` after
each step.
"""

import torch


def ddim(denoise, x, alphas_cumprod, timesteps, eta=0.0, randn=torch.randn_like, callback=None):
    """DDIM (arXiv 2010.02502, equation 12); `eta` 0 is deterministic, 1 is DDPM's variance.

    Args:
        x: noise (b, c, h, w) at timesteps[-1].
        alphas_cumprod: (T,), the whole schedule.
        timesteps: ascending indices (S,) into it.
        randn: draws noise shaped like its argument; called only if eta > 0.
    """
    for i, (t, a, a_prev) in enumerate(_descending(alphas_cumprod, timesteps)):
        eps, x0 = denoise(x, t)
        sigma = eta * ((1 - a_prev) / (1 - a) * (1 - a / a_prev)).sqrt()
        x = a_prev.sqrt() * x0 + (1 - a_prev - sigma**2).sqrt() * eps
        if eta:
            x = x + sigma * randn(x)
        _report(callback, i, t, x, x0)
    return x


def dpmpp_2m(denoise, x, alphas_cumprod, timesteps, eta=0.0, randn=torch.randn_like, callback=None):
    """DPM-Solver++(2M) (arXiv 2211.01095, algorithm 2); its first and last step are of first order.

    Arguments as in `ddim`; the solver is deterministic, so any `eta` but 0 is refused.
    """
    if eta:
        raise ValueError(f"eta must be 0 with dpmpp_2m, a deterministic solver, got {eta}")
    last_x0 = last_h = None
    for i, (t, a, a_prev) in enumerate(_descending(alphas_cumprod, timesteps)):
        _, x0 = denoise(x, t)
        h = _log_snr(a_prev) - _log_snr(a)
        first_order = last_x0 is None or i == len(timesteps) - 1
        direction = x0 if first_order else x0 + h / (2 * last_h) * (x0 - last_x0)
        x = ((1 - a_prev) / (1 - a)).sqrt() * x - a_prev.sqrt() * torch.expm1(-h) * direction
        last_x0, last_h = x0, h
        _report(callback, i, t, x, x0)
    return x


SAMPLERS = {"ddim": ddim, "dpmpp_2m": dpmpp_2m}


def _descending(alphas_cumprod, timesteps):
    """(t, a_t, a of the next lower timestep) from the noisiest on; below the lowest comes index 0."""
    alphas = alphas_cumprod.double()
    lower = [0, *timesteps[:-1]]
    for t, t_prev in zip(reversed(list(timesteps)), reversed(lower), strict=True):
        yield int(t), alphas[int(t)].float(), alphas[int(t_prev)].float()


def _log_snr(a):
    return 0.5 * (torch.log(a) - torch.log1p(-a))


def _report(callback, i, t, x, x0):
    if callback:
        callback(dict(i=i, t=t, x=x, pred_x0=x0))
