"""Is the mask obeyed? Generate from held-out maps, segment the pictures independently, compare with maps."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from einops import rearrange

from cldm.generate import Settings, sample


@dataclass
class ControlScore:
    """Intersection over union of wanted and found regions.

    `miou` is the mean of `iou` (region name -> value), each the sum of intersections over the sum of unions
    across all pictures; the background is not counted, nor are regions that no map contains. `pictures` is
    uint8 (n, H, W, 3), `found` their region ids uint8 (n, H, W).
    """

    miou: float
    iou: dict[str, float]
    pictures: np.ndarray
    found: np.ndarray


def region_iou(wanted, found, names) -> dict[str, float]:
    """Region ids (n, H, W) twice -> intersection over union per region in `wanted`, background aside."""
    result = {}
    for i, name in enumerate(names):
        a, b = wanted == i, found == i
        if i and a.any():
            result[name] = float((a & b).sum() / (a | b).sum())
    return result


def score(pictures, maps, judge, names) -> ControlScore:
    """How well pictures uint8 (n, H, W, 3) show the regions of maps uint8 (n, H, W), in the eyes of `judge`.

    `judge` maps pictures to region ids; it must not have taken part in making the pictures.
    """
    found = judge(pictures)
    iou = region_iou(maps, found, names)
    if not iou:
        raise ValueError("the maps contain nothing but background: there is no region to measure")
    return ControlScore(float(np.mean(list(iou.values()))), iou, pictures, found)


def control_score(model, maps, prompts, encoder, judge, settings: Settings, batch_size=16) -> ControlScore:
    """Generate one picture per map uint8 (n, H, W) and prompt, and score it. Strength 0 gives the floor.

    Picture i draws from seed settings.seed + i, whatever the batch size.
    """
    pictures = []
    hints = torch.from_numpy(encoder.to_hint(maps))
    hints = rearrange(hints, "b h w c -> b c h w")
    for start in range(0, len(maps), batch_size):
        part = slice(start, start + batch_size)
        seeded = replace(settings, seed=settings.seed + start)
        pictures.append(sample(model, hints[part], prompts[part], seeded, maps.shape[1:]))
    return score(np.concatenate(pictures), maps, judge, encoder.names)
