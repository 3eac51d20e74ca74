"""Training a small base from nothing, which SD1.5's users never need: its autoencoder, then its U-Net and text tower."""

import math

import pytorch_lightning as pl
import torch
from einops import rearrange
from torch import nn

from ldm.models.diffusion.ddpm import LatentDiffusion


def to_unit_range(images):
    """uint8 images (b, H, W, 3) -> float32 (b, 3, H, W) in [-1, 1]."""
    return rearrange(images, "b h w c -> b c h w").float() / 127.5 - 1.0


def psnr(a, b):
    """Peak signal-to-noise ratio in dB, per image (b,), of images in [-1, 1]."""
    return 10 * torch.log10(4.0 / (a.clamp(-1, 1) - b).square().mean(dim=(1, 2, 3)))


def warm_up_and_cosine(optimizer, num_steps, warm_up=100):
    """A step-wise learning rate: linear from 0 over `warm_up` steps, then half a cosine down to 1 %."""

    def factor(step):
        progress = min(1.0, step / num_steps)
        return min(1.0, (step + 1) / warm_up) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))

    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    return dict(optimizer=optimizer, lr_scheduler=dict(scheduler=scheduler, interval="step"))


class AutoencoderTraining(pl.LightningModule):
    """Trains an AutoencoderKL on uint8 images (b, H, W, 3).

    Loss: absolute error, half the absolute error of both image gradients, and a light KL (arXiv 2112.10752 without
    its discriminator). Convolutions start variance-preserving: from PyTorch's default start, training stalls.
    """

    def __init__(self, autoencoder, learning_rate, num_steps, crop, kl_weight=1e-4):
        super().__init__()
        self.autoencoder = autoencoder
        self.learning_rate, self.num_steps, self.crop, self.kl_weight = (
            learning_rate,
            num_steps,
            crop,
            kl_weight,
        )

    def preserve_variance(self):
        """Initialise every convolution so that its output has its input's variance."""
        for module in self.autoencoder.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
                nn.init.zeros_(module.bias)

    def training_step(self, images, batch_idx):
        x = self._random_crop(to_unit_range(images))
        reconstruction, posterior = self.autoencoder(x)
        error = reconstruction.float() - x
        gradients = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
        kl = posterior.kl().float().mean() / posterior.mean[0].numel()
        loss = error.abs().mean() + 0.5 * gradients + self.kl_weight * kl
        self.log_dict(dict(loss=loss.detach(), psnr=psnr(reconstruction.float(), x).mean()), prog_bar=True)
        return loss

    def _random_crop(self, x):
        """One window of `crop` pixels, the same over the batch, its corner drawn at random."""
        top, left = (int(torch.randint(0, side - self.crop + 1, ())) for side in x.shape[-2:])
        return x[..., top : top + self.crop, left : left + self.crop]

    def validation_step(self, images, batch_idx):
        x = to_unit_range(images)
        reconstruction = self.autoencoder.decode(self.autoencoder.encode(x).mode())
        self.log("val_psnr", psnr(reconstruction.float(), x).mean(), prog_bar=True, on_epoch=True)

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(
            self.autoencoder.parameters(), self.learning_rate, (0.9, 0.95), weight_decay=0.0
        )
        return warm_up_and_cosine(optimizer, self.num_steps)


def standardize_latents(autoencoder, moments):
    """Fold each latent channel's mean and deviation into the convolutions around it: then scale_factor is 1.

    `moments` (n, 2 c, h, w) of many pictures; they are brought to the new scale as well and returned.
    """
    mean, logvar = moments.chunk(2, dim=1)
    shift = mean.mean(dim=(0, 2, 3))
    scale = (mean.var(dim=(0, 2, 3)) + logvar.exp().mean(dim=(0, 2, 3))).sqrt()
    into, out = autoencoder.quant_conv, autoencoder.post_quant_conv
    c = autoencoder.embed_dim
    with torch.no_grad():
        into.bias[:c] = (into.bias[:c] - shift) / scale
        into.weight[:c] /= scale[:, None, None, None]
        into.bias[c:] -= 2 * scale.log()
        out.bias += torch.einsum("oi,i->o", out.weight[:, :, 0, 0], shift)
        out.weight *= scale[None, :, None, None]
    shift, scale = shift[:, None, None], scale[:, None, None]
    return torch.cat([(mean - shift) / scale, logvar - 2 * scale.log()], dim=1)


@torch.no_grad()
def latent_moments(autoencoder, images, batch_size=64):
    """uint8 images (n, H, W, 3) -> moments (n, 2 c, H/8, W/8) float32."""
    return torch.cat(
        [autoencoder.encode(to_unit_range(chunk)).parameters for chunk in images.split(batch_size)]
    )


class BaseTraining(LatentDiffusion):
    """LatentDiffusion that trains its U-Net together with its text encoder, on latents encoded beforehand.

    Half of the timesteps are drawn from the upper 60 %, where the prompt decides and not the noisy picture.
    """

    num_steps = 1

    def draw_timesteps(self, num, generator=None):
        uniform = super().draw_timesteps(num, generator)
        low = int(0.4 * self.num_timesteps)
        upper = torch.randint(low, self.num_timesteps, (num,), generator=generator, device=self.device)
        return torch.where(torch.rand(num, generator=generator, device=self.device) < 0.5, uniform, upper)

    def configure_optimizers(self):
        self.lock()
        parameters = [p for p in self.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(parameters, self.learning_rate, (0.9, 0.99), weight_decay=0.01)
        return warm_up_and_cosine(optimizer, self.num_steps, warm_up=200)


@torch.no_grad()
def prompt_gap(model, batch, timestep, seed=0):
    """Losses at one timestep with the right prompts, with prompts rotated by one, and with none.

    Right below rotated means that the prompt is used; the gap shows long before the eye sees it.
    """
    x, cond = model.get_input(batch, model.first_stage_key, generator=torch.Generator().manual_seed(seed))
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed)).to(x)
    t = torch.full((len(x),), timestep, device=x.device)
    right = cond["c_crossattn"][0]
    empty = model.get_unconditional_conditioning(len(x))
    losses = [model.p_losses(x, dict(c_crossattn=[c]), t, noise)[0] for c in (right, right.roll(1, 0), empty)]
    return dict(zip(("right", "rotated", "none"), (float(loss) for loss in losses), strict=True))
