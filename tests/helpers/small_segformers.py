"""Folders of small SegFormers with random weights, in the layout and with the labels of public parsers."""

import json

import torch

from annotator.segment.segformer import SegFormerSegmenter

ATR = (
    "Background Hat Hair Sunglasses Upper-clothes Skirt Pants Dress Belt Left-shoe Right-shoe Face Left-leg "
    "Right-leg Left-arm Right-arm Bag Scarf"
).split()
LIP = (
    "Background Hat Hair Glove Sunglasses Upper-clothes Dress Coat Socks Pants Jumpsuits Scarf Skirt Face "
    "Left-arm Right-arm Left-leg Right-leg Left-shoe Right-shoe"
).split()
FASHN = (
    "background face hair top dress skirt pants belt bag hat scarf glasses arms hands legs feet torso jewelry"
).split()


def write_segformer(folder, labels):
    torch.manual_seed(0)
    SegFormerSegmenter.fresh(labels, 32).save(folder, {})
    config = json.loads((folder / "config.json").read_text())
    del config["regions"]
    (folder / "config.json").write_text(json.dumps(config))
    return folder
