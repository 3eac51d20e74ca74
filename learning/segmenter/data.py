"""Training folders to train and judge segmenters with: photos and region maps of the splits train and val."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch import from_numpy
from torch.utils.data import Dataset, TensorDataset

from annotator.segment.segmenters import read_painted_names
from learning.segmenter.distorted_dolls import DistortedDolls, degrade, draw_dolls, keep_dolls, warp
from pictures.decoding import read_photo
from pictures.pairs import read_items
from pictures.region_maps import load_map
from pictures.regions import read_regions, standard_regions

WEIGHED = 2000  # maps that class weights are taken from


class FolderPhotos:
    """The photos and maps of one split of a training folder, in its order.

    `names` are the regions, `colours` their (r, g, b), by id.

    Raises:
        FileNotFoundError, ValueError: there is no such folder, no regions.yaml, or no items of the split.
    """

    def __init__(self, folder, split: str):
        self.folder, items = read_items(folder)
        regions = self.folder / "regions.yaml"
        if not regions.is_file():
            raise FileNotFoundError(
                f"{self.folder} has no regions.yaml, the names and colours of its maps' regions: make the "
                "folder with tool_prepare_data.py, or write one like annotator/imaterialist/regions.yaml"
            )
        self.names = read_painted_names(regions)
        self.colours = read_regions(regions).colours[: len(self.names)]
        self.items = [item for item in items if item.get("split", "train") == split]
        if not self.items:
            raise ValueError(
                f"{folder} has no items of split {split!r}: tool_prepare_data.py writes train and val"
            )

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        """Photo uint8 (h, w, 3), RGB, and region ids uint8 (h, w); ValueError where their sizes differ."""
        path = self.folder / self.items[index]["target"]
        photo, ids = read_photo(path), self.map(index)
        if photo.shape[:2] != ids.shape:
            raise ValueError(f"{path} is {photo.shape[:2]}, its map is {ids.shape}: they must be of one size")
        return photo, ids

    def map(self, index):
        """Region ids uint8 (h, w) of an item."""
        path = self.folder / self.items[index]["source"]
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing, which {self.folder}'s table names")
        # a copy that may be written to, as torch wants it
        return np.array(load_map(path, self.colours))


class SqueezedPhotos(Dataset):
    """Photos and maps as squares of one size, as segmenters see them."""

    def __init__(self, photos: FolderPhotos, size: int, num_items: int):
        self.photos, self.size, self.num_items = photos, size, num_items

    def __len__(self):
        return self.num_items

    def __getitem__(self, index):
        """Photo uint8 (size, size, 3) and region ids uint8 (size, size)."""
        return squeeze(*self.photos[index], self.size)


class DistortedPhotos(SqueezedPhotos):
    """Item i is photo i of a shuffled folder, again and again, distorted by what (seed, i) alone decides."""

    def __init__(self, photos: FolderPhotos, size: int, seed: int, num_items: int):
        super().__init__(photos, size, num_items)
        self.seed = seed

    def __getitem__(self, index):
        epoch, place = divmod(index, len(self.photos))
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.photos))
        rng = np.random.default_rng([self.seed, index, 1])
        photo, ids = squeeze(*crop_at_random(rng, *self.photos[order[place]]), self.size)
        photo, ids = warp(rng, photo, ids)
        return (degrade(rng, photo) if rng.random() < 0.75 else photo), ids


def squeeze(photo, ids, size: int):
    """Photo (h, w, 3) and ids (h, w) at size x size."""
    if ids.shape == (size, size):
        return photo, ids
    # area where it shrinks, which it does most: no aliases of fabrics
    return (
        cv2.resize(photo, (size, size), interpolation=cv2.INTER_AREA),
        cv2.resize(ids, (size, size), interpolation=cv2.INTER_NEAREST_EXACT),
    )


def crop_at_random(rng, photo, ids):
    """Every second time a part of photo and ids, with sides of 60 to 100 % of theirs."""
    if rng.random() < 0.5:
        return photo, ids
    height, width = (round(side * rng.uniform(0.6, 1)) for side in ids.shape)
    top, left = rng.integers(ids.shape[0] - height + 1), rng.integers(ids.shape[1] - width + 1)
    part = slice(top, top + height), slice(left, left + width)
    return np.ascontiguousarray(photo[part]), np.ascontiguousarray(ids[part])


def weigh_regions(photos: FolderPhotos):
    """Median-frequency weights of the regions, float32, from the maps (2,000 evenly spaced ones at most).

    A region's frequency is its share of the pixels of the maps that have it (arXiv 1411.4734); its weight is
    the median of all frequencies by its own. Regions of no map weigh 1 and are said aloud.
    """
    pixels, present = np.zeros((2, len(photos.names)))
    for index in np.linspace(0, len(photos) - 1, min(len(photos), WEIGHED)).round().astype(int):
        ids = photos.map(index)
        found = np.bincount(ids.ravel(), minlength=len(photos.names))
        pixels += found
        present += ids.size * (found > 0)
    return _balance(pixels, present, photos.names)


def _balance(pixels, present, names):
    seen = present > 0
    frequency = pixels[seen] / present[seen]
    weights = np.ones(len(names), np.float32)
    weights[seen] = np.median(frequency) / frequency
    if not seen.all():
        missing = ", ".join(name for name, there in zip(names, seen, strict=True) if not there)
        print(f"no training map has the regions {missing}: they are not learnt", flush=True)
    return weights


@dataclass
class Examples:
    """Batches to train on and pictures to judge by.

    Args:
        names: of the regions by id.
        train, held_out: of photos uint8 (size, size, 3) and region ids uint8 (size, size).
        pairs, num_pairs: the held-out photos and maps in their own sizes, and how many of them are used.
        weights: of the regions in the loss, float32 (regions,), or None.
    """

    names: tuple[str, ...]
    train: Dataset
    held_out: Dataset
    pairs: Any
    num_pairs: int
    weights: Any = None


def draw_examples(
    run: Path, num_dolls: int, num_held_out: int, seed: int, judging_seed: int, num_items: int
) -> Examples:
    """Dolls, which `run` keeps, and other dolls to judge by; unweighted, as for the shipped weights."""
    # not dolls_*.npz, which runs of earlier versions kept: those drew other dolls
    photos, maps = keep_dolls(run / f"people_{num_dolls}_seed_{seed}.npz", num_dolls, seed)
    train = DistortedDolls(photos, maps, seed, num_items)
    photos, maps = draw_dolls(num_held_out, judging_seed)
    held_out = TensorDataset(from_numpy(photos), from_numpy(maps))
    pairs = list(zip(photos, maps, strict=True))
    return Examples(
        names=standard_regions().names, train=train, held_out=held_out, pairs=pairs, num_pairs=num_held_out
    )


def read_examples(folder, size: int, num_held_out: int, seed: int, num_items: int) -> Examples:
    """A training folder's split train, and the first `num_held_out` of its split val."""
    train, val = FolderPhotos(folder, "train"), FolderPhotos(folder, "val")
    num_pairs, weights = min(num_held_out, len(val)), weigh_regions(train)
    print(f"{folder}: {len(train)} photos, judged by {num_pairs} of {len(val)} held out", flush=True)
    said = ", ".join(f"{name} {weight:.2f}" for name, weight in zip(train.names, weights, strict=True))
    print(f"weights in the loss: {said}", flush=True)
    distorted = DistortedPhotos(train, size, seed, num_items)
    return Examples(
        names=train.names,
        train=distorted,
        held_out=SqueezedPhotos(val, size, num_pairs),
        pairs=val,
        num_pairs=num_pairs,
        weights=weights,
    )
