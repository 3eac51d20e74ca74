"""The try-on dataset: a person, a garment, and a mask of what may be repainted. Copy this file and edit it.

A folder holds `prompt.json` with one JSON object per line: {"target": person, "garment": picture, "mask":
mask, "prompt": text} and more, as tool_prepare_data.py writes it of VITON-HD, DressCode and own folders.
"""

from pathlib import Path

import cv2
import numpy as np
from torch.utils.data import Dataset

from annotator.openpose.pose import draw_joint_file
from batches.fitting_items import compose_item, number_category
from pictures.pairs import read_items


class TryonDataset(Dataset):
    """Items of one person and one garment, all float32 HWC.

    jpg (H, W, 3) person, agnostic (the same with grey where the mask is), garment: in [-1, 1]; mask (H, W, 1)
    in {0, 1}, 1 is repainted; garment_mask (H, W, 1) in {0, 1}, 1 is garment, all of it where the folder does
    not say; pose, mirrored_pose (H, W, 3) in [-1, 1], OpenPose's drawing where the folder has joints;
    garment_pixels: uint8 (H, W, 3) for image encoders; category_id: its place in
    batches.fitting_items.CATEGORIES; txt, garment_txt, category, name.

    Args:
        pairs: a file of lines "person garment", of names in the folder, to try other garments on; None takes
            the worn ones.
        augment: a function (person's pictures by key, rng) -> the same, all alike; None is off.
        augment_garment: its like for the garment.
    """

    def __init__(
        self, folder="training/fittings", split=None, pairs=None, augment=None, augment_garment=None, seed=0
    ):
        self.folder, items = read_items(folder)
        self.augment, self.augment_garment, self.seed = augment, augment_garment, seed
        known = {item["name"]: item for item in items}
        chosen = [item for item in items if split is None or item.get("split", "train") == split]
        self.pairs = [(item, item) for item in chosen]
        if pairs is not None:
            lines = Path(pairs).read_text(encoding="utf-8").splitlines()
            self.pairs = [self._find(known, line, pairs) for line in lines if line.strip()]
        if not self.pairs:
            raise ValueError(f"{folder} has no items" + (f" of split {split!r}" if split else ""))
        self.data = [person for person, _ in self.pairs]
        self.sizes = [tuple(item["size"]) if "size" in item else None for item in self.data]

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, idx):
        person, worn = self.pairs[idx]
        rng = np.random.default_rng([self.seed, idx])
        parts = dict(jpg=self.read(person["target"]), mask=self.read(person["mask"])[..., :1] > 127)
        if "pose" in person:
            parts |= draw_joint_file(self.folder / person["pose"], *parts["jpg"].shape[:2])
        garment = dict(garment=self.read(worn["garment"]))
        mask = self.read(worn["garment_mask"]) > 127 if "garment_mask" in worn else garment["garment"] >= 0
        garment["garment_mask"] = mask[..., :1]
        parts = self.augment(parts, rng) if self.augment else parts
        parts |= self.augment_garment(garment, rng) if self.augment_garment else garment
        return compose_item(parts) | self.describe(idx)

    def describe(self, idx):
        """What an item has besides pictures."""
        person, worn = self.pairs[idx]
        category = worn.get("category", "upper")
        return dict(
            txt=person["prompt"],
            garment_txt=worn.get("garment_prompt", ""),
            category=category,
            category_id=number_category(category, worn["name"]),
            name=f"{person['name']}__{worn['name']}",
        )

    def read(self, name):
        """The picture uint8 (H, W, 3), RGB."""
        image = cv2.imread(str(self.folder / name), cv2.IMREAD_COLOR_RGB)
        if image is None:
            raise FileNotFoundError(f"{self.folder / name} is missing or no picture that OpenCV reads")
        return image

    def _find(self, known, line, pairs):
        names = [n if n in known else n.rsplit(".", 1)[0] for n in line.split()[:2]]
        if len(names) < 2:
            raise ValueError(f"{pairs} has the line {line[:60]!r}: a person and a garment are wanted")
        person, garment = names
        for name in names:
            if name not in known:
                raise ValueError(f"{pairs} names {name}, which {self.folder} does not have")
        return known[person], known[garment]
