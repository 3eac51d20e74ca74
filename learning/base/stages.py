"""A small base, stage by stage: autoencoder, decoder, then U-Net and text encoder on latents."""

import json
import time
from pathlib import Path

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import EMAWeightAveraging
from torch.utils.data import Dataset, TensorDataset

from ldm.checkpoint import write_state_dict
from ldm.models.diffusion.ddpm import LatentDiffusion
from learning.base.autoencoder import (
    AutoencoderTraining,
    DecoderTraining,
    fit,
    latent_moments,
    standardize_latents,
    warm_up_and_cosine,
)

NUM_HELD_OUT = 96  # pictures at the end, never trained on


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


class Latents(Dataset):
    """Items dict(moments, txt) from a list of moments (n, 2 c, h, w), whose parts share the n prompts."""

    def __init__(self, moments, prompts):
        self.moments, self.prompts = torch.cat(moments), prompts

    def __len__(self):
        return len(self.moments)

    def __getitem__(self, i):
        return dict(moments=self.moments[i], txt=self.prompts[i % len(self.prompts)])


class Watch(pl.Callback):
    """Every `every` steps, whether prompts are used, into base.jsonl of the folder.

    Losses on held-out latents at one timestep, with the right prompts, with prompts rotated by one, and with
    none: right below rotated shows that prompts are used, long before the eye sees it.
    """

    def __init__(self, folder, held_out, every=250, timesteps=(100, 300, 500, 700, 900, 990)):
        self.path, self.held_out = Path(folder) / "base.jsonl", held_out
        self.every, self.timesteps = every, timesteps
        self.start = time.monotonic()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step % self.every:
            return
        gaps = {t: prompt_gap(pl_module, self.held_out, t) for t in self.timesteps}
        row = dict(step=trainer.global_step, seconds=round(time.monotonic() - self.start), losses=gaps)
        print(row, flush=True)
        with open(self.path, "a") as file:
            file.write(json.dumps(row) + "\n")


@torch.no_grad()
def prompt_gap(model, batch, timestep, seed=0) -> dict[str, float]:
    """Losses at one timestep with the right prompts, with prompts rotated by one, and with none."""
    model.eval()
    x, cond = model.get_input(batch, model.first_stage_key, generator=torch.Generator().manual_seed(seed))
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed)).to(x)
    t = torch.full((len(x),), timestep, device=x.device)
    right = cond["c_crossattn"][0]
    empty = model.get_unconditional_conditioning(len(x))
    losses = [model.p_losses(x, dict(c_crossattn=[c]), t, noise)[0] for c in (right, right.roll(1, 0), empty)]
    model.train()
    return dict(zip(("right", "rotated", "none"), (round(float(loss), 4) for loss in losses), strict=True))


def base_of(config_path) -> BaseTraining:
    """The LatentDiffusion inside a ControlLDM's yaml, with fresh weights, its text encoder trainable."""
    params = OmegaConf.to_container(OmegaConf.load(config_path).model.params)
    for name in ("control_stage_config", "control_key", "only_mid_control"):
        del params[name]
    return BaseTraining(**params | dict(cond_stage_trainable=True))


def export(model, path, recipe: dict):
    """Write a base in SD1.5's layout: weights in fp16, the schedule's tables exact, recipe as metadata."""
    parts = ("model.", "first_stage_model.", "cond_stage_model.")
    state = {
        name: tensor.half() if name.startswith(parts) and tensor.is_floating_point() else tensor
        for name, tensor in model.state_dict().items()
    }
    write_state_dict(state, path, {"recipe": recipe}, overwrite=True)


def train_autoencoder(model, photos, work, num_steps):
    """The autoencoder of `model`, trained, and the moments of all photos and of their mirror images."""
    training = AutoencoderTraining(
        model.first_stage_model, learning_rate=2.5e-3, num_steps=num_steps, crop=64
    )
    training.preserve_variance()
    held_out = photos[-NUM_HELD_OUT:]
    fit(training, photos[:-NUM_HELD_OUT], work / "autoencoder", 32, num_steps, val_items=held_out)
    autoencoder = training.autoencoder.eval()
    both = [latent_moments(autoencoder, pictures) for pictures in (photos, photos.flip(2))]
    return standardize_latents(autoencoder, both)


def train_decoder(model, photos, moments, work, num_steps):
    """The decoder of `model`, trained on for latents as sampling gives them."""
    items = TensorDataset(photos[:-NUM_HELD_OUT], moments[0][:-NUM_HELD_OUT])
    training = DecoderTraining(model.first_stage_model, learning_rate=1e-3, num_steps=num_steps)
    fit(training, items, work / "decoder", 16, num_steps)


def train_base(model, moments, captions, work, num_steps):
    """U-Net and text encoder of `model`, their weights averaged exponentially over the steps."""
    model.num_steps, model.learning_rate, model.prompt_dropout, model.seed = num_steps, 1.2e-3, 0.1, 0
    held_out = dict(moments=moments[0][-NUM_HELD_OUT:], txt=captions[-NUM_HELD_OUT:])
    items = Latents([m[:-NUM_HELD_OUT] for m in moments], captions[:-NUM_HELD_OUT])
    folder = work / "unet"
    fit(model, items, folder, 32, num_steps, [EMAWeightAveraging(decay=0.999), Watch(folder, held_out)])
