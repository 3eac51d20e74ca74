"""The dataset: one picture, one map, one prompt. Copy this file and edit it for your own data.

A folder holds `prompt.json` with one JSON object per line, {"source": map, "target": picture, "prompt":
text}, the paths relative to the folder. fill50k comes like that, and so do the folders that
tool_prepare_data.py writes. A .jsonl file of such lines, or a folder of images/ and masks/, will do as well.
"""

from copy import copy

import numpy as np
from torch.utils.data import Dataset

from pictures.decoding import read_hint, read_photo
from pictures.pairs import check_sizes, read_items
from pictures.regions import find_background


class MyDataset(Dataset):
    """Items dict(jpg, txt, hint): float32 (H, W, 3) picture in [-1, 1], prompt, map like it in [0, 1].

    Args:
        split: "train", "val" or "test" for folders whose lines say which; None takes every line.

    `data` are the lines, `sizes` their (H, W), None where a line does not say.
    """

    def __init__(self, folder="training/dolls", split=None):
        self.folder, self.data = read_items(folder)
        self.background = find_background(self.folder)
        self._keep(split)

    def part(self, split):
        """The items of one split, without reading the folder's table again."""
        part = copy(self)
        part._keep(split)
        return part

    def _keep(self, split):
        self.data = [item for item in self.data if split is None or item.get("split", "train") == split]
        if not self.data:
            raise ValueError(f"{self.folder} has no items" + (f" of split {split!r}" if split else ""))
        self.sizes = [tuple(item["size"]) if "size" in item else None for item in self.data]

    def __len__(self):
        return len(self.data)

    def __getitem__(self, idx):
        item = self.data[idx]
        source = self.read_map(item["source"])
        target = self.read(item["target"])
        check_sizes(item, source, target)
        jpg, hint = target.astype(np.float32), source.astype(np.float32)
        # in place, as fresh memory costs more time than the division
        jpg /= 127.5
        jpg -= 1.0
        hint /= 255.0
        return dict(jpg=jpg, txt=item["prompt"], hint=hint)

    def read(self, name):
        """A photo uint8 (H, W, 3), RGB, upright, white where it is transparent."""
        return read_photo(self.folder / name)

    def read_map(self, name):
        """A map like it, in its palette's colours; background where it is transparent."""
        return read_hint(self.folder / name, self.background)
