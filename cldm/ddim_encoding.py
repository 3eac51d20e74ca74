"""The schedule of the original's DDIM interface, and the ways on it from latents to noise and back."""

import numpy as np
import torch

from cldm.denoisers import guided_denoiser
from ldm.models.diffusion.samplers import ddim, ddim_inversion
from ldm.modules.diffusionmodules.util import make_ddim_sampling_parameters, make_ddim_timesteps
from ldm.util import refuse_unless


class DDIMEncoding:
    """The part of `cldm.ddim_hacked.DDIMSampler` that starts from latents; its arguments are described there.

    Without a schedule there is nothing to walk on: `make_schedule` comes first.
    """

    ddim_eta = 0.0

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
    def encode(
        self,
        x0,
        c,
        t_enc,
        use_original_steps=False,
        return_intermediates=None,
        unconditional_guidance_scale=1.0,
        unconditional_conditioning=None,
        callback=None,
    ):
        """(latents `t_enc` steps up from the clean `x0`, dict), by DDIM run backwards: `decode` leads back.

        The dict repeats them as x_encoded; `return_intermediates` asks for about that many on the way.
        """
        steps, kept = self._steps(use_original_steps, t_enc), {}
        every = max(1, t_enc // (return_intermediates or 1))

        def report(step):
            if return_intermediates and (step["i"] % every == 0 or step["i"] >= t_enc - 2):
                kept[step["i"]] = step["x"]
            if callback:
                callback(step["i"])

        denoise = self._guided(c, unconditional_conditioning, unconditional_guidance_scale)
        x = ddim_inversion(denoise, x0, self.model.alphas_cumprod, steps, report)
        out = {"x_encoded": x, "intermediate_steps": list(kept)}
        return x, out | ({"intermediates": list(kept.values())} if return_intermediates else {})

    @torch.no_grad()
    def stochastic_encode(self, x0, t, use_original_steps=False, noise=None):
        """Latents `x0` noised to the `t`-th steps (b,) of the schedule, with `noise` or drawn noise."""
        steps = torch.as_tensor(self._steps(use_original_steps), device=t.device)[t]
        return self.model.q_sample(x0, steps, torch.randn_like(x0) if noise is None else noise)

    @torch.no_grad()
    def decode(
        self,
        x_latent,
        cond,
        t_start,
        unconditional_guidance_scale=1.0,
        unconditional_conditioning=None,
        use_original_steps=False,
        callback=None,
    ):
        """Clean latents from `x_latent`, by the lowest `t_start` steps of the schedule."""
        steps = self._steps(use_original_steps, t_start)
        denoise = self._guided(cond, unconditional_conditioning, unconditional_guidance_scale)
        report = callback and (lambda step: callback(step["i"]))
        return ddim(denoise, x_latent, self.model.alphas_cumprod, steps, self.ddim_eta, callback=report)

    def _steps(self, use_original_steps, num=None):
        """The timesteps of the schedule, ascending; only the lowest `num` if given."""
        steps = np.arange(self.ddpm_num_timesteps) if use_original_steps else self.ddim_timesteps
        if num is not None and not 0 <= num <= len(steps):
            raise ValueError(f"the schedule has {len(steps)} steps, {num} of them were asked for")
        return steps[:num]

    def _guided(self, cond, uncond, scale):
        why = "guidance needs unconditional_conditioning to lead away from"
        refuse_unless(uncond is not None or scale == 1.0, "unconditional_guidance_scale", scale, why)
        return guided_denoiser(self.model, cond, uncond, scale)
