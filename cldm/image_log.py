"""What a ControlLDM shows of itself while it trains."""

import torch
from einops import rearrange

from cldm.ddim_hacked import DDIMSampler
from ldm.util import log_txt_as_img, refuse_unless

FIXED = "fixed_txt"  # key of items with the fixed version of their prompt


class ImageLog:
    """Gives a ControlLDM `sample_log` and `log_images`; names, order and defaults are the original's."""

    @torch.no_grad()
    def sample_log(self, cond, batch_size, ddim, ddim_steps, **sampler_options):
        """(samples, intermediates) as latents of the hint's size; the options are DDIMSampler.sample's."""
        refuse_unless(ddim, "ddim", ddim, "the image log samples by DDIM")
        h, w = (side // 8 for side in cond["c_concat"][0].shape[-2:])
        shape = (self.channels, h, w)
        return DDIMSampler(self).sample(ddim_steps, batch_size, shape, cond, verbose=False, **sampler_options)

    @torch.no_grad()
    def log_images(
        self,
        batch,
        N=4,
        n_row=2,
        sample=False,
        ddim_steps=50,
        ddim_eta=0.0,
        return_keys=None,
        quantize_denoised=True,
        inpaint=True,
        plot_denoise_rows=False,
        plot_progressive_rows=True,
        plot_diffusion_rows=False,
        unconditional_guidance_scale=9.0,
        unconditional_guidance_label=None,
        use_ema_scope=True,
        split="train",
    ):
        """Name -> images (n, 3, H, W) in [-1, 1] of the first `N` items; `control` is the hint in that range.

        Their prompts are the fixed ones, where the batch brings such.
        `sample` adds samples without guidance, `plot_denoise_rows` these and how the first `n_row` of them
        came about, `plot_diffusion_rows` how noise covers the first `n_row` images. As in the original,
        `inpaint`, `quantize_denoised`, `plot_progressive_rows`, `use_ema_scope`, `split` change nothing.
        """
        label, why = unconditional_guidance_label, "it has no effect"
        refuse_unless(return_keys is None, "return_keys", return_keys, why)
        refuse_unless(label is None, "unconditional_guidance_label", label, why)
        batch = {**batch, self.cond_stage_key: batch.get(FIXED, batch[self.cond_stage_key])}
        z, cond = self.get_input(batch, self.first_stage_key, bs=N)
        hint, scale = cond["c_concat"][0], unconditional_guidance_scale
        log = dict(reconstruction=self.decode_first_stage(z), control=hint * 2.0 - 1.0)
        log["conditioning"] = log_txt_as_img(hint.shape[:1:-1], batch[self.cond_stage_key][:N])
        if plot_diffusion_rows:
            log["diffusion_row"] = self._row(self._diffused(z[:n_row]))
        ddim = dict(batch_size=len(z), ddim=True, ddim_steps=ddim_steps, eta=ddim_eta)
        if sample or plot_denoise_rows:
            log |= self._samples(cond, ddim, n_row if plot_denoise_rows else 0)
        if scale > 1.0:
            log[f"samples_cfg_scale_{scale:.2f}"] = self._guided_samples(cond, ddim, scale)
        return log

    def _diffused(self, z):
        """Latents at every `log_every_t`-th timestep and the last, each with its own noise."""
        last = self.num_timesteps - 1
        steps = [*range(0, last, self.log_every_t), last]
        ts = [torch.full((len(z),), step, device=z.device) for step in steps]
        return [self.q_sample(z, t, torch.randn_like(z)) for t in ts]

    def _samples(self, cond, ddim, n_row):
        """Samples without guidance; with `n_row`, also the latents on the way to so many of them."""
        every = max(1, ddim["ddim_steps"] * self.log_every_t // self.num_timesteps)
        latents, kept = self.sample_log(cond, **ddim, log_every_t=every)
        row = {"denoise_row": self._row([x[:n_row] for x in kept["x_inter"]])} if n_row else {}
        return {"samples": self.decode_first_stage(latents)} | row

    def _guided_samples(self, cond, ddim, scale):
        uncond = {**cond, "c_crossattn": [self.get_unconditional_conditioning(ddim["batch_size"])]}
        guidance = dict(unconditional_guidance_scale=scale, unconditional_conditioning=uncond)
        return self.decode_first_stage(self.sample_log(cond, **ddim, **guidance)[0])

    def _row(self, steps):
        """Latents [(n, c, h, w)] of some steps -> one picture (1, 3, n H, steps W): a row per image."""
        images = torch.stack([self.decode_first_stage(z) for z in steps])
        return rearrange(images, "steps n c h w -> 1 c (n h) (steps w)")
