"""Encoder and decoder of the autoencoder: images (b, 3, H, W) <-> feature maps (b, c, H/f, W/f)."""

import torch
from einops import rearrange
from torch import nn
from torch.nn.functional import interpolate, pad, silu

from ldm.modules.diffusionmodules.util import attend, draw_normal
from ldm.util import refuse_unless


def Normalize(channels, num_groups=32):
    return nn.GroupNorm(num_groups, channels, eps=1e-6)


class Upsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return self.conv(interpolate(x, scale_factor=2.0, mode="nearest"))


class Downsample(nn.Module):
    """Halves height and width; the checkpoints were trained with padding on the right and bottom only."""

    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x):
        return self.conv(pad(x, (0, 1, 0, 1)))


class ResnetBlock(nn.Module):
    def __init__(self, in_channels, out_channels, dropout, num_groups):
        super().__init__()
        self.norm1 = Normalize(in_channels, num_groups)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = Normalize(out_channels, num_groups)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        if in_channels != out_channels:
            self.nin_shortcut = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x):
        h = self.conv1(silu(self.norm1(x)))
        h = self.conv2(self.dropout(silu(self.norm2(h))))
        return h + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class AttnBlock(nn.Module):
    """Single-headed self-attention over pixels, residual."""

    def __init__(self, channels, num_groups):
        super().__init__()
        self.norm = Normalize(channels, num_groups)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x):
        h, w = x.shape[-2:]
        normed = self.norm(x)
        q, k, v = (rearrange(conv(normed), "b c h w -> b 1 (h w) c") for conv in (self.q, self.k, self.v))
        attended = attend(q, k, v)
        return x + self.proj_out(rearrange(attended, "b 1 (h w) c -> b c h w", h=h, w=w))


class Level(nn.Module):
    """One resolution: residual blocks, then the step to the next resolution (none at the last)."""

    def __init__(self, channels, out_channels, num_blocks, dropout, num_groups):
        super().__init__()
        widths = [channels] + [out_channels] * num_blocks
        self.block = nn.ModuleList(
            ResnetBlock(a, b, dropout, num_groups) for a, b in zip(widths, widths[1:], strict=False)
        )
        self.attn = nn.ModuleList()

    def forward(self, x):
        for block in self.block:
            x = block(x)
        for step in ("downsample", "upsample"):
            x = getattr(self, step)(x) if hasattr(self, step) else x
        return x


def middle(channels, dropout, num_groups):
    mid = nn.Module()
    mid.block_1 = ResnetBlock(channels, channels, dropout, num_groups)
    mid.attn_1 = AttnBlock(channels, num_groups)
    mid.block_2 = ResnetBlock(channels, channels, dropout, num_groups)
    return mid


def check_published(attn_resolutions, attn_type):
    """Published keys of ddconfig that have one honest value each."""
    refuse_unless(
        len(attn_resolutions) == 0, "attn_resolutions", attn_resolutions, "only the middle block attends"
    )
    refuse_unless(attn_type == "vanilla", "attn_type", attn_type, "attention is always PyTorch's own")


class Encoder(nn.Module):
    """Images (b, in_channels, H, W) in [-1, 1] -> (b, 2 z_channels, H/f, W/f), f 2 per level but the last."""

    def __init__(self, ch, ch_mult, num_res_blocks, z_channels, in_channels, double_z, dropout, num_groups):
        super().__init__()
        self.conv_in = nn.Conv2d(in_channels, ch, 3, padding=1)
        widths = [ch] + [ch * m for m in ch_mult]
        self.down = nn.ModuleList(
            Level(a, b, num_res_blocks, dropout, num_groups) for a, b in zip(widths, widths[1:], strict=False)
        )
        for level, width in zip(self.down[:-1], widths[1:], strict=False):
            level.downsample = Downsample(width)
        self.mid = middle(widths[-1], dropout, num_groups)
        self.norm_out = Normalize(widths[-1], num_groups)
        self.conv_out = nn.Conv2d(widths[-1], 2 * z_channels if double_z else z_channels, 3, padding=1)

    def forward(self, x):
        h = self.conv_in(x)
        for level in self.down:
            h = level(h)
        h = self.mid.block_2(self.mid.attn_1(self.mid.block_1(h)))
        return self.conv_out(silu(self.norm_out(h)))


class Decoder(nn.Module):
    """Latents (b, z_channels, h, w) -> images (b, out_ch, h f, w f), about [-1, 1]."""

    def __init__(self, ch, ch_mult, num_res_blocks, z_channels, out_ch, dropout, num_groups):
        super().__init__()
        widths = [ch * m for m in ch_mult]
        self.conv_in = nn.Conv2d(z_channels, widths[-1], 3, padding=1)
        self.mid = middle(widths[-1], dropout, num_groups)
        # the checkpoints number levels from the finest; they run from the coarsest
        self.up = nn.ModuleList(
            Level(widths[min(i + 1, len(widths) - 1)], width, num_res_blocks + 1, dropout, num_groups)
            for i, width in enumerate(widths)
        )
        for level, width in zip(self.up[1:], widths[1:], strict=True):
            level.upsample = Upsample(width)
        self.norm_out = Normalize(widths[0], num_groups)
        self.conv_out = nn.Conv2d(widths[0], out_ch, 3, padding=1)

    def forward(self, z):
        h = self.conv_in(z)
        h = self.mid.block_2(self.mid.attn_1(self.mid.block_1(h)))
        for level in reversed(self.up):
            h = level(h)
        return self.conv_out(silu(self.norm_out(h)))


class DiagonalGaussianDistribution:
    """A normal distribution over latents in fp32, from moments (b, 2 c, h, w): mean, clamped log-variance."""

    def __init__(self, parameters):
        self.parameters = parameters.float()
        self.mean, logvar = self.parameters.chunk(2, dim=1)
        self.logvar = logvar.clamp(-30.0, 20.0)
        self.std, self.var = torch.exp(0.5 * self.logvar), torch.exp(self.logvar)

    def sample(self, generator=None):
        """Latents (b, c, h, w), drawn with one generator, one a row, or the global one: see draw_normal."""
        return self.mean + self.std * draw_normal(self.mean, generator)

    def mode(self):
        return self.mean

    def kl(self):
        """Kullback-Leibler divergence (b,) from the standard normal, in nats, summed over a latent."""
        return 0.5 * (self.mean**2 + self.var - 1.0 - self.logvar).sum(dim=(1, 2, 3))
