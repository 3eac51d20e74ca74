"""The one way to make pictures: a hint and settings in, uint8 pictures out."""

from dataclasses import dataclass, fields

import torch
from einops import rearrange

from cldm.controls import Control, check_number, prepare_controls
from cldm.denoisers import controlled_denoiser
from cldm.parts_present import AllThere
from generation.inpainting import FACTOR, Photo, start_of
from ldm.models.diffusion.samplers import SAMPLERS
from ldm.modules.diffusionmodules.util import make_ddim_timesteps


@dataclass
class Settings:
    """What a picture depends on besides model and controls; two equal settings give equal pictures."""

    prompt: str = ""
    negative_prompt: str = ""
    num_samples: int = 1
    steps: int = 20
    sampler: str = "ddim"
    scale: float = 9.0  # classifier-free guidance
    guidance_rescale: float = 0.0  # against overexposure by it: 0.7 suits models of zero terminal SNR
    eta: float = 0.0  # DDIM's noise
    seed: int = 0  # picture i draws from seed + i

    def __post_init__(self):
        """Raises ValueError for a value that no picture can be made from; names it and its range."""
        ranges = dict(
            num_samples=(1, 64),
            steps=(1, 1000),
            scale=(0, 100),
            guidance_rescale=(0, 1),
            eta=(0, 1),
            seed=(0, 2**63 - 65),
        )
        for field in fields(self):
            value, (low, high) = getattr(self, field.name), ranges.get(field.name, (None, None))
            if field.type in (str, bool) and not isinstance(value, field.type):
                raise ValueError(f"{field.name} must be of type {field.type.__name__}, got {value!r}")
            if low is None:
                continue
            check_number(field.name, value, low, high)
            if field.type is int:
                if int(value) != value:
                    raise ValueError(f"{field.name} must be a whole number, got {value!r}")
                setattr(self, field.name, int(value))  # pages and JSON send 20.0
        if self.sampler not in SAMPLERS:
            raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, got {self.sampler!r}")


def generate(
    model, hint, settings: Settings, size=None, callback=None, photo: Photo | None = None, parts=None
):
    """Pictures uint8 (num_samples, H, W, 3) that follow the hint and the prompt.

    Args:
        model: a ControlLDM, on any device; its `control_scales` are ignored.
        hint: float32 (H, W, 3) in [0, 1], or (num_samples, H, W, 3) for a hint per picture; or a Control or a
            list of them, which say how strongly and when they act; None without control.
        size: (H, W), needed when there is neither hint nor photo.
        callback: called after each step with dict(i=, t=, x=, pred_x0=).
        photo: what to start from instead of noise.
        parts: cldm.parts_present.OneStage to have only those parts of the model on its device that
            are at work.
    """
    controls = _as_controls(hint)
    sizes = [control.size for control in controls] + [photo.size for photo in [photo] if photo]
    if not sizes and size is None:
        raise ValueError("without a hint, the size (H, W) is wanted")
    height, width = sizes[0] if sizes else size
    _check_size(height, width)
    prompts = [settings.prompt] * settings.num_samples
    return sample(model, controls, prompts, settings, (height, width), callback, photo=photo, parts=parts)


@torch.no_grad()
def sample(
    model,
    controls,
    prompts: list[str],
    settings: Settings,
    size,
    callback=None,
    seeds=None,
    photo=None,
    parts=None,
):
    """As `generate`, for a prompt and, if given, a seed per picture, under a list of Controls, or None."""
    parts = parts or AllThere()
    seeds = seeds or [settings.seed + i for i in range(len(prompts))]
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def randn(shape):
        return torch.stack([torch.randn(shape, generator=g) for g in generators]).to(model.device)

    noise = randn((model.channels, size[0] // FACTOR, size[1] // FACTOR))
    timesteps = make_ddim_timesteps(model.timestep_spacing, settings.steps, model.num_timesteps)
    parts.encoding()
    start = start_of(model, photo, noise, timesteps)
    text, negative = _contexts(model, [*prompts, *[settings.negative_prompt] * len(prompts)]).chunk(2)
    parts.sampling()
    active = prepare_controls(controls or [], model, len(prompts), start.timesteps, size)
    guidance = settings.scale, settings.guidance_rescale
    latents = SAMPLERS[settings.sampler].run(
        start.denoiser(controlled_denoiser(model, text, negative, active, *guidance)),
        start.latents,
        model.alphas_cumprod,
        start.timesteps,
        eta=settings.eta,
        randn=lambda like: randn(like.shape[1:]),
        callback=callback,
    )
    parts.decoding()
    return start.compose(to_uint8(model.decode_first_stage(start.finish(latents))))


def _as_controls(hint):
    """The Controls of `generate`'s hint."""
    if hint is None:
        return []
    given = [hint] if isinstance(hint, Control) else hint
    if not (isinstance(given, list | tuple) and all(isinstance(control, Control) for control in given)):
        return [Control(hint)]
    return list(given)


def _contexts(model, prompts):
    """The contexts (b, n, context_dim) of prompts, of which equal ones are encoded once."""
    different = list(dict.fromkeys(prompts))
    return model.get_learned_conditioning(different)[[different.index(prompt) for prompt in prompts]]


def to_uint8(images):
    """Images (b, 3, H, W) in [-1, 1] -> uint8 (b, H, W, 3) on the CPU."""
    images = (images.float().clamp(-1, 1) + 1) * 127.5
    return rearrange(images, "b c h w -> b h w c").round().to(torch.uint8).cpu().numpy()


def _check_size(height, width):
    if height % 64 or width % 64 or not (64 <= height <= 4096 and 64 <= width <= 4096):
        raise ValueError(
            f"height and width must be multiples of 64 between 64 and 4096, got {height} x {width}"
        )
