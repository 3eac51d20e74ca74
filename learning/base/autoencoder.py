"""Training a small base from nothing, which users of SD1.5 never need: first its autoencoder.

`learning.base.stages` trains the U-Net and the text encoder afterwards, with the same `fit`.
"""

import math
from pathlib import Path

import pytorch_lightning as pl
import torch
from einops import rearrange
from torch import nn
from torch.nn.functional import avg_pool2d
from torch.utils.data import DataLoader

from ldm.modules.diffusionmodules.model import DiagonalGaussianDistribution
from learning.build import resolve_precision


def to_signed_range(images):
    """uint8 images (b, H, W, 3) -> float32 (b, 3, H, W) in [-1, 1]."""
    # contiguous: GroupNorm of few channels is dozens of times slower in the layout that rearranging leaves
    return rearrange(images, "b h w c -> b c h w").float().contiguous() / 127.5 - 1.0


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


def reconstruction_loss(reconstruction, x):
    """Mean absolute error of images (b, 3, H, W), plus half that of both gradients, plus half the squared."""
    error = reconstruction.float() - x
    gradients = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    return error.abs().mean() + 0.5 * gradients + 0.5 * error.square().mean()


def sharpness_loss(reconstruction, x, window=8):
    """How much less, or more, images (b, 3, H, W) change from pixel to pixel than they should, per window.

    Mean absolute difference of the root mean squares, over windows, of the images' Laplacians. Where an edge
    lies, the window tells only roughly: an edge that is drawn crisply, half a pixel beside its place, costs
    less than a blurred one, which the absolute error prefers.
    """

    def roughness(images):
        middle, beside = images[..., 1:-1, 1:-1], images[..., 1:-1, :-2] + images[..., 1:-1, 2:]
        laplacian = beside + images[..., :-2, 1:-1] + images[..., 2:, 1:-1] - 4 * middle
        # overlapping: no window's rim can be told from its middle
        return (avg_pool2d(laplacian.square(), window, window // 2) + 1e-4).sqrt()

    return (roughness(reconstruction.float()) - roughness(x)).abs().mean()


class AutoencoderTraining(pl.LightningModule):
    """Trains an AutoencoderKL on uint8 images (b, H, W, 3).

    Loss: `reconstruction_loss` and a light KL (arXiv 2112.10752 without its discriminator). Convolutions that
    start from nothing do so variance-preserving: from PyTorch's default start, training stalls.
    """

    def __init__(self, autoencoder, learning_rate, num_steps, crop, kl_weight=1e-4):
        super().__init__()
        self.autoencoder = autoencoder.requires_grad_(True)  # inside a base it comes locked
        self.learning_rate, self.num_steps = learning_rate, num_steps
        self.crop, self.kl_weight = crop, kl_weight

    def preserve_variance(self):
        """Initialise every convolution so that its output has its input's variance."""
        for module in self.autoencoder.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
                nn.init.zeros_(module.bias)

    def training_step(self, images, batch_idx):
        x = self._random_crop(to_signed_range(images))
        reconstruction, posterior = self.autoencoder(x)
        kl = posterior.kl().float().mean() / posterior.mean[0].numel()
        loss = reconstruction_loss(reconstruction, x) + self.kl_weight * kl
        self.log_dict(dict(loss=loss.detach(), psnr=psnr(reconstruction.float(), x).mean()), prog_bar=True)
        return loss

    def _random_crop(self, x):
        """One window of `crop` pixels, the same over the batch, its corner drawn at random."""
        top, left = (int(torch.randint(0, side - self.crop + 1, ())) for side in x.shape[-2:])
        return x[..., top : top + self.crop, left : left + self.crop]

    def validation_step(self, images, batch_idx):
        x = to_signed_range(images)
        reconstruction = self.autoencoder.decode(self.autoencoder.encode(x).mode())
        self.log("val_psnr", psnr(reconstruction.float(), x).mean(), prog_bar=True, on_epoch=True)

    def configure_optimizers(self):
        parameters = [p for p in self.autoencoder.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(parameters, self.learning_rate, (0.9, 0.95), weight_decay=0.0)
        return warm_up_and_cosine(optimizer, self.num_steps)


class DecoderTraining(AutoencoderTraining):
    """Trains the decoder on, on (uint8 images (b, H, W, 3), their moments), the encoder fixed.

    Noise of a random strength up to `noise` of each latent channel's deviation `spread` (c,) teaches it to
    draw clean pictures from the slightly wrong latents that sampling gives, and `sharpness_loss` to draw what
    it is sure of crisply.
    """

    def __init__(self, autoencoder, learning_rate, num_steps, spread, noise=0.3, sharpness=0.5):
        super().__init__(autoencoder, learning_rate, num_steps, crop=None)
        self.noise, self.sharpness = noise, sharpness
        self.register_buffer("spread", spread[:, None, None], persistent=False)
        for part in (autoencoder.encoder, autoencoder.quant_conv):
            part.requires_grad_(False)

    def training_step(self, batch, batch_idx):
        x, posterior = to_signed_range(batch[0]), DiagonalGaussianDistribution(batch[1])
        strength = self.noise * torch.rand(len(x), device=x.device)[:, None, None, None] * self.spread
        latents = posterior.sample()
        reconstruction = self.autoencoder.decode(latents + strength * torch.randn_like(latents))
        loss = reconstruction_loss(reconstruction, x) + self.sharpness * sharpness_loss(reconstruction, x)
        self.log("loss", loss.detach(), prog_bar=True)
        return loss


def widen_latents(state, autoencoder, seed=0) -> dict:
    """Another autoencoder's tensors, of fewer latent channels, as those of `autoencoder`.

    They draw the same pictures: the decoder's weights on the new channels, which come last, are 0. The
    encoder fills these at random, so that the decoder's have a gradient.
    """
    own = autoencoder.state_dict()
    old, new = state["post_quant_conv.weight"].shape[0], autoencoder.embed_dim
    channels = torch.cat([torch.arange(old), new + torch.arange(old)])  # means, then log-variances
    generator = torch.Generator().manual_seed(seed)
    widened = {name: value.float() for name, value in state.items()}
    for name in ("encoder.conv_out", "quant_conv"):
        weight = torch.zeros_like(own[f"{name}.weight"])
        narrow = state[f"{name}.weight"].float()
        if name == "quant_conv":
            weight[channels[:, None], channels] = narrow
            weight[range(old, new), range(old, new), 0, 0] = 1.0
        else:
            fan_in = narrow[0].numel()
            weight[old:new] = torch.randn(weight[old:new].shape, generator=generator) / fan_in**0.5
            weight[channels] = narrow
        bias = torch.zeros_like(own[f"{name}.bias"])
        bias[new + old :] = -6.0 if name == "quant_conv" else 0.0  # a small deviation
        bias[channels] = state[f"{name}.bias"].float()
        widened |= {f"{name}.weight": weight, f"{name}.bias": bias}
    weight, bias = torch.eye(new)[:, :, None, None].clone(), torch.zeros(new)
    weight[:old, :old], bias[:old] = state["post_quant_conv.weight"], state["post_quant_conv.bias"]
    into = torch.zeros_like(own["decoder.conv_in.weight"])
    into[:, :old] = state["decoder.conv_in.weight"]
    return widened | {
        "post_quant_conv.weight": weight,
        "post_quant_conv.bias": bias,
        "decoder.conv_in.weight": into,
    }


def standardize_latents(autoencoder, moments):
    """Fold each latent channel's mean and deviation into the convolutions around it: then scale_factor is 1.

    `moments`, a list of (n, 2 c, h, w), come back on the new scale; the first tells mean and deviation.
    """
    mean, logvar = moments[0].chunk(2, dim=1)
    shift = mean.mean(dim=(0, 2, 3))
    scale = (mean.var(dim=(0, 2, 3)) + logvar.exp().mean(dim=(0, 2, 3))).sqrt()
    into, out, c = autoencoder.quant_conv, autoencoder.post_quant_conv, autoencoder.embed_dim
    with torch.no_grad():
        into.bias[:c] = (into.bias[:c] - shift) / scale
        into.weight[:c] /= scale[:, None, None, None]
        into.bias[c:] -= 2 * scale.log()
        out.bias += torch.einsum("oi,i->o", out.weight[:, :, 0, 0], shift)
        out.weight *= scale[None, :, None, None]
    factor = torch.cat([1 / scale, torch.ones_like(scale)])[:, None, None]
    offset = torch.cat([-shift / scale, -2 * scale.log()])[:, None, None]
    return [part * factor + offset for part in moments]


@torch.no_grad()
def find_sensitivities(autoencoder, images, strength=0.5, seed=0):
    """How much each latent channel counts (c,), mean 1: the pictures' squared change by noise in it.

    Args:
        images: uint8 (n, H, W, 3).
        strength: the noise's deviation.
    """
    latents = latent_moments(autoencoder, images).chunk(2, dim=1)[0]
    noise = strength * torch.randn(latents[:, 0].shape, generator=torch.Generator().manual_seed(seed))
    pictures, found = autoencoder.decode(latents), []
    for channel in range(latents.shape[1]):
        moved = latents.clone()
        moved[:, channel] += noise
        found.append((autoencoder.decode(moved) - pictures).square().mean())
    return torch.stack(found) / torch.stack(found).mean()


@torch.no_grad()
def weigh_latents(autoencoder, images, power=0.25):
    """Fold a deviation of (sensitivity / largest) ** power into the convolutions around each latent channel.

    Noise hides what counts little first, and the loss asks little for it; at one deviation for all, a base
    spends most of its effort on channels that nobody sees. The deviations come back, (c,).
    """
    found = find_sensitivities(autoencoder, images)
    deviations = (found / found.max()) ** power
    into, out, c = autoencoder.quant_conv, autoencoder.post_quant_conv, autoencoder.embed_dim
    into.weight[:c] *= deviations[:, None, None, None]
    into.bias[:c] *= deviations
    into.bias[c:] += 2 * deviations.log()
    out.weight /= deviations[None, :, None, None]
    return deviations


@torch.no_grad()
def latent_moments(autoencoder, images, batch_size=64):
    """uint8 images (n, H, W, 3) -> moments (n, 2 c, H/8, W/8) float32."""
    return torch.cat(
        [autoencoder.encode(to_signed_range(chunk)).parameters for chunk in images.split(batch_size)]
    )


def steps_done(folder) -> int:
    """The optimizer steps after which the folder's last.ckpt was saved; 0 if there is none."""
    last = Path(folder) / "last.ckpt"
    return (
        torch.load(last, map_location="cpu", mmap=True, weights_only=True)["global_step"]
        if last.exists()
        else 0
    )


def fit(module, items, folder, batch_size, num_steps, callbacks=(), val_items=None):
    """Run Lightning's Trainer for `num_steps`, saving last.ckpt in the folder often and resuming from it."""
    folder = Path(folder)
    saving = pl.callbacks.ModelCheckpoint(folder, save_last=True, every_n_train_steps=250)
    trainer = pl.Trainer(
        max_steps=num_steps,
        default_root_dir=folder,
        precision=resolve_precision("auto"),
        gradient_clip_val=1.0,
        callbacks=[*callbacks, saving],
        logger=pl.loggers.CSVLogger(folder),
        enable_model_summary=False,
        val_check_interval=250 if val_items is not None else None,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
    )
    held_out = None if val_items is None else DataLoader(val_items, batch_size)
    last = folder / "last.ckpt"
    whole = batch_size is None  # the items are batches
    loader = DataLoader(items, batch_size, shuffle=not whole, drop_last=not whole)
    trainer.fit(
        module.train(), loader, held_out, ckpt_path=last if last.exists() else None, weights_only=True
    )
