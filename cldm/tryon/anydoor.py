"""AnyDoor's detail branch (arXiv 2307.09481): a high-frequency map, laid into the scene, is the hint."""

import cv2
import numpy as np
from torch import nn

from cldm.cldm import ControlNet

MAP_SIDE, ERODED, THRESHOLD = 256, 5, 50


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


def find_edges(picture, mask, threshold: int = THRESHOLD) -> np.ndarray:
    """The garment's high-frequency map, uint8 (H, W, 3): its colours where its edges are, 0 elsewhere.

    At 256 x 256: the mask eroded twice by 5 x 5, the mean of both Sobel filters' absolute values, the maximum
    over colours; what is below the threshold is 0.

    Args:
        picture: uint8 (H, W, 3).
        mask: (H, W), the garment where it is over 0.5.
    """
    height, width = picture.shape[:2]
    side = (MAP_SIDE, MAP_SIDE)
    small = cv2.resize(picture, side)
    inside = (cv2.resize(np.asarray(mask, np.float32), side) > 0.5).astype(np.uint8)
    inside = cv2.erode(inside, np.ones((ERODED, ERODED), np.uint8), iterations=2)
    edges = [cv2.convertScaleAbs(cv2.Sobel(small, cv2.CV_16S, *order, ksize=3)) for order in ((1, 0), (0, 1))]
    strength = cv2.addWeighted(edges[0], 0.5, edges[1], 0.5, 0).max(-1) * inside
    strength[strength < threshold] = 0
    found = (strength[..., None].astype(np.float32) / np.float32(255) * small).astype(np.uint8)
    return cv2.resize(found, (width, height))
