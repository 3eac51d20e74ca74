"""The one way to put a garment on a person: items of a dataset in, uint8 pictures out."""

from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from PIL import Image, ImageFilter
from torch.utils.data import default_collate

from cldm.guidance import Guidance
from cldm.tryon.conditions import check_choice, encode_pictures, shrink_mask
from cldm.tryon.model import tryon_denoiser
from cldm.tryon.record import REPAINTS
from generation.generate import to_uint8
from generation.inpainting import FACTOR
from ldm.models.diffusion.samplers import SAMPLERS
from ldm.modules.diffusionmodules.util import draw_rows, make_ddim_timesteps


@dataclass(frozen=True)
class FittingSettings:
    """How a garment is put on.

    guidance, repaint: None takes the model's own, which are its recipe's or its checkpoint's. repaint says
    what stays outside the mask: "none" leaves it to the model, "each_step" puts the person's latents back
    before every step, with the noise that the picture began with (OOTDiffusion), "paste" copies the photo's
    pixels at the end, "blend" does so behind a soft edge (CatVTON's evaluation). eta: of DDIM.
    """

    steps: int = 20
    sampler: str = "ddim"
    guidance: Guidance | None = None
    repaint: str | None = None
    eta: float = 0.0

    def __post_init__(self):
        check_choice("sampler", self.sampler, SAMPLERS)
        if self.repaint is not None:
            check_choice("repaint", self.repaint, REPAINTS)
        if not 1 <= self.steps <= 1000:
            raise ValueError(f"steps must be between 1 and 1000, got {self.steps}")


@torch.no_grad()
def put_on(model, items: list[dict], seeds: list[int], settings: FittingSettings | None = None) -> np.ndarray:
    """Pictures uint8 (n, H, W, 3) of persons in garments.

    Args:
        model: a TryonLDM, on any device.
        items: of TryonDataset, all of one size.
        seeds: one a picture, so that no picture depends on its batch.

    Raises:
        ValueError: not as many seeds as items.
    """
    settings = settings or FittingSettings()
    if len(seeds) != len(items):
        raise ValueError(f"a seed per picture is wanted, got {len(seeds)} for {len(items)} items")
    batch = default_collate(items)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def randn(shape):
        return draw_rows(shape, generators).to(model.device)

    height, width = items[0]["jpg"].shape[:2]
    shape = model.channels, height // FACTOR, width // FACTOR
    encoded = encode_batch(model, batch, generators)
    x = model.start_sampling(encoded, lambda: randn(shape))
    denoise = tryon_denoiser(model, encoded, settings.guidance)
    timesteps = make_ddim_timesteps(model.timestep_spacing, settings.steps, model.num_timesteps)
    known = mask = None
    repaint = model.repaint if settings.repaint is None else settings.repaint
    if repaint == "each_step":
        known = encode_pictures(model, batch["jpg"])
        mask = shrink_mask(batch["mask"].to(model.device), FACTOR)
        denoise = put_back(denoise, model, known, mask, x, timesteps[-1])
    latents = SAMPLERS[settings.sampler].run(
        denoise,
        x,
        model.alphas_cumprod,
        timesteps,
        eta=settings.eta,
        randn=lambda like: randn(like.shape[1:]),
    )
    latents = latents[:, :, : shape[1]]
    if known is not None:
        latents = (1 - mask) * known + mask * latents
    pictures = to_uint8(model.decode_first_stage(latents))
    if repaint in ("paste", "blend"):
        photos, masks = to_uint8(rearrange(batch["jpg"], "b h w c -> b c h w")), batch["mask"].numpy() > 0.5
        if repaint == "blend":
            return blend(pictures, photos, masks)
        pictures = np.where(masks, pictures, photos)
    return pictures


def blend(pictures, photos, masks):
    """Photos outside of masks bool (n, H, W, 1), whose edge a Gaussian of a 50th of the height makes soft."""
    deviation = photos.shape[1] // 50 // 2 * 2 + 1
    blur = ImageFilter.GaussianBlur(deviation)
    soft = np.stack([Image.fromarray(mask[..., 0].astype(np.uint8) * 255).filter(blur) for mask in masks])
    share = soft[..., None] / 255
    return (share * pictures + (1 - share) * photos).astype(np.uint8)


@torch.no_grad()
def reconstruct(model, pictures: np.ndarray) -> np.ndarray:
    """Pictures uint8 (n, H, W, 3) through a model's autoencoder: the nearest to them that it can draw."""
    latents = encode_pictures(model, torch.from_numpy(pictures).float() / 127.5 - 1)
    return to_uint8(model.decode_first_stage(latents))


def encode_batch(model, batch, generators) -> dict:
    """What each condition makes of a batch, by name; a generator a row draws what is sampled."""
    encoded = {}
    for name, condition in model.conditions.items():
        encoded[name] = condition.encode(model, batch, generator=generators)
    return encoded


def put_back(denoise, model, known, mask, noise, first: int):
    """`denoise` behind a step that puts the latents `known`, noised with `noise`, back where `mask` is 0.

    Not at the timestep `first`, where the latents are still noise all over.
    """

    def kept(x, t):
        if int(t) == first:
            return denoise(x, t)
        steps = torch.full((len(x),), int(t), device=x.device, dtype=torch.long)
        there = model.q_sample(known, steps, noise[:, :, : known.shape[2]])
        person = x[:, :, : known.shape[2]]
        return denoise(torch.cat([(1 - mask) * there + mask * person, x[:, :, known.shape[2] :]], dim=2), t)

    return kept
