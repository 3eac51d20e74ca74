"""The original's DDIM interface over the samplers of ldm."""

import numpy as np
import torch

from ldm.models.diffusion.samplers import ddim
from ldm.modules.diffusionmodules.util import make_ddim_sampling_parameters, make_ddim_timesteps
from ldm.util import refuse_unless


def guided_denoiser(model, cond, uncond=None, scale=1.0):
    """A denoiser (x, timestep) -> (noise, x_0) of `model` under classifier-free guidance (arXiv 2207.12598).

    Both predictions come from one call on a doubled batch when the two conditions have the same structure,
    from two otherwise (guess mode controls only one of them). `scale` 1 or no `uncond` needs one prediction.
    """

    @torch.no_grad()
    def denoise(x, t):
        t = torch.full((len(x),), int(t), device=x.device, dtype=torch.long)
        if uncond is None or scale == 1.0:
            output = model.apply_model(x, t, cond)
        elif _same_structure(cond, uncond):
            both = {k: None if cond[k] is None else _doubled(uncond[k], cond[k]) for k in cond}
            base, conditional = model.apply_model(torch.cat([x, x]), torch.cat([t, t]), both).chunk(2)
            output = base + scale * (conditional - base)
        else:
            conditional, base = (model.apply_model(x, t, c) for c in (cond, uncond))
            output = base + scale * (conditional - base)
        return model.predictions(x, t, output.to(x.dtype))

    return denoise


def _same_structure(a, b):
    shapes = [{k: v and [tuple(x.shape) for x in v] for k, v in cond.items()} for cond in (a, b)]
    return shapes[0] == shapes[1]


def _doubled(a, b):
    return [torch.cat(pair) for pair in zip(a, b, strict=True)]


class DDIMSampler:
    """Draws from a LatentDiffusion or ControlLDM with its original signature; see `sample`."""

    def __init__(self, model, schedule="linear"):
        refuse_unless(schedule == "linear", "schedule", schedule, "the model brings its own schedule")
        self.model, self.ddpm_num_timesteps = model, model.num_timesteps

    def make_schedule(self, ddim_num_steps, ddim_discretize="uniform", ddim_eta=0.0, verbose=True):
        """Set ddim_timesteps and ddim_{alphas, alphas_prev, sigmas, sqrt_one_minus_alphas}, each (S,)."""
        total = self.ddpm_num_timesteps
        self.ddim_timesteps = make_ddim_timesteps(ddim_discretize, ddim_num_steps, total, verbose)
        alphas_cumprod = self.model.alphas_cumprod.double().cpu().numpy()
        self.ddim_sigmas, self.ddim_alphas, self.ddim_alphas_prev = make_ddim_sampling_parameters(
            alphas_cumprod, self.ddim_timesteps, ddim_eta, verbose
        )
        self.ddim_sqrt_one_minus_alphas = np.sqrt(1.0 - self.ddim_alphas)
        self.ddim_eta = ddim_eta

    @torch.no_grad()
    def sample(
        self,
        S,
        batch_size,
        shape,
        conditioning=None,
        callback=None,
        img_callback=None,
        eta=0.0,
        mask=None,
        x0=None,
        temperature=1.0,
        verbose=True,
        x_T=None,
        log_every_t=100,
        unconditional_guidance_scale=1.0,
        unconditional_conditioning=None,
    ):
        """(latents (batch_size, *shape), {"x_inter": [...], "pred_x0": [...]}) after exactly S steps.

        Args:
            shape: (c, h, w) of a latent.
            conditioning: condition dict, as `get_input` gives it.
            callback: called with each step's index; `img_callback` with (pred_x0, index).
            mask: (b, 1, h, w), 1 where the latents `x0` are to be kept, noised to each step's level.
            x_T: starting noise, drawn when None.
            log_every_t: every how many steps, counted from the last, the intermediates keep one; the starting
                noise and the first step are kept as well.
        """
        self.make_schedule(S, ddim_eta=eta, verbose=verbose)
        x = torch.randn((batch_size, *shape), device=self.model.device) if x_T is None else x_T
        denoise = guided_denoiser(
            self.model, conditioning, unconditional_conditioning, unconditional_guidance_scale
        )
        inter = {"x_inter": [x], "pred_x0": [x]}

        def report(step):
            remaining = S - 1 - step["i"]
            if remaining % log_every_t == 0 or remaining == S - 1:
                inter["x_inter"].append(step["x"])
                inter["pred_x0"].append(step["pred_x0"])
            if callback:
                callback(step["i"])
            if img_callback:
                img_callback(step["pred_x0"], step["i"])

        x = ddim(
            denoise if mask is None else self._keeping(denoise, mask, x0),
            x,
            self.model.alphas_cumprod,
            self.ddim_timesteps,
            eta=eta,
            randn=lambda like: temperature * torch.randn_like(like),
            callback=report,
        )
        return x, inter

    def _keeping(self, denoise, mask, x0):
        """The denoiser behind a step that first puts the noised `x0` where `mask` is 1 (inpainting)."""

        def kept(x, t):
            steps = torch.full((len(x),), int(t), device=x.device, dtype=torch.long)
            original = self.model.q_sample(x0, steps, torch.randn_like(x0))
            return denoise(original * mask + (1.0 - mask) * x, t)

        return kept
