"""DINOv2 (arXiv 2304.07193) as its own checkpoints name it: pictures to class and patch tokens."""

import torch
from einops import rearrange
from torch import nn

from ldm.modules.diffusionmodules.util import attend

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, of pictures in [0, 1]


class DinoV2(nn.Module):
    """Pictures (b, 3, H, W) in [0, 1], sides divisible by `patch` -> tokens (b, 1 + H W / patch², width).

    Args:
        grid: side of the position table in patches: 37 of the published files.
        swiglu: the gated feed-forward of the giant one.
    """

    def __init__(self, width=384, depth=12, heads=6, patch=14, grid=37, mlp_ratio=4, swiglu=False):
        super().__init__()
        self.patch, self.grid = patch, grid
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + grid * grid, width))
        self.mask_token = nn.Parameter(
            torch.zeros(1, width)
        )  # of pre-training; in the files, never used here
        self.patch_embed = nn.ModuleDict(dict(proj=nn.Conv2d(3, width, patch, patch)))
        self.blocks = nn.ModuleList(DinoBlock(width, heads, mlp_ratio, swiglu) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, pictures):
        height, width = pictures.shape[-2:]
        if height % self.patch or width % self.patch:
            raise ValueError(f"DINOv2 needs sides that divide by {self.patch}, got {height} x {width}")
        mean, deviation = (pictures.new_tensor(x)[:, None, None] for x in (MEAN, DEVIATION))
        patches = self.patch_embed["proj"]((pictures - mean) / deviation)
        rows, columns = patches.shape[-2:]
        tokens = rearrange(patches, "b d h w -> b (h w) d")
        tokens = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], dim=1)
        tokens = tokens + self.positions(rows, columns)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)

    def positions(self, rows: int, columns: int):
        """The position table for a grid of patches, (1, 1 + rows columns, width).

        Interpolated by the scale factor (n + 0.1) / grid, as the published code does; by size, the numbers
        are 0.4 % off.
        """
        if rows == columns == self.grid:
            return self.pos_embed
        first, table = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        table = rearrange(table, "1 (h w) d -> 1 d h w", h=self.grid)
        scale = (rows + 0.1) / self.grid, (columns + 0.1) / self.grid
        table = nn.functional.interpolate(table, scale_factor=scale, mode="bicubic")
        return torch.cat([first, rearrange(table, "1 d h w -> 1 (h w) d")], dim=1)


class DinoBlock(nn.Module):
    """Attention and feed-forward, each pre-normed, scaled channel by channel and residual."""

    def __init__(self, width, heads, mlp_ratio=4, swiglu=False):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn = DinoAttention(width, heads)
        self.ls1, self.ls2 = LayerScale(width), LayerScale(width)
        self.mlp = SwiGlu(width) if swiglu else Mlp(width, mlp_ratio * width)

    def forward(self, x):
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class DinoAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        q, k, v = rearrange(self.qkv(x), "b n (three h d) -> three b h n d", three=3, h=self.heads)
        return self.proj(rearrange(attend(q, k, v), "b h n d -> b n (h d)"))


class LayerScale(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * self.gamma


class Mlp(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x):
        return self.fc2(nn.functional.gelu(self.fc1(x)))


class SwiGlu(nn.Module):
    """The giant's feed-forward: two thirds of four widths, rounded up to a multiple of 8, gated by SiLU."""

    def __init__(self, width):
        super().__init__()
        hidden = (int(4 * width * 2 / 3) + 7) // 8 * 8
        self.w12, self.w3 = nn.Linear(width, 2 * hidden), nn.Linear(hidden, width)

    def forward(self, x):
        gate, value = self.w12(x).chunk(2, dim=-1)
        return self.w3(nn.functional.silu(gate) * value)
