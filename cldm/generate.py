"""The one way to make pictures: a hint and settings in, uint8 pictures out."""

from dataclasses import dataclass, fields
from numbers import Real

import numpy as np
import torch
from einops import rearrange, repeat

from cldm.denoisers import guided_denoiser
from ldm.models.diffusion.samplers import SAMPLERS
from ldm.modules.diffusionmodules.util import make_ddim_timesteps

DECODED_AT_ONCE = 512 * 512  # pixels


@dataclass
class Settings:
    """What a picture depends on besides model and hint; two equal settings give equal pictures."""

    prompt: str = ""
    negative_prompt: str = ""
    num_samples: int = 1
    steps: int = 20
    sampler: str = "ddim"
    scale: float = 9.0  # classifier-free guidance
    guidance_rescale: float = 0.0  # against overexposure by it: 0.7 suits models of zero terminal SNR
    strength: float = 1.0  # factor on every control residual
    guess_mode: bool = False  # control without prompt: strength falls towards the outer residuals
    control_start: float = 0.0  # shares of the steps between which control acts
    control_end: float = 1.0
    eta: float = 0.0  # DDIM's noise
    seed: int = 0  # picture i draws from seed + i

    def __post_init__(self):
        """Raises ValueError for a value that no picture can be made from; names it and its range."""
        ranges = dict(
            num_samples=(1, 64),
            steps=(1, 1000),
            scale=(0, 100),
            guidance_rescale=(0, 1),
            strength=(0, 10),
            control_start=(0, 1),
            control_end=(0, 1),
            eta=(0, 1),
            seed=(0, 2**63 - 65),
        )
        for field in fields(self):
            value, (low, high) = getattr(self, field.name), ranges.get(field.name, (None, None))
            if field.type in (str, bool) and not isinstance(value, field.type):
                raise ValueError(f"{field.name} must be of type {field.type.__name__}, got {value!r}")
            if low is None:
                continue
            if isinstance(value, bool) or not isinstance(value, Real):
                raise ValueError(f"{field.name} must be a number, got {value!r}")
            if not low <= value <= high:
                raise ValueError(f"{field.name} must be between {low} and {high}, got {value}")
            if field.type is int:
                if int(value) != value:
                    raise ValueError(f"{field.name} must be a whole number, got {value!r}")
                setattr(self, field.name, int(value))  # pages and JSON send 20.0
        if self.sampler not in SAMPLERS:
            raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, got {self.sampler!r}")
        if self.control_start > self.control_end:
            raise ValueError(f"control_start {self.control_start} lies behind control_end {self.control_end}")


def generate(model, hint, settings: Settings, size=None, callback=None):
    """Pictures uint8 (num_samples, H, W, 3) that follow the hint and the prompt.

    Args:
        model: a ControlLDM, on any device; its `control_scales` are ignored and left as they were.
        hint: float32 (H, W, 3) in [0, 1], or (num_samples, H, W, 3) for a hint per picture; None without
            control.
        size: (H, W), needed when there is no hint.
        callback: called after each step with dict(i=, t=, x=, pred_x0=).
    """
    hints = _batched_hints(hint, settings.num_samples, model)
    if hints is None and size is None:
        raise ValueError("without a hint, the size (H, W) is wanted")
    height, width = hints.shape[-2:] if hints is not None else size
    _check_size(height, width)
    prompts = [settings.prompt] * settings.num_samples
    return sample(model, hints, prompts, settings, (height, width), callback)


