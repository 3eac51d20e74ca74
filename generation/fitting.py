"""The one way to put a garment on a person: items of a dataset in, uint8 pictures out."""

from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from PIL import Image, ImageFilter
from torch.utils.data import default_collate

from cldm.controls import check_number, prepare_controls
from cldm.guidance import Guidance
from cldm.tryon.conditions import check_choice, encode_pictures, shrink_mask
from cldm.tryon.model import tryon_denoiser
from cldm.tryon.record import REPAINTS
from generation.generate import to_uint8
from generation.inpainting import FACTOR
from ldm.models.diffusion.samplers import SAMPLERS
from ldm.modules.diffusionmodules.util import draw_rows, make_ddim_timesteps

NO_GUESS = (
    "guess mode is about a prediction without the prompt, of which try-on's guidance has none: leave it out"
)


@dataclass(frozen=True)
class FittingSettings:
    """How a garment is put on.

    guidance, repaint: None takes the model's own, which are its recipe's or its checkpoint's. repaint says
    what stays outside the mask: "none" leaves it to the model, "each_step" puts the person's latents back
    before every step, with the noise that the picture began with (OOTDiffusion), "paste" copies the photo's
    pixels at the end, "blend" does so behind a soft edge (CatVTON's evaluation). eta: of DDIM. strength: in
    (0, 1], the share of the steps that is run, those of the least noise, as Photo's denoise: below 1 the
    picture starts from the person's photo, and keeps some of what was worn.
    """

    steps: int = 20
    sampler: str = "ddim"
    guidance: Guidance | None = None
    repaint: str | None = None
    eta: float = 0.0
    strength: float = 1.0

    def __post_init__(self):
        check_choice("sampler", self.sampler, SAMPLERS)
        if self.repaint is not None:
            check_choice("repaint", self.repaint, REPAINTS)
        if not 1 <= self.steps <= 1000:
            raise ValueError(f"steps must be between 1 and 1000, got {self.steps}")
        check_number("eta", self.eta, 0, 1)
        check_number("strength", self.strength, 0, 1)
        if self.strength == 0:
            raise ValueError("strength must be above 0: at 0 the picture would be the photo")


@torch.no_grad()
def put_on(
    model,
    items: list[dict],
    seeds: list[int],
    settings: FittingSettings | None = None,
    callback=None,
    controls=(),
) -> np.ndarray:
    """Pictures uint8 (n, H, W, 3) of persons in garments.

    Args:
        model: a TryonLDM, on any device.
        items: of TryonDataset, all of one size.
        seeds: one a picture, so that no picture depends on its batch.
        callback: called after each step with dict(i=, t=, x=, pred_x0=), latents of the persons alone.
        controls: Controls beside the garment, each with a branch that was trained on the base of the model's
            person U-Net, such as a map of the silhouette; they read the items' prompts.

    Raises:
        ValueError: not as many seeds as items, or a control that can't act on them.
    """
    settings = settings or FittingSettings()
    check_controls(controls)
    if len(seeds) != len(items):
        raise ValueError(f"a seed per picture is wanted, got {len(seeds)} for {len(items)} items")
    common = set.intersection(*map(set, items))
    batch = default_collate([{key: item[key] for key in common} for item in items])
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def randn(shape):
        return draw_rows(shape, generators).to(model.device)

    height, width = items[0]["jpg"].shape[:2]
    shape = model.channels, height // FACTOR, width // FACTOR
    encoded = encode_batch(model, batch, generators)
    x = noise = model.start_sampling(encoded, lambda: randn(shape))
    timesteps = make_ddim_timesteps(model.timestep_spacing, settings.steps, model.num_timesteps)
    timesteps = timesteps[: max(1, round(settings.strength * len(timesteps)))]
    active = prepare_controls(controls, model, len(items), timesteps, (height, width))
    text = model.get_learned_conditioning(batch["txt"]) if active else None
    denoise = tryon_denoiser(model, encoded, settings.guidance, active, text, shape[1])
    known = mask = None
    if settings.strength < 1:
        x = start_from(model, encode_pictures(model, batch["jpg"]), encoded, x, timesteps[-1])
    repaint = model.repaint if settings.repaint is None else settings.repaint
    if repaint == "each_step":
        known = encode_pictures(model, batch["jpg"])
        mask = shrink_mask(batch["mask"].to(model.device), FACTOR)
        denoise = put_back(denoise, model, known, mask, noise, timesteps[-1])
    latents = SAMPLERS[settings.sampler].run(
        denoise,
        x,
        model.alphas_cumprod,
        timesteps,
        eta=settings.eta,
        randn=lambda like: randn(like.shape[1:]),
        callback=callback and (lambda state: callback(of_persons(state, shape[1]))),
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


def check_controls(controls) -> None:
    """Raise ValueError for Controls that cannot stand beside a garment."""
    for control in controls:
        if control.branch is None:
            raise ValueError(
                "a control beside a garment needs a branch: the person's U-Net has none of its own"
            )
        if control.guess_mode:
            raise ValueError(NO_GUESS)


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


def start_from(model, known, encoded, noise, t: int):
    """Latents `known` of the persons, and of a garment that is stacked below, noised to the timestep t."""
    rows = [known]
    if noise.shape[2] > known.shape[2]:
        rows.append(encoded[model.stacked.name]["latents"])
    steps = torch.full((len(noise),), int(t), device=noise.device, dtype=torch.long)
    return model.q_sample(torch.cat(rows, dim=2), steps, noise)


def of_persons(state: dict, rows: int) -> dict:
    """A sampler's state without the rows of garments that are stacked below."""
    return state | {name: state[name][:, :, :rows] for name in ("x", "pred_x0")}


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
