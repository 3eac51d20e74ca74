"""Mirrored items: picture and map together, unless the prompt tells left from right."""

import re

import torch
from torch.utils.data import Dataset

SIDES = re.compile(r"\b(left|right)\b", re.IGNORECASE)


class FlippedItems(Dataset):
    """The items of a dataset by (index, mirrored, ...); its arrays (H, W, c) become tensors.

    An item whose prompt has the word left or right is never mirrored.
    """

    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, place):
        index, mirrored = place[:2]
        item = self.dataset[index]
        mirrored = mirrored and not SIDES.search(item["txt"])
        arrays = {key: torch.as_tensor(item[key]) for key in ("jpg", "hint") if key in item}
        if mirrored:
            arrays = {key: array.flip(1) for key, array in arrays.items()}
        if mirrored and "moments" in item:
            arrays["moments"] = self.dataset.moments(index, mirrored=True)
        return {**item, **arrays}
