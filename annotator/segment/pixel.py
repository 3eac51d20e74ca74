"""The small segmenter of paper dolls, the judge of what a control achieves."""

from pathlib import Path

import torch
from einops import rearrange
from torch import nn
from torch.nn.functional import interpolate

from annotator.segment.interface import TRAINING, Segmenter, choose_regions, read_names_and_numbers
from annotator.weights import read_weights
from pictures.regions import standard_regions


def convolution(in_channels: int, out_channels: int, stride: int = 1):
    """A 3x3 convolution, normalised and rectified."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


class Residual(nn.Module):
    """Adds a convolution to what it convolves."""

    def __init__(self, channels: int):
        super().__init__()
        self.convolution = convolution(channels, channels)

    def forward(self, x):
        return x + self.convolution(x)


class SegmenterNetwork(nn.Module):
    """Images (b, 3, H, W) in [0, 1], H and W multiples of 16 -> logits (b, regions, H, W).

    Two by two pixels become channels on the way in, and channels two by two pixels on the way out: edges
    are placed to the pixel, yet nothing is computed at full resolution. The deepest level, 8x8 for 128
    pixels, sees a whole figure, which tells a dress from a top and a skirt. `width` is the number of channels
    of the first level; the others have twice as many.
    """

    def __init__(self, num_regions: int, width: int = 16):
        super().__init__()
        self.width, deep_width = width, 2 * width
        self.enter = nn.Sequential(convolution(4 * 3, width), Residual(width))
        self.down1 = nn.Sequential(convolution(width, deep_width, stride=2), Residual(deep_width))
        self.down2 = nn.Sequential(convolution(deep_width, deep_width, stride=2), Residual(deep_width))
        self.down3 = nn.Sequential(
            convolution(deep_width, deep_width, stride=2), Residual(deep_width), Residual(deep_width)
        )
        self.up3, self.mix3 = nn.Conv2d(deep_width, deep_width, 1), Residual(deep_width)
        self.up2, self.mix2 = nn.Conv2d(deep_width, deep_width, 1), Residual(deep_width)
        self.up1, self.mix1 = nn.Conv2d(deep_width, width, 1), Residual(width)
        self.leave = nn.Conv2d(width, 4 * num_regions, 3, padding=1)

    def forward(self, images):
        x1 = self.enter(rearrange(images, "b c (h p) (w q) -> b (c p q) h w", p=2, q=2))  # H/2, W/2
        x2 = self.down1(x1)  # H/4, W/4
        x3 = self.down2(x2)  # H/8, W/8
        x4 = self.down3(x3)  # H/16, W/16
        x3 = self.mix3(x3 + interpolate(self.up3(x4), scale_factor=2.0))
        x2 = self.mix2(x2 + interpolate(self.up2(x3), scale_factor=2.0))
        x1 = self.mix1(x1 + interpolate(self.up1(x2), scale_factor=2.0))
        return rearrange(self.leave(x1), "b (r p q) h w -> b r (h p) (w q)", p=2, q=2)


class PixelSegmenter(Segmenter):
    """Finds regions in small drawings and pictures.

    segmenter = PixelSegmenter.load("models/tiny/segmenter.safetensors")
    ids = segmenter(picture)  # uint8 (h, w, 3) in RGB -> uint8 (h, w)
    """

    kind, dtype = "pixel", torch.float16

    @classmethod
    def load(cls, path, device="cpu"):
        """The segmenter with the weights of a file that `save` wrote."""
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"no segmenter weights at {path}: train them with {TRAINING}")
        # there are files that are older than these entries
        names, numbers = read_names_and_numbers(path, size=128, width=16)
        segmenter = cls.fresh(names, **numbers, device=device)
        read_weights(path, segmenter.network, f"this segmenter: train them with {TRAINING}")
        return segmenter

    @classmethod
    def fresh(cls, names=None, size: int = 128, width: int = 16, device="cpu"):
        """The segmenter with random weights; `width` as in SegmenterNetwork."""
        names = names or standard_regions().names
        if size % 16:
            raise ValueError(f"size must be a multiple of 16 for this network, got {size}")
        return cls(SegmenterNetwork(len(names), width), names, size, device)

    def logits(self, x):
        return [self.network(x)]

    def metadata(self):
        return super().metadata() | {"width": str(self.network.width)}

    def _segment(self, images):
        # ids are resized, not logits: what the numbers of the shipped weights were measured with
        size, ids = images.shape[1:3], choose_regions(self.logits(self._squeeze(images))[0])
        if size != (self.size, self.size):
            ids = interpolate(ids[:, None], size, mode="nearest-exact")[:, 0]
        return ids.cpu().numpy()
