"""The small segmenter of paper dolls, the judge of what a control achieves."""

import json
from pathlib import Path

import torch
from torch.nn.functional import interpolate

from annotator.imaterialist import standard_regions
from annotator.weights import read_weights

from .base import TRAINING, Segmenter, read_metadata, region_ids
from .network import SegmenterNetwork


class PixelSegmenter(Segmenter):
    """Finds regions in small drawings and pictures.

    segmenter = PixelSegmenter.load("models/tiny/segmenter.safetensors")
    ids = segmenter(picture)  # uint8 (h, w, 3) in RGB -> uint8 (h, w)
    """

    kind, dtype = "pixel", torch.float16

    @classmethod
    def load(cls, path, device="cpu"):
        """The segmenter with the weights of a file that `save` wrote."""
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"no segmenter weights at {path}: train them with {TRAINING}")
        # the shipped file is older than these entries
        said = read_metadata(path)
        names = json.loads(said["names"]) if "names" in said else None
        segmenter = cls.fresh(names, int(said.get("size", 128)), device=device)
        read_weights(path, segmenter.network, f"this segmenter: train them with {TRAINING}")
        return segmenter

    @classmethod
    def fresh(cls, names=None, size: int = 128, device="cpu"):
        """The segmenter with random weights."""
        names = names or standard_regions().names
        if size % 16:
            raise ValueError(f"size must be a multiple of 16 for this network, got {size}")
        return cls(SegmenterNetwork(len(names)), names, size, device)

    def logits(self, x):
        return [self.network(x)]

    def _segment(self, images):
        # ids are resized, not logits: what the numbers of the shipped weights were measured with
        size, ids = images.shape[1:3], region_ids(self.logits(self._squeezed(images))[0])
        if size != (self.size, self.size):
            ids = interpolate(ids[:, None], size, mode="nearest-exact")[:, 0]
        return ids.cpu().numpy()
