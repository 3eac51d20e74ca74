"""A small base, stage by stage: autoencoder, decoder, then U-Net and text encoder on latents."""

import json
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import EMAWeightAveraging
from torch.nn.functional import pad
from torch.utils.data import TensorDataset

from cldm.model import read_config
from cldm.muon import Muon
from cldm.weights.graft_tryon import read_repainting
from ldm.checkpoint import read_state_dict, write_state_dict
from ldm.models.diffusion.ddpm import LatentDiffusion
from ldm.models.diffusion.encoded import draw_kept
from learning.base.autoencoder import (
    AutoencoderTraining,
    DecoderTraining,
    fit,
    latent_moments,
    standardize_latents,
    steps_done,
    weigh_latents,
    widen_latents,
)
from learning.base.groups import Batches

NUM_HELD_OUT = 96  # pictures at the end, never trained on
CONV_IN = "model.diffusion_model.input_blocks.0.0.weight"


class BaseTraining(LatentDiffusion):
    """LatentDiffusion that trains its U-Net together with its text encoder, on latents encoded beforehand.

    The U-Net has inputs for what is known of the picture, beside the noisy latents (b, c, h, w): the latents
    of the picture without the part to repaint, and the mask of that part, `known` (b, c + 1, h, w). Where
    nothing is known they are 0, so that the weights of the noisy channels alone are a text-to-image base.
    Half of the timesteps are drawn from the lower half, where faces and edges are learnt: what the prompt
    decides, above, is learnt sooner.
    """

    num_steps = 1

    def get_input(self, batch, k, bs=None, generator=None):
        z, cond = super().get_input(batch, k, bs, generator)
        known = batch.get("known")
        return z.contiguous(), cond if known is None else {**cond, "known": [known[:bs].to(z)]}

    def apply_model(self, x_noisy, t, cond):
        b, c, h, w = x_noisy.shape
        known = cond.get("known") or [x_noisy.new_zeros(b, c + 1, h, w)]
        return super().apply_model(torch.cat([x_noisy, *known], 1), t, cond)

    def draw_timesteps(self, num, generator=None):
        uniform = super().draw_timesteps(num, generator)
        lower = super().draw_timesteps(num, generator) // 2
        return torch.where(draw_kept(num, 0.5, generator).to(uniform.device), uniform, lower)

    def configure_optimizers(self):
        self.lock()
        groups = {True: [], False: []}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                at_the_rim = any(part in name for part in ("input_blocks.0.", ".out.", "embedding"))
                groups[parameter.ndim > 1 and not at_the_rim].append(parameter)
        groups = [dict(params=params, matrices=turned) for turned, params in groups.items()]
        optimizer = Muon(groups, self.learning_rate, betas=(0.9, 0.99))
        factor = partial(hold_and_fall, num_steps=self.num_steps)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return dict(optimizer=optimizer, lr_scheduler=dict(scheduler=scheduler, interval="step"))


def hold_and_fall(step, num_steps, warm_up=100, share=0.25):
    """A factor on the learning rate: it rises over `warm_up` steps, is 1, and falls over the last `share`.

    Until the fall, a run doesn't depend on how long it will be: it can be made longer.
    """
    return max(0.0, min(1.0, (step + 1) / warm_up, (num_steps - step) / (share * num_steps)))


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
    """The LatentDiffusion inside a ControlLDM's yaml, fresh, with the inputs that repainting needs."""
    params = OmegaConf.to_container(read_config(config_path).params)
    for name in ("control_stage_config", "control_key", "only_mid_control"):
        del params[name]
    params["unet_config"]["params"]["in_channels"] += params["channels"] + 1
    return BaseTraining(**params | dict(cond_stage_trainable=True))


def load_base(config_path, base, repainting=None) -> BaseTraining:
    """A shipped base, in `BaseTraining`'s form: with the inputs of `repainting`, or with zeros there."""
    model, state = base_of(config_path).eval(), read_state_dict(base)
    width = model.state_dict()[CONV_IN].shape[1]
    if repainting is not None:
        state |= read_state_dict(repainting)
    extra = width - state[CONV_IN].shape[1]
    state[CONV_IN] = pad(state[CONV_IN].float(), (0, 0, 0, 0, 0, extra))
    model.load_state_dict(state)
    return model


def start_from(model, base) -> list[str]:
    """Take U-Net and text encoder from a base file, but what has another shape; returns the names left out.

    What lies beside the file for repainting is taken, too. Worth it even from a base of other latents: its
    text encoder and inner blocks know how words bind.
    """
    found, own = read_state_dict(base), model.state_dict()
    repainting = read_repainting(found, base)
    if repainting is not None:
        found[CONV_IN] = repainting
    names = [name for name in own if name.startswith(("model.", "cond_stage_model."))]
    left = [name for name in names if name not in found or found[name].shape != own[name].shape]
    model.load_state_dict({name: found[name] for name in names if name not in left}, strict=False)
    return left


