"""Leffa's flow term (arXiv 2412.08486): the garment, warped by where the person's queries look.

A = softmax(q k / sqrt(d) / temperature) over the garment's keys alone, averaged over heads; F = A C with the
keys' coordinates C in [-1, 1]; the loss compares the garment, sampled at F, with the person inside the worn
garment. Coordinates are those of pixels' centres throughout, so that A = I samples the picture itself.
"""

import torch
from einops import rearrange
from torch.nn.functional import grid_sample, interpolate, mse_loss

TEMPERATURE = 2.0


def attend_coordinates(q, k):
    """Queries (b, heads, n, d) and garment keys (b, heads, m, d) -> where each looks: shares (b, n, m)."""
    logits = torch.einsum("bhnd,bhmd->bhnm", q.float(), k.float()) * q.shape[-1] ** -0.5 / TEMPERATURE
    return logits.softmax(-1).mean(1)


def find_flow(shares, height: int, width: int):
    """Shares (b, n, m) of n = m = height width tokens -> x, y in [-1, 1], (b, height, width, 2)."""
    y, x = (
        (2 * torch.arange(size, device=shares.device, dtype=shares.dtype) + 1) / size - 1
        for size in (height, width)
    )
    coordinates = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)
    flow = shares @ rearrange(coordinates, "h w c -> (h w) c")
    return rearrange(flow, "b (h w) c -> b h w c", h=height)


def flow_loss(shares: dict, garment, person, worn, t, below: int = 500):
    """The mean over sites and the samples with t < below; zero without a gradient where there are none.

    Args:
        shares: (b, n, m) by site.
        garment, person: pictures (b, 3, H, W); worn: (b, 1, H, W), 1 where the person wears the garment.
        t: timesteps (b,).
    """
    early = t < below
    if not early.any() or not shares:
        return person.new_zeros(())
    garment, person, worn = (x[early] for x in (garment, person, worn))
    height, width = person.shape[-2:]
    losses = []
    for found in shares.values():
        factor = (height * width / found.shape[1]) ** 0.5
        flow = find_flow(found[early], round(height / factor), round(width / factor))
        flow = interpolate(rearrange(flow, "b h w c -> b c h w"), size=(height, width), mode="bilinear")
        flow = rearrange(flow.clamp(-1, 1), "b c h w -> b h w c")
        warped = grid_sample(garment, flow.to(garment.dtype), align_corners=False, padding_mode="border")
        losses.append(mse_loss(warped * worn, person * worn))
    return torch.stack(losses).mean()
