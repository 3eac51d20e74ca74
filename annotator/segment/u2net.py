"""Garment regions of photos by a U2-Net: the public cloth-segmentation network, or one trained here."""

from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import interpolate, max_pool2d

from annotator.segment.interface import TRAINING, Segmenter, read_names_and_numbers
from annotator.weights import read_weights

PUBLISHED_WIDTH = 64  # of the first stage; all channels below are for it

# depth, channels in, inside, out, and whether depth is made by dilation instead of pooling (RSU-4F)
ENCODER = (
    (7, 3, 32, 64, False),
    (6, 64, 32, 128, False),
    (5, 128, 64, 256, False),
    (4, 256, 128, 512, False),
    (4, 512, 256, 512, True),
    (4, 512, 256, 512, True),
)
DECODER = (
    (7, 128, 16, 64, False),
    (6, 256, 32, 64, False),
    (5, 512, 64, 128, False),
    (4, 1024, 128, 256, False),
    (4, 1024, 256, 512, True),
)


class Convolution(nn.Module):
    """A 3x3 convolution that keeps the size, normalised and rectified."""

    def __init__(self, in_channels: int, out_channels: int, dilation: int = 1):
        super().__init__()
        self.conv_s1 = nn.Conv2d(in_channels, out_channels, 3, padding=dilation, dilation=dilation)
        self.bn_s1 = nn.BatchNorm2d(out_channels)

    def forward(self, x):
        return self.bn_s1(self.conv_s1(x)).relu()


class ResidualUBlock(nn.Module):
    """A small U-Net whose result is added to its input: RSU-`depth`, or RSU-4F if `dilated` (section 3.1)."""

    def __init__(self, depth: int, in_channels: int, channels: int, out_channels: int, dilated: bool):
        super().__init__()
        self.depth, self.dilated = depth, dilated
        self.rebnconvin = Convolution(in_channels, out_channels)
        for level in range(1, depth + 1):
            dilation = 2 ** (level - 1) if dilated else 1 + (level == depth)
            first = out_channels if level == 1 else channels
            self.add_module(f"rebnconv{level}", Convolution(first, channels, dilation))
        for level in range(depth - 1, 0, -1):
            dilation, last = 2 ** (level - 1) if dilated else 1, out_channels if level == 1 else channels
            self.add_module(f"rebnconv{level}d", Convolution(2 * channels, last, dilation))

    def forward(self, x):
        entered = x = self.rebnconvin(x)
        skips = []
        for level in range(1, self.depth + 1):
            x = getattr(self, f"rebnconv{level}")(x)
            skips.append(x)
            if not self.dilated and level < self.depth - 1:
                x = max_pool2d(x, 2, ceil_mode=True)
        for level in range(self.depth - 1, 0, -1):
            skip = skips[level - 1]
            x = getattr(self, f"rebnconv{level}d")(torch.cat([resize_like(x, skip), skip], dim=1))
        return x + entered


class U2Net(nn.Module):
    """Images (b, 3, H, W) in [-1, 1] -> seven logits (b, regions, H, W): fused, then the six sides'.

    All seven are trained (deep supervision, section 3.3); the first is the result. `width` is the number of
    channels of the first stage: a narrower network has proportionally fewer everywhere.
    """

    def __init__(self, num_regions: int = 4, width: int = PUBLISHED_WIDTH):
        super().__init__()
        self.width = width
        for number, stage in enumerate(ENCODER, 1):
            self.add_module(f"stage{number}", ResidualUBlock(*_scale_channels(stage, width)))
        for number, stage in enumerate(DECODER, 1):
            self.add_module(f"stage{number}d", ResidualUBlock(*_scale_channels(stage, width)))
        for number, stage in enumerate([*DECODER, ENCODER[-1]], 1):
            channels = _scale_channels(stage, width)[3]
            self.add_module(f"side{number}", nn.Conv2d(channels, num_regions, 3, padding=1))
        self.outconv = nn.Conv2d(6 * num_regions, num_regions, 1)

    def forward(self, images):
        x, skips = images, []
        for number in range(1, len(ENCODER) + 1):
            x = getattr(self, f"stage{number}")(x if number == 1 else max_pool2d(x, 2, ceil_mode=True))
            skips.append(x)
        features = [x]
        for number in range(len(DECODER), 0, -1):
            skip = skips[number - 1]
            x = getattr(self, f"stage{number}d")(torch.cat([resize_like(x, skip), skip], dim=1))
            features.insert(0, x)
        sides = [getattr(self, f"side{number}")(x) for number, x in enumerate(features, 1)]
        sides = [resize_like(side, images) for side in sides]
        return [self.outconv(torch.cat(sides, dim=1)), *sides]


def _scale_channels(stage, width: int):
    """A row of the tables for another width of the first stage; the picture's three channels stay."""
    depth, *channels, dilated = stage
    channels = [c if c == 3 else max(1, c * width // PUBLISHED_WIDTH) for c in channels]
    return depth, *channels, dilated


def resize_like(x, like):
    """x at the height and width of another tensor."""
    size = like.shape[2:]
    return x if x.shape[2:] == size else interpolate(x, size, mode="bilinear")


PUBLISHED_SIZE = 768  # what the public network was trained at
LEGACY_REGIONS = "background", "top", "bottom", "whole"
LEGACY = (
    "the public cloth-segmentation network was trained on shifted labels (the table `legacy` of "
    "regions.yaml): skirts come out as whole, vests as bottom, and it knows no head"
)
WANTED = (
    "the public cloth-segmentation network, a .pth file of 165 MB that "
    "github.com/levindabhi/cloth-segmentation links to"
)


class U2NetSegmenter(Segmenter):
    """segmenter = U2NetSegmenter.load("models/annotators/cloth_segm_u2net_latest.pth")"""

    kind = "u2net"

    @classmethod
    def reads(cls, path):
        return path.suffix in (".pth", ".pt") or super().reads(path)

    @classmethod
    def load(cls, path, device="cpu"):
        """The network of a file of TRAINING, or of the public .pth file, whose regions are said aloud.

        Raises:
            FileNotFoundError, ValueError: there is no such file, or other weights are in it.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"no U2-Net weights at {path}: wanted {WANTED}, or a file of {TRAINING}")
        said, numbers = read_names_and_numbers(path, size=PUBLISHED_SIZE, width=PUBLISHED_WIDTH)
        names = said or LEGACY_REGIONS
        segmenter = cls.fresh(names, **numbers, device=device)
        read_weights(path, segmenter.network, f"a U2-Net of {len(names)} classes: wanted {WANTED}")
        if not said:
            print(f"{path}: {LEGACY}", flush=True)
        return segmenter

    @classmethod
    def fresh(cls, names, size: int = PUBLISHED_SIZE, width: int = PUBLISHED_WIDTH, device="cpu"):
        """The segmenter with random weights; `width` as in U2Net."""
        return cls(U2Net(len(names), width), names, size, device)

    def logits(self, x):
        return self.network(x * 2 - 1)

    def metadata(self):
        return super().metadata() | {"width": str(self.network.width)}