def export(model, path, recipe: dict):
    """Write a base in SD1.5's layout: weights in fp16, the schedule's tables exact, recipe as metadata.

    The first convolution is written for the noisy latents alone; beside the file, `repainting.safetensors`
    holds it with all its inputs, and nothing else: the two bases differ in nothing else. The inputs' order is
    that of cldm.weights.graft_tryon.REPAINTING.
    """
    parts = ("model.", "first_stage_model.", "cond_stage_model.")
    state = {
        name: tensor.half() if name.startswith(parts) and tensor.is_floating_point() else tensor
        for name, tensor in model.state_dict().items()
    }
    whole = state[CONV_IN]
    state[CONV_IN] = whole[:, : model.channels].clone()
    write_state_dict(state, path, {"recipe": recipe}, overwrite=True)
    write_state_dict(
        {CONV_IN: whole}, Path(path).with_name("repainting.safetensors"), {"recipe": recipe}, overwrite=True
    )


def start_autoencoder(model, base) -> bool:
    """Take the autoencoder of a base file, of as many or fewer latent channels; whether its layers fit."""
    prefix, autoencoder = "first_stage_model.", model.first_stage_model
    found = {name.removeprefix(prefix): t for name, t in read_state_dict(base).items() if prefix in name}
    narrow = found["post_quant_conv.weight"].shape[0]
    if narrow < autoencoder.embed_dim:
        found = widen_latents(found, autoencoder)
    own = autoencoder.state_dict()
    fits = found.keys() == own.keys() and all(found[name].shape == own[name].shape for name in own)
    if fits:
        autoencoder.load_state_dict(found)
    return fits


def train_autoencoder(model, photos, work, num_steps, start=None):
    """The autoencoder of `model`, trained on photos uint8 (n, H, W, 3), its latents standardised and weighed.

    It starts from that of the base file `start`, if there is one whose layers fit; without steps it stays so.
    """
    training = AutoencoderTraining(
        model.first_stage_model, learning_rate=1.5e-3, num_steps=num_steps, crop=64
    )
    if start is None or not start_autoencoder(model, start):
        training.preserve_variance()
    elif not num_steps:
        return
    held_out = photos[-NUM_HELD_OUT:]
    fit(training, photos[:-NUM_HELD_OUT], work / "autoencoder", 16, num_steps, val_items=held_out)
    autoencoder = training.autoencoder.eval()
    standardize_latents(autoencoder, [latent_moments(autoencoder, photos[:2000])])
    weigh_latents(autoencoder, photos[:64])


def train_decoder(model, photos, work, num_steps, share=0.45):
    """The decoder of `model`, trained on for latents as sampling gives them.

    Its weights come to lie `share` of the way from where it started to where training led: between the start,
    which is nearest to the pictures, and the end, which draws crisply, the mean loses little of either.
    """
    autoencoder = model.first_stage_model
    start = {name: tensor.clone() for name, tensor in autoencoder.state_dict().items()}
    if not num_steps:
        return
    moments = latent_moments(autoencoder, photos)
    spread = moments.chunk(2, dim=1)[0].std(dim=(0, 2, 3))
    training = DecoderTraining(autoencoder, learning_rate=1e-3, num_steps=num_steps, spread=spread)
    fit(training, TensorDataset(photos, moments), work / "decoder", 16, num_steps)
    end = autoencoder.state_dict()
    autoencoder.load_state_dict({name: torch.lerp(start[name], end[name], share) for name in end})


def train_base(model, groups, work, num_steps):
    """U-Net and text encoder of `model` on Groups, their weights averaged exponentially over the steps.

    The last pictures of the first group are held out.
    """
    model.num_steps, model.learning_rate, model.prompt_dropout = num_steps, 1.2e-3, 0.1
    dolls = groups[0]
    held_out = dict(moments=dolls.moments[-NUM_HELD_OUT:].float(), txt=dolls.prompts[-NUM_HELD_OUT:])
    groups = [replace(dolls, moments=dolls.moments[:-NUM_HELD_OUT]), *groups[1:]]
    folder = work / "unet"
    done = steps_done(folder)
    items = Batches(groups, batch_size=32, first=done)
    fit(model, items, folder, None, num_steps, [EMAWeightAveraging(decay=0.999), Watch(folder, held_out)])
