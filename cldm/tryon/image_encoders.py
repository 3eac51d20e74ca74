"""Frozen encoders of a garment's picture: uint8 pictures (b, H, W, 3) in, features out.

Each brings pictures to its own size and range itself, so that nobody can do it twice. Weights of published
ones come from local folders or with a checkpoint; nothing is fetched.
"""

from pathlib import Path

import torch
from einops import rearrange
from torch import nn
from torch.nn.functional import interpolate

from cldm.tryon.dinov2 import DinoV2

DINO_SIZES = {
    "s": dict(width=384, depth=12, heads=6),
    "b": dict(width=768, depth=12, heads=12),
    "l": dict(width=1024, depth=24, heads=16),
    "g": dict(width=1536, depth=40, heads=24, swiglu=True),
}
CLIP_MEAN, CLIP_DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def to_squares(pictures, side: int):
    """uint8 (b, H, W, 3) -> (b, 3, side, side) in [0, 1], on white: padded to a square, then resized."""
    pictures = rearrange(pictures, "b h w c -> b c h w").float() / 255
    height, width = pictures.shape[-2:]
    tall, wide = max(width - height, 0), max(height - width, 0)
    pad = (wide // 2, wide - wide // 2, tall // 2, tall - tall // 2)
    square = nn.functional.pad(pictures, pad, value=1.0)
    resized = interpolate(square, size=(side, side), mode="bicubic", antialias=True, align_corners=False)
    return resized.clamp(0, 1)


class DinoGarments(DinoV2):
    """DINOv2's class and patch tokens of a garment on white, (b, 1 + (side / 14)², width), as AnyDoor has it.

    size: s, b, l or g. side: 224 as AnyDoor has it, a multiple of 14.
    """

    def __init__(self, size="g", side=224, **options):
        super().__init__(**(DINO_SIZES[size] if size else {}), **options)
        self.side = side

    @torch.no_grad()
    def forward(self, pictures):
        return super().forward(to_squares(pictures, self.side).to(self.cls_token.dtype))


class ClipGarments(nn.Module):
    """A CLIP vision tower of transformers, from a local folder.

    folder: with config.json and weights (ViT-L/14: openai/clip-vit-large-patch14; ViT-H/14 of IP-Adapter:
        folder models/image_encoder of h94/IP-Adapter). output: "embeds", the projected vector (b, width), or
        "tokens", the hidden states before the last layer (b, n, width), as IP-Adapter Plus reads them.

    Raises:
        FileNotFoundError: no such folder; says where it comes from.
    """

    def __init__(self, folder, output="embeds"):
        super().__init__()
        if output not in ("embeds", "tokens"):
            raise ValueError(f"output must be embeds or tokens, got {output!r}")
        if not Path(folder, "config.json").is_file():
            raise FileNotFoundError(
                f"{folder} holds no CLIP vision tower (config.json and weights): download that folder of "
                "openai/clip-vit-large-patch14, or models/image_encoder of h94/IP-Adapter, and name it"
            )
        from transformers import CLIPVisionModelWithProjection

        self.tower = CLIPVisionModelWithProjection.from_pretrained(
            folder, local_files_only=True, use_safetensors=True
        )
        self.output, self.side = output, self.tower.config.image_size

    @torch.no_grad()
    def forward(self, pictures):
        squares = to_squares(pictures, self.side)
        mean, deviation = (squares.new_tensor(x)[:, None, None] for x in (CLIP_MEAN, CLIP_DEVIATION))
        given = ((squares - mean) / deviation).to(self.tower.dtype)
        if self.output == "embeds":
            return self.tower(given).image_embeds
        return self.tower(given, output_hidden_states=True).hidden_states[-2]


class SmallGarments(nn.Module):
    """A few convolutions, for the embedded default: (b, 48, width) tokens of a garment at 128 x 96.

    Frozen at random, as features of patches that a projector learns to read.
    """

    def __init__(self, width=64):
        super().__init__()
        widths = 3, 16, 32, 64, width
        self.layers = nn.Sequential(
            *(
                layer
                for a, b in zip(widths, widths[1:], strict=False)
                for layer in (nn.Conv2d(a, b, 4, stride=2, padding=1), nn.SiLU())
            )
        )

    @torch.no_grad()
    def forward(self, pictures):
        given = rearrange(pictures, "b h w c -> b c h w").float() / 127.5 - 1
        given = interpolate(given, size=(128, 96), mode="bilinear", antialias=True, align_corners=False)
        return rearrange(self.layers(given.to(self.layers[0].weight.dtype)), "b c h w -> b (h w) c")
