"""Garment regions of photos by a U2-Net: the public cloth-segmentation network, or one trained here."""

import json
from pathlib import Path

from annotator.weights import read_weights

from .base import TRAINING, Segmenter, read_metadata
from .u2net import PUBLISHED_WIDTH, U2Net

PUBLISHED_SIZE = 768  # what the public network was trained at
LEGACY_REGIONS = "background", "top", "bottom", "whole"
LEGACY = (
    "the public cloth-segmentation network was trained on shifted labels (the table `legacy` of "
    "regions.yaml): skirts come out as whole, vests as bottom, and it knows no head"
)
WANTED = (
    "the public cloth-segmentation network, a .pth file of 165 MB that "
    "github.com/levindabhi/cloth-segmentation links to"
)


class U2NetSegmenter(Segmenter):
    """segmenter = U2NetSegmenter.load("models/annotators/cloth_segm_u2net_latest.pth")"""

    kind = "u2net"

    @classmethod
    def load(cls, path, device="cpu"):
        """The network of a file of TRAINING, or of the public .pth file, whose regions are said aloud.

        Raises:
            FileNotFoundError, ValueError: there is no such file, or other weights are in it.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"no U2-Net weights at {path}: wanted {WANTED}, or a file of {TRAINING}")
        said = read_metadata(path) if path.suffix == ".safetensors" else {}
        names = json.loads(said["names"]) if "names" in said else LEGACY_REGIONS
        size, width = int(said.get("size", PUBLISHED_SIZE)), int(said.get("width", PUBLISHED_WIDTH))
        segmenter = cls.fresh(names, size, width, device)
        read_weights(path, segmenter.network, f"a U2-Net of {len(names)} classes: wanted {WANTED}")
        if "names" not in said:
            print(f"{path}: {LEGACY}", flush=True)
        return segmenter

    @classmethod
    def fresh(cls, names, size: int = PUBLISHED_SIZE, width: int = PUBLISHED_WIDTH, device="cpu"):
        """The segmenter with random weights; `width` as in U2Net."""
        return cls(U2Net(len(names), width), names, size, device)

    def logits(self, x):
        return self.network(x * 2 - 1)

    def metadata(self):
        return super().metadata() | {"width": str(self.network.width)}
