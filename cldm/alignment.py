"""The alignment term of LISA (arXiv 2606.27192): the branch's features are to tell what the U-Net gets wrong.

A small head predicts, from what enters one of the branch's zero convolutions, how far the U-Net alone is from
its target. The features get a gradient from there without waiting for zero convolutions to open. The head is
no part of what a run publishes.
"""

from itertools import pairwise

from torch import nn
from torch.nn.functional import interpolate, silu

from ldm.modules.diffusionmodules.util import timestep_embedding, zero_module

ALIGNMENT = "alignment."  # what the names of its tensors begin with
EMBEDDED = 256
NARROWEST, WIDE = 64, 512  # channels: no layer has fewer; from so many on, the first is 1 x 1


class AlignmentHead(nn.Module):
    """Features (b, c, h, w) before a zero convolution, timesteps (b,) -> (b, out_channels, k h, k w).

    With k = 2 ** doublings, the size of the latents. Its last layer begins at zero.

    Args:
        place: which features these are, of `list_places`.
    """

    def __init__(self, place: str, channels: int, doublings: int, out_channels: int):
        super().__init__()
        self.place, self.grows = place, doublings > 0
        self.embed = nn.Linear(EMBEDDED, channels)
        widths = [channels]
        for _ in range(max(1, doublings)):
            widths.append(max(widths[-1] // 2, NARROWEST))
        kernels = [1 if self.grows and channels >= WIDE else 3] + [3] * (len(widths) - 2)
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, kernel, padding=kernel // 2)
            for (a, b), kernel in zip(pairwise(widths), kernels, strict=True)
        )
        self.out = zero_module(nn.Conv2d(widths[-1], out_channels, 3, padding=1))

    def forward(self, features, timesteps):
        embedded = timestep_embedding(timesteps, EMBEDDED).to(self.embed.weight.dtype)
        x = features + silu(self.embed(embedded))[:, :, None, None]
        for layer in self.layers:
            x = silu(layer(x))
            x = interpolate(x, scale_factor=2.0) if self.grows else x
        return self.out(x)


def list_places(branch) -> dict[str, tuple[int, int]]:
    """Where a ControlNet can be aligned: name -> (channels, doublings up to the size of the latents).

    down_0 is what enters the outermost zero convolution, and so on inwards to mid.
    """
    levels, last = [0], len(branch.channel_mult) - 1
    for level in range(last + 1):
        levels += [level] * branch.num_res_blocks + [level + 1] * (level < last)
    places = {f"down_{i}": place for i, place in enumerate(zip(branch.skip_channels, levels, strict=True))}
    return places | dict(mid=(branch.skip_channels[-1], last))


def make_head(branch, place: str, out_channels: int) -> AlignmentHead:
    """A head for a branch's features at a place; ValueError where there is no such place."""
    places = list_places(branch)
    if place not in places:
        raise ValueError(f"align_at must be one of {', '.join(places)} for this model, got {place!r}")
    return AlignmentHead(place, *places[place], out_channels)
