"""The original's DDIM interface over the samplers of ldm."""

from functools import partial

import numpy as np
import torch
from torch.nn.functional import dropout

from cldm.denoisers import guided_denoiser, keeping_denoiser
from ldm.models.diffusion.samplers import ddim, ddim_inversion, ddim_step, exact_alphas, noise_levels
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
        alphas_cumprod = exact_alphas(self.model.alphas_cumprod).numpy()
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


class DDIMSampler(DDIMEncoding):
    """Draws from a LatentDiffusion or ControlLDM. Methods and arguments are the original's, in its order.

    conditioning, cond, c: condition dict, as `get_input` gives it.
    unconditional_guidance_scale: other than 1, leads away from `unconditional_conditioning`, a condition dict
        of the same or of another structure; `ucg_schedule` replaces it with a scale per step, noisiest first.
    temperature, noise_dropout: factor on the noise of each step, share of it that is dropped; for eta > 0.
    use_original_steps: take all the timesteps of the model, not those that `make_schedule` has chosen.
    callback: called with each step's index; `img_callback` with (pred_x0, index).

    What needs parts that Stable Diffusion does not have is refused by name, unless left at its default.
    """

    @torch.no_grad()
    def sample(
        self,
        S,
        batch_size,
        shape,
        conditioning=None,
        callback=None,
        normals_sequence=None,
        img_callback=None,
        quantize_x0=False,
        eta=0.0,
        mask=None,
        x0=None,
        temperature=1.0,
        noise_dropout=0.0,
        score_corrector=None,
        corrector_kwargs=None,
        verbose=True,
        x_T=None,
        log_every_t=100,
        unconditional_guidance_scale=1.0,
        unconditional_conditioning=None,
        dynamic_threshold=None,
        ucg_schedule=None,
    ):
        """`ddim_sampling` of latents (batch_size, *shape), `shape` being (c, h, w), in exactly S steps."""
        _refuse(normals_sequence=normals_sequence, quantize_x0=quantize_x0)
        self.make_schedule(S, self.model.timestep_spacing, eta, verbose)
        start = (x_T, False, callback, None, False, mask, x0, img_callback, log_every_t)
        noise = (temperature, noise_dropout, score_corrector, corrector_kwargs)
        guidance = (unconditional_guidance_scale, unconditional_conditioning, dynamic_threshold, ucg_schedule)
        return self.ddim_sampling(conditioning, (batch_size, *shape), *start, *noise, *guidance)

    @torch.no_grad()
    def ddim_sampling(
        self,
        cond,
        shape,
        x_T=None,
        ddim_use_original_steps=False,
        callback=None,
        timesteps=None,
        quantize_denoised=False,
        mask=None,
        x0=None,
        img_callback=None,
        log_every_t=100,
        temperature=1.0,
        noise_dropout=0.0,
        score_corrector=None,
        corrector_kwargs=None,
        unconditional_guidance_scale=1.0,
        unconditional_conditioning=None,
        dynamic_threshold=None,
        ucg_schedule=None,
    ):
        """Latents of `shape` (b, c, h, w), and {"x_inter": [...], "pred_x0": [...]} on the way to them.

        From the noise `x_T`, drawn when None, over all steps or the lowest `timesteps` of them. Where `mask`
        (b, 1, h, w) is 1, the latents `x0` are kept. The intermediates are the start, the first step, and
        one every `log_every_t` steps, counted from the last.
        """
        _refuse(quantize_denoised=quantize_denoised, dynamic_threshold=dynamic_threshold)
        _refuse(score_corrector=score_corrector, corrector_kwargs=corrector_kwargs)
        steps = self._steps(ddim_use_original_steps, timesteps)
        x = torch.randn(shape, device=self.model.device) if x_T is None else x_T
        scales = [unconditional_guidance_scale] * len(steps) if ucg_schedule is None else ucg_schedule
        denoise = self._scheduled(cond, unconditional_conditioning, steps, scales)
        denoise = keeping_denoiser(denoise, self.model, mask, x0)
        inter, report = _intermediates(x, len(steps), log_every_t, callback, img_callback)
        randn = partial(_randn, temperature=temperature, noise_dropout=noise_dropout)
        return ddim(denoise, x, self.model.alphas_cumprod, steps, self.ddim_eta, randn, report), inter

    @torch.no_grad()
    def p_sample_ddim(
        self,
        x,
        c,
        t,
        index,
        repeat_noise=False,
        use_original_steps=False,
        quantize_denoised=False,
        temperature=1.0,
        noise_dropout=0.0,
        score_corrector=None,
        corrector_kwargs=None,
        unconditional_guidance_scale=1.0,
        unconditional_conditioning=None,
        dynamic_threshold=None,
    ):
        """(latents one step on, x_0) from latents `x` at timesteps `t` (b,), the schedule's `index`-th.

        With `repeat_noise` the whole batch gets the same noise.
        """
        _refuse(quantize_denoised=quantize_denoised, dynamic_threshold=dynamic_threshold)
        _refuse(score_corrector=score_corrector, corrector_kwargs=corrector_kwargs)
        denoise = self._guided(c, unconditional_conditioning, unconditional_guidance_scale)
        eps, x_0 = denoise(x, t[0])
        _, a, a_prev = noise_levels(self.model.alphas_cumprod, self._steps(use_original_steps))[index]
        randn = partial(_randn, repeat=repeat_noise, temperature=temperature, noise_dropout=noise_dropout)
        return ddim_step(eps, x_0, a, a_prev, self.ddim_eta, randn), x_0

    def _scheduled(self, cond, uncond, steps, scales):
        """The denoiser with the guidance scales of the steps, noisiest first."""
        if len(scales) != len(steps):
            raise ValueError(
                f"ucg_schedule must hold a scale for each of {len(steps)} steps, got {len(scales)}"
            )
        scale_at = dict(zip(reversed(steps), scales, strict=True))
        # one denoiser for all guided steps, one for all others, as each remembers what it has computed
        kinds = {scale != 1.0: scale for scale in scales}
        denoisers = {guided: self._guided(cond, uncond, scale) for guided, scale in kinds.items()}
        return lambda x, t: denoisers[scale_at[t] != 1.0](x, t, scale_at[t])


def _refuse(**given):
    for name, value in given.items():
        refuse_unless(value is None or value is False, name, value, "no part of Stable Diffusion uses it")


def _randn(like, repeat=False, temperature=1.0, noise_dropout=0.0):
    noise = torch.randn_like(like[:1]).expand_as(like) if repeat else torch.randn_like(like)
    return dropout(temperature * noise, noise_dropout)


def _intermediates(x, num_steps, log_every_t, callback, img_callback):
    """The dict of intermediates, and the sampler's callback that fills it and calls the original's two."""
    kept = {"x_inter": [x], "pred_x0": [x]}

    def report(step):
        remaining = num_steps - 1 - step["i"]
        if remaining % log_every_t == 0 or step["i"] == 0:
            kept["x_inter"].append(step["x"])
            kept["pred_x0"].append(step["pred_x0"])
        if callback:
            callback(step["i"])
        if img_callback:
            img_callback(step["pred_x0"], step["i"])

    return kept, report