@torch.no_grad()
def sample(model, hints, prompts: list[str], settings: Settings, size, callback=None, seeds=None):
    """As `generate`, for a prompt, a hint (b, 3, H, W) and, if given, a seed per picture."""
    seeds = seeds or [settings.seed + i for i in range(len(prompts))]
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def randn(shape):
        return torch.stack([torch.randn(shape, generator=g) for g in generators]).to(model.device)

    latents = randn((model.channels, size[0] // 8, size[1] // 8))
    timesteps = make_ddim_timesteps(model.timestep_spacing, settings.steps, model.num_timesteps)
    denoise = _denoiser(model, hints, prompts, settings, timesteps)
    latents = SAMPLERS[settings.sampler](
        denoise,
        latents,
        model.alphas_cumprod,
        timesteps,
        eta=settings.eta,
        randn=lambda like: randn(like.shape[1:]),
        callback=callback,
    )
    # in parts, as decoding takes far more memory a picture than sampling
    parts = latents.split(max(1, DECODED_AT_ONCE // (size[0] * size[1])))
    return np.concatenate([to_uint8(model.decode_first_stage(part)) for part in parts])


def _denoiser(model, hints, prompts, settings, timesteps):
    """Guided by the prompts at every step, by the hints at those between control_start and control_end."""
    contexts = _contexts(model, [*prompts, *[settings.negative_prompt] * len(prompts)])
    text, negative = (dict(c_crossattn=[context]) for context in contexts.chunk(2))
    guidance = dict(scale=settings.scale, rescale=settings.guidance_rescale)
    plain = guided_denoiser(model, {**text, "c_concat": None}, {**negative, "c_concat": None}, **guidance)
    if hints is None or settings.strength == 0:
        return plain
    hint = [hints.to(model.device)]
    guess = None if settings.guess_mode else hint
    controlled = guided_denoiser(
        model, {**text, "c_concat": hint}, {**negative, "c_concat": guess}, **guidance
    )
    scales = control_scales(len(model.control_scales), settings)
    num = len(timesteps)
    active = {
        int(t)
        for i, t in enumerate(reversed(timesteps))
        if settings.control_start <= i / num and (i + 1) / num <= settings.control_end
    }

    def denoise(x, t):
        if t not in active:
            return plain(x, t)
        kept, model.control_scales = model.control_scales, scales
        try:
            return controlled(x, t)
        finally:
            model.control_scales = kept

    return denoise


def _contexts(model, prompts):
    """The contexts (b, n, context_dim) of prompts, of which equal ones are encoded once."""
    different = list(dict.fromkeys(prompts))
    return model.get_learned_conditioning(different)[[different.index(prompt) for prompt in prompts]]


def control_scales(num: int, settings: Settings) -> list[float]:
    """A factor per residual; in guess mode falling by 0.825 from the middle outwards, as in the original."""
    if settings.guess_mode:
        return [settings.strength * 0.825 ** (num - 1 - i) for i in range(num)]
    return [settings.strength] * num


def to_uint8(images):
    """Images (b, 3, H, W) in [-1, 1] -> uint8 (b, H, W, 3) on the CPU."""
    images = (images.float().clamp(-1, 1) + 1) * 127.5
    return rearrange(images, "b c h w -> b h w c").round().to(torch.uint8).cpu().numpy()


def _batched_hints(hint, num, model):
    if hint is None:
        return None
    hint = torch.from_numpy(np.ascontiguousarray(hint, dtype=np.float32))
    channels = model.control_model.hint_channels
    if hint.ndim not in (3, 4) or hint.shape[-1] != channels:
        raise ValueError(f"a hint must be (H, W, {channels}), got {tuple(hint.shape)}")
    if hint.numel() and not 0 <= hint.min() <= hint.max() <= 1:
        raise ValueError(f"a hint must lie in [0, 1], got values from {hint.min():g} to {hint.max():g}")
    hint = (
        repeat(hint, "h w c -> b c h w", b=num) if hint.ndim == 3 else rearrange(hint, "b h w c -> b c h w")
    )
    if len(hint) != num:
        raise ValueError(f"got {len(hint)} hints for {num} pictures")
    return hint


def _check_size(height, width):
    if height % 64 or width % 64 or not (64 <= height <= 4096 and 64 <= width <= 4096):
        raise ValueError(
            f"height and width must be multiples of 64 between 64 and 4096, got {height} x {width}"
        )
