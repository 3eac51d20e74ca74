"""What sampling starts from: noise, a photo, or a photo of which a region alone is painted anew."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from einops import repeat
from torch.nn.functional import max_pool2d

from cldm.controls import check_number
from jobs.devices import to_channels_first

FACTOR = 8  # pixels a latent


@dataclass(eq=False)
class Photo:
    """A photo to start from, and how much of it goes.

    pixels: uint8 (H, W, 3), or (n, H, W, 3) with one for each of n pictures.
    denoise: in (0, 1], the share of the steps that is run, those of the least noise: of S steps the last
        max(1, round(denoise S)). They start from the photo's latents, noised to the first of them. 1 runs all
        steps; what the photo then still says is sqrt(alphas_cumprod[T - 1]) of its latents, 0.07 for Stable
        Diffusion, nothing with zero terminal SNR.
    mask: bool (H, W) or (n, H, W), True where the photo is painted anew; None repaints all of it. Outside,
        the picture's pixels are the photo's own.
    feather: pixels inside the mask's border over which the picture fades into the photo.
    """

    pixels: np.ndarray
    denoise: float = 0.75
    mask: np.ndarray | None = None
    feather: int = 0

    def __post_init__(self):
        check_number("denoise", self.denoise, 0, 1)
        if self.denoise == 0:
            raise ValueError("denoise must be above 0: at 0 the picture would be the photo")
        check_number("feather", self.feather, 0, 4096)
        pixels = self.pixels = np.asarray(self.pixels)
        if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or pixels.shape[-1] != 3:
            raise ValueError(f"a photo must be uint8 (H, W, 3), got {pixels.dtype} {pixels.shape}")
        if self.mask is None:
            if self.feather:
                raise ValueError(f"feather {self.feather} softens the border of a mask: give a mask, too")
            return
        mask = self.mask = np.asarray(self.mask)
        if mask.dtype != bool or mask.ndim not in (2, 3) or mask.shape[-2:] != self.size:
            raise ValueError(f"a mask must be bool {self.size}, as the photo, got {mask.dtype} {mask.shape}")
        if not mask.any(axis=(-2, -1)).all():
            raise ValueError("the mask is empty: there is nothing to paint anew")

    @property
    def size(self) -> tuple[int, int]:
        return self.pixels.shape[-3:-1]


def start_of(model, photo: Photo | None, noise, timesteps):
    """The start of len(noise) pictures from noise (n, c, h, w), and from a photo if there is one."""
    if photo is None:
        return FromNoise(noise, timesteps)
    size = tuple(FACTOR * side for side in noise.shape[-2:])
    if photo.size != size:
        raise ValueError(f"hints and photos must be of one size, got {size} and {photo.size}")
    return (FromPhoto if photo.mask is None else FromMaskedPhoto)(model, photo, noise, timesteps)


class FromNoise:
    """Text to image. `latents` are what the first of the ascending `timesteps` from the end starts from."""

    def __init__(self, noise, timesteps):
        self.latents, self.timesteps = noise, timesteps

    def denoiser(self, denoise):
        """What the sampler asks instead of `denoise`."""
        return denoise

    def finish(self, latents):
        """The sampler's latents (n, c, h, w), ready to be decoded."""
        return latents

    def compose(self, pictures):
        """Decoded pictures uint8 (n, H, W, 3), as they are handed out."""
        return pictures


class FromPhoto(FromNoise):
    """Image to image (SDEdit, arXiv 2108.01073)."""

    def __init__(self, model, photo, noise, timesteps):
        timesteps = timesteps[: max(1, round(photo.denoise * len(timesteps)))]
        self.clean = encode_photos(model, give_each(photo.pixels, 3, len(noise), "photos"))
        super().__init__(self._add_noise(model, noise, timesteps[-1]), timesteps)

    def _add_noise(self, model, noise, t):
        steps = torch.full((len(noise),), int(t), device=noise.device, dtype=torch.long)
        return model.q_sample(self.clean, steps, noise)


class FromMaskedPhoto(FromPhoto):
    """Inpainting: at each step what lies outside the mask is the photo, noised to that step (2206.02779).

    With the picture's first noise each time, so that a multistep solver sees the photo on one path. A latent
    is painted if any of its pixels is.
    """

    def __init__(self, model, photo, noise, timesteps):
        super().__init__(model, photo, noise, timesteps)
        self.model, self.noise, self.photo = model, noise, photo
        mask = torch.from_numpy(give_each(photo.mask, 2, len(noise), "masks")).to(noise.device, torch.float32)
        self.painted = max_pool2d(mask[:, None], FACTOR) > 0

    def denoiser(self, denoise):
        def denoise_painted(x, t):
            return denoise(torch.where(self.painted, x, self._add_noise(self.model, self.noise, t)), t)

        return denoise_painted

    def finish(self, latents):
        return torch.where(self.painted, latents, self.clean)

    def compose(self, pictures):
        photos = give_each(self.photo.pixels, 3, len(pictures), "photos")
        masks = give_each(self.photo.mask, 2, len(pictures), "masks")
        shares = np.stack([fade(mask, self.photo.feather) for mask in masks])[..., None]
        return np.rint(shares * pictures + (1 - shares) * photos).astype(np.uint8)


def fade(mask, feather: int):
    """The picture's share float64 (H, W) in a mask: 0 outside, rising to 1 over `feather` pixels inside."""
    padded = np.pad(mask, 1, mode="edge").astype(np.uint8)  # the end of the photo is no border
    if not feather or padded.all():
        return mask.astype(np.float64)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    return np.minimum(distance / (feather + 1), 1).astype(np.float64)


def region_mask(ids, encoder, regions: str, grow: int = 0):
    """The mask bool (h, w) of one or several regions, "top" or "top,bottom", of a map of ids uint8 (h, w).

    It is grown by `grow` pixels all around. ValueError for a name that isn't a region or isn't in the map.
    """
    mask = np.isin(ids, named_regions(regions, encoder))
    if not mask.any():
        raise ValueError(f"the map has no region {regions}: there is nothing to paint anew")
    if not grow:
        return mask
    return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) <= grow


def named_regions(regions: str, encoder) -> list[int]:
    """The ids of one or several regions, "top" or "top,bottom"; ValueError for a name that isn't a region."""
    names = [name.strip() for name in regions.split(",")]
    unknown = [name for name in names if name not in encoder.names]
    if unknown:
        raise ValueError(f"there is no region {unknown[0]!r}: regions are {', '.join(encoder.names)}")
    return [encoder.names.index(name) for name in names]


def encode_photos(model, photos):
    """Photos uint8 (n, H, W, 3) -> the means of their scaled latents (n, c, h, w); equal ones are one."""
    if len(photos) > 1 and (photos == photos[:1]).all():
        return repeat(encode_photos(model, photos[:1]), "1 c h w -> n c h w", n=len(photos))
    latents = []
    for photo in photos:  # one by one, as encoding takes far more memory than sampling
        image = to_channels_first(torch.from_numpy(photo)[None], model.device)
        latents.append(model.scale_factor * model.encode_first_stage(image / 127.5 - 1.0).mode())
    return torch.cat(latents)


def give_each(array, ndim, num, name):
    """An array of `ndim` axes that all of `num` pictures share, or one for each -> one for each."""
    if array.ndim == ndim:
        return np.stack([array] * num)
    if len(array) != num:
        raise ValueError(f"got {len(array)} {name} for {num} pictures")
    return array
