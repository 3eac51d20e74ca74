"""Is the map obeyed? Generate from held-out maps, segment the pictures independently, compare with maps."""

from dataclasses import dataclass

import numpy as np

from cldm.controls import Control
from generation.generate import Settings, sample
from pictures.region_overlap import confusion, iou_per_region


@dataclass
class ControlScore:
    """Intersection over union of wanted and found regions.

    `miou` is the mean of `iou` (region name -> value), each the sum of intersections over the sum of unions
    across all pictures; the background is not counted, nor are regions that no map contains. `pictures` are
    uint8 (H, W, 3), `found` their region ids uint8 (H, W): arrays of all n, or lists where sizes differ.
    """

    miou: float
    iou: dict[str, float]
    pictures: np.ndarray | list
    found: np.ndarray | list


def stack_pictures(images):
    """Images as one array (n, ...), or a list where their sizes differ."""
    images = list(images)
    return np.stack(images) if len({image.shape for image in images}) == 1 else images


def group_by_size(maps) -> list[list[int]]:
    """The positions of the maps of each size, in their order."""
    groups = {}
    for i, ids in enumerate(maps):
        groups.setdefault(ids.shape, []).append(i)
    return list(groups.values())


def region_iou(wanted, found, names) -> dict[str, float]:
    """Region ids n (H, W) twice -> intersection over union per region in `wanted`, background aside."""
    counts = sum(confusion(one, ids, len(names)) for ids, one in zip(wanted, found, strict=True))
    iou = iou_per_region(counts)
    return {name: float(iou[i]) for i, name in enumerate(names) if i and counts[i].any()}


def score_pictures(pictures, maps, judge, names) -> ControlScore:
    """How well pictures uint8 (H, W, 3) show the regions of maps uint8 (H, W), in the eyes of `judge`.

    `judge` maps pictures (n, H, W, 3) of one size to region ids (n, H, W); it must not have taken part in
    making the pictures.
    """
    found = [None] * len(maps)
    for part in group_by_size(maps):
        for i, ids in zip(part, judge(np.stack([pictures[i] for i in part])), strict=True):
            found[i] = ids
    iou = region_iou(maps, found, names)
    if not iou:
        raise ValueError("the maps contain nothing but background: there is no region to measure")
    return ControlScore(float(np.mean(list(iou.values()))), iou, pictures, stack_pictures(found))


def measure_control(
    model, maps, prompts, encoder, judge, settings: Settings, batch_size=16, strength=1.0
) -> ControlScore:
    """Generate one picture per map uint8 (H, W) and prompt, and score it. Strength 0 gives the floor."""
    pictures = draw_maps(model, maps, prompts, encoder, settings, batch_size, strength=strength)
    return score_pictures(pictures, maps, judge, encoder.names)


def draw_maps(model, maps, prompts, encoder, settings: Settings, batch_size=16, numbers=None, strength=1.0):
    """One picture uint8 (H, W, 3) per map uint8 (H, W) and prompt, `stacked`.

    Picture i draws from seed settings.seed + i, or + numbers[i] where `numbers` tell the items' places among
    others, whatever the batch size and the sizes of the others.
    """
    pictures, numbers = [None] * len(maps), range(len(maps)) if numbers is None else numbers
    for group in group_by_size(maps):
        for part in (group[i : i + batch_size] for i in range(0, len(group), batch_size)):
            control = Control(encoder.to_hint(np.stack([maps[i] for i in part])), strength=strength)
            texts, seeds = [prompts[i] for i in part], [settings.seed + numbers[i] for i in part]
            drawn = sample(model, [control], texts, settings, maps[part[0]].shape, seeds=seeds)
            for i, picture in zip(part, drawn, strict=True):
                pictures[i] = picture
    return stack_pictures(pictures)
