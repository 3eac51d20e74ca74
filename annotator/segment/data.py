"""Dolls to train and judge the segmenter with: photos and region maps, drawn once and kept in a file."""

import io
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from annotator.files import write_atomically
from annotator.imaterialist import Row, region_map, rle_encode
from annotator.paperdoll import draw

from .distort import degrade, warp


def doll_regions(doll):
    """The official region map, uint8 (h, w), of a drawn doll."""
    size = doll.photo.shape[:2]
    rows = [Row("", rle_encode(i.mask), *size, i.class_id, i.attributes) for i in doll.instances]
    return region_map(rows, *size)


def draw_dolls(num_dolls: int, seed: int, size: int = 128):
    """The first dolls of a seed: photos uint8 (n, size, size, 3) and region maps uint8 (n, size, size)."""
    photos = np.empty((num_dolls, size, size, 3), np.uint8)
    maps = np.empty((num_dolls, size, size), np.uint8)
    for index in range(num_dolls):
        doll = draw(seed, index, size)
        photos[index], maps[index] = doll.photo, doll_regions(doll)
        if (index + 1) % 500 == 0:
            print(f"drew {index + 1} of {num_dolls} dolls", flush=True)
    return photos, maps


def cached_dolls(path, num_dolls: int, seed: int):
    """draw_dolls, read from the file if it is there and written to it if not."""
    path = Path(path)
    if not path.exists():
        photos, maps = draw_dolls(num_dolls, seed)
        data = io.BytesIO()
        np.savez_compressed(data, photos=photos, maps=maps)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data.getvalue())
        return photos, maps
    with np.load(path) as arrays:
        return arrays["photos"], arrays["maps"]


def degraded(photos, seed: int):
    """The photos uint8 (n, h, w, 3), each degraded in its own way."""
    return np.stack([degrade(np.random.default_rng([seed, i]), photo) for i, photo in enumerate(photos)])


class DistortedDolls(Dataset):
    """Item i is a doll and its distortion, drawn from (seed, i) alone: the same in any order and worker."""

    def __init__(self, photos, maps, seed: int, num_items: int):
        self.photos, self.maps, self.seed, self.num_items = photos, maps, seed, num_items

    def __len__(self):
        return self.num_items

    def __getitem__(self, index):
        """Photo uint8 (h, w, 3) and region ids uint8 (h, w)."""
        rng = np.random.default_rng([self.seed, index])
        doll = rng.integers(len(self.photos))
        photo, ids = warp(rng, self.photos[doll], self.maps[doll])
        if rng.random() < 0.75:
            photo = degrade(rng, photo)
        return photo, ids
