"""Region maps as a hand would draw them: regions too large or too small, outlines too straight.

A branch that has seen exact outlines alone follows those of a rough map just as exactly (arXiv 2403.00467).
"""

import re
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from ldm.modules.diffusionmodules.util import ROW_SEED


def dilate(mask, pixels: int):
    """A mask bool (h, w) grown by so many pixels in every direction, or shrunk if `pixels` is negative."""
    size = 2 * abs(pixels) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    change = cv2.dilate if pixels > 0 else cv2.erode  # neither takes what is beyond the picture into account
    return change(mask.astype(np.uint8), disc).astype(bool)


def simplify(mask, pixels: float):
    """A mask bool (h, w) whose outlines, holes' too, are polygons that leave out up to so many pixels.

    The polygons are Douglas and Peucker's, through some of the outline's points. An outline too thin to be
    one stays as it is.
    """
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    polygons = [cv2.approxPolyDP(outline, pixels, closed=True) for outline in outlines]
    polygons = [short if len(short) > 2 else long for short, long in zip(polygons, outlines, strict=True)]
    drawn = np.zeros(mask.shape, np.uint8)
    cv2.fillPoly(drawn, polygons, 1)  # together, so that holes stay holes
    return drawn.astype(bool)


class Draw(NamedTuple):
    """What is asked of the data: which item, whether mirrored, and by what all else of it is drawn."""

    index: int
    mirrored: bool = False
    epoch: int = 0
    seed: int = 0

    def row_seed(self) -> int:
        """What noise, timestep and dropped conditions are drawn from, a function of (seed, epoch, index)."""
        key = np.random.SeedSequence([self.seed, self.epoch, self.index])
        return int(key.generate_state(1, np.uint64)[0] >> 1)


class RoughMaps:
    """Makes maps of region ids rough, each region by amounts of its own.

    Args:
        encoder: the HintEncoder that knows the colours of the regions.
        dilation: largest number of pixels that a region grows or shrinks by.
        simplification: largest distance in pixels between an outline and the polygon that replaces it.
    """

    def __init__(self, encoder, dilation: int, simplification: int):
        self.encoder, self.dilation, self.simplification = encoder, dilation, simplification

    def ids(self, ids, rng: np.random.Generator):
        """Region ids uint8 (h, w) -> ids like them: smaller regions lie over larger ones, none vanishes."""
        masks = {region: ids == region for region in np.unique(ids) if region}
        rough = np.zeros_like(ids)
        for region in sorted(masks, key=lambda region: -masks[region].sum()):
            mask = masks[region]
            if self.simplification:
                mask = simplify(mask, rng.uniform(0, self.simplification))
            if self.dilation:
                mask = dilate(mask, int(rng.integers(-self.dilation, self.dilation + 1)))
            rough[mask if mask.any() else masks[region]] = region
        return rough

    def hint(self, hint, rng):
        """The same of a hint (h, w, 3) in [0, 1], whose colours stay those of the regions, to the bit.

        Raises:
            ValueError: it has other colours, so what its regions are is not known.
        """
        ids = self.encoder.to_ids((np.asarray(hint) * 255).round())
        return torch.from_numpy(self.encoder.to_hint(self.ids(ids, rng)))


class RoughItems(Dataset):
    """The items of FlippedItems by a Draw, with rough maps drawn from (seed, epoch, index).

    Photos, their moments and prompts are those of the dataset.
    """

    def __init__(self, dataset, rough: RoughMaps, seed: int):
        self.dataset, self.rough, self.seed = dataset, rough, seed

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, draw: Draw):
        item = self.dataset[draw]
        try:
            rng = np.random.default_rng([self.seed, draw.epoch, draw.index])
            hint = self.rough.hint(item["hint"], rng)
        except ValueError as error:
            raise ValueError(
                f"the map of item {draw.index} cannot be made rough, train with mask_dilation=0 "
                f"mask_simplification=0: {error}"
            ) from error
        return {**item, "hint": hint}


# keys of an item that are mirrored, (H, W, c) each
PICTURES = "jpg hint agnostic mask pose mirrored_pose garment garment_mask garment_pixels".split()
SIDES = re.compile(r"\b(left|right)\b", re.IGNORECASE)


class FlippedItems(Dataset):
    """The items of a dataset by a Draw, with their row's seed; arrays (H, W, c) become tensors.

    A garment is mirrored with its person, so that what is written on it stays the same on both. An item whose
    prompt has the word left or right is never mirrored.
    """

    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, draw: Draw):
        item = self.dataset[draw.index]
        words = f"{item['txt']} {item.get('garment_txt', '')}"
        mirrored = draw.mirrored and not SIDES.search(words)
        arrays = {key: torch.as_tensor(item[key]) for key in PICTURES if key in item}
        if mirrored:
            arrays = {key: array.flip(1) for key, array in arrays.items()}
        if mirrored and "pose" in item:  # a mirrored left arm is a right one, which has another colour
            arrays["pose"] = torch.as_tensor(item["mirrored_pose"])
        if mirrored and "moments" in item:
            arrays |= self.dataset.read_mirrored(draw.index)
        return {**item, **arrays, ROW_SEED: draw.row_seed()}
