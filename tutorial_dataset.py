"""The dataset: one picture, one map, one prompt. Copy this file and edit it for your own data.

A folder holds `prompt.json` with one JSON object per line, {"source": map, "target": picture, "prompt":
text}, the paths relative to the folder. fill50k comes like that, and so do the folders that
annotator.imaterialist writes.
"""

import json
from pathlib import Path

import cv2
import numpy as np
from torch.utils.data import Dataset


class MyDataset(Dataset):
    """Items dict(jpg, txt, hint): float32 (H, W, 3) picture in [-1, 1], prompt, map like it in [0, 1].

    Args:
        split: "train" or "val" for folders whose lines say which; None takes every line.
    """

    def __init__(self, folder="training/dolls", split=None):
        self.folder = Path(folder)
        if not (self.folder / "prompt.json").is_file():
            raise FileNotFoundError(f"{folder} is no training folder: it has no prompt.json")
        items = list(read_items(self.folder / "prompt.json"))
        self.data = [item for item in items if split is None or item.get("split", "train") == split]
        if not self.data:
            raise ValueError(f"{folder}/prompt.json has no items" + (f" of split {split!r}" if split else ""))

    def __len__(self):
        return len(self.data)

    def __getitem__(self, idx):
        item = self.data[idx]
        source = self.read(item["source"])
        target = self.read(item["target"])
        if source.shape != target.shape:
            raise ValueError(
                f"{item['source']} is {source.shape[:2]}, {item['target']} is {target.shape[:2]}"
            )
        return dict(
            jpg=target.astype(np.float32) / 127.5 - 1.0,
            txt=item["prompt"],
            hint=source.astype(np.float32) / 255.0,
        )

    def read(self, name):
        """The picture uint8 (H, W, 3), RGB; a palette map comes in its palette's colours."""
        image = cv2.imread(str(self.folder / name), cv2.IMREAD_COLOR_RGB)
        if image is None:
            raise FileNotFoundError(f"{self.folder / name} is missing or no picture that OpenCV reads")
        return image


def read_items(path):
    """The JSON objects of a prompt.json, one a line."""
    for number, line in enumerate(path.read_bytes().decode("utf-8-sig", "replace").split("\n"), 1):
        if line.strip():
            try:
                item = json.loads(line)
                wrong = not all(isinstance(item[key], str) for key in ("source", "target", "prompt"))
            except (ValueError, TypeError, KeyError):
                wrong = True
            if wrong:
                wanted = '{"source": map, "target": picture, "prompt": text}'
                raise ValueError(f"{path}, line {number}: wanted {wanted}, got {line[:60]!r}")
            yield item
