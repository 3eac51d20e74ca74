"""AnyDoor (arXiv 2307.09481): the cut-out garment is the context, its edges in the scene are the hint."""

import numpy as np
import torch
from torch import nn

from cldm.cldm import ControlNet
from cldm.tryon.collage import cut_garment, make_hint
from cldm.tryon.conditions import ControlHint, ImageTokens


class CollageNet(ControlNet):
    """A control branch that never sees the latents: the hint's features replace its first convolution's.

    The hint is (b, 4, 8 h, 8 w), picture in [-1, 1] and the box's mask. The first convolution stays in the
    state dict, as in the published files, and gets no gradient.
    """

    def encode(self, x, emb, context, stem_residual=None):
        h, skips = stem_residual, [stem_residual]
        for block in self.input_blocks[1:]:
            h = block(h, emb, context)
            skips.append(h)
        return self.middle_block(h, emb, context), skips

    def unused_parts(self) -> list[nn.Module]:
        """What never runs, and so does not train."""
        return [self.input_blocks[0]]


class CutGarment(ImageTokens):
    """Image tokens of the garment alone: cut out by its mask, on white, in a square of 224.

    mask_key: the batch's masks of the garments (b, H, W, 1) in [0, 1].
    """

    def __init__(self, name, encoder, projector, mask_key="garment_mask", **options):
        super().__init__(name, encoder, projector, **options)
        self.keys, self.mask_key = (*self.keys, mask_key), mask_key

    def pixels(self, batch, num=None):
        pairs = zip(*numpy_rows(batch, self.keys, num), strict=True)
        return torch.from_numpy(np.stack([cut_garment(picture, mask)[0] for picture, mask in pairs]))


class CollageHint(ControlHint):
    """A hint (b, 4, H, W) made of a batch: the agnostic person, and over the mask's box the garment's map.

    The agnostic person, not the photo, so that no pixel of the old garment is seen where the box does not
    cover its mask.
    """

    def __init__(self, name, branch, **options):
        super().__init__(name, branch, **options)
        self.keys = "agnostic", "mask", "garment_pixels", "garment_mask"

    def hints(self, batch, num=None):
        scenes, *others = numpy_rows(batch, self.keys, num)
        scenes = np.round((scenes + 1) * 127.5).astype(np.uint8)
        return torch.from_numpy(np.stack([make_hint(*row) for row in zip(scenes, *others, strict=True)]))


def numpy_rows(batch, keys, num=None) -> list[np.ndarray]:
    """What a batch has under some keys, on the CPU."""
    return [batch[key][:num].cpu().numpy() for key in keys]
