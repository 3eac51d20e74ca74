"""Dolls to train and judge the segmenter with: photos and region maps, drawn once and kept in a file."""

import io
from pathlib import Path

import cv2
import numpy as np
from torch.utils.data import Dataset

from annotator.imaterialist import Row, region_map, rle_encode
from jobs.progress import Progress
from jobs.whole_files import write_atomically
from paperdoll import draw


def warp(rng, photo, ids):
    """Photo uint8 (h, w, 3) and ids uint8 (h, w), mirrored, moved, turned, scaled and bent alike."""
    if rng.random() < 0.5:
        photo, ids = photo[:, ::-1], ids[:, ::-1]
    if rng.random() < 0.25:
        return np.ascontiguousarray(photo), np.ascontiguousarray(ids)
    height, width = ids.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) - np.float32([height / 2, width / 2])[:, None, None]
    angle, scale = rng.normal(0, 0.08), np.exp(rng.uniform(-0.25, 0.25))
    cos, sin, aspect = scale * np.cos(angle), scale * np.sin(angle), np.exp(rng.normal(0, 0.06))
    place = np.stack([aspect * (cos * x - sin * y), sin * x + cos * y])
    place += np.float32([width / 2, height / 2])[:, None, None] + rng.normal(0, 4, (2, 1, 1))
    if rng.random() < 0.6:
        place += [_blotches(rng, height, width, 10) * rng.uniform(0, 2.5) for _ in range(2)]
    x, y = place.astype(np.float32)
    border = cv2.BORDER_REPLICATE
    return (
        cv2.remap(photo, x, y, cv2.INTER_LINEAR, borderMode=border),
        cv2.remap(ids, x, y, cv2.INTER_NEAREST, borderMode=border),
    )


def degrade(rng, photo):
    """The photo, uint8 (h, w, 3), after random shifts of colour and losses of detail."""
    x = _recolour(rng, photo.astype(np.float32))
    height, width = photo.shape[:2]
    if rng.random() < 0.6:
        factor = rng.uniform(1.2, 4.5)
        small = cv2.resize(x, (round(width / factor), round(height / factor)), interpolation=cv2.INTER_AREA)
        x = cv2.resize(small, (width, height), interpolation=rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC]))
    if rng.random() < 0.5:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.4, 2.0))
    if rng.random() < 0.2:
        x = x + rng.uniform(0.3, 1.5) * (x - cv2.GaussianBlur(x, (0, 0), 1.5))
    if rng.random() < 0.5:
        blotches = np.stack([_blotches(rng, height, width, 5) for _ in range(3)], axis=-1)
        x = x + 14 * rng.random() ** 2 * blotches
    if rng.random() < 0.5:
        x = x + rng.normal(0, rng.uniform(1, 14), x.shape)
    x = np.clip(x, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        quality = int(rng.integers(12, 80))
        x = cv2.imdecode(cv2.imencode(".jpg", x, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    return x


def _recolour(rng, x):
    """Other saturation, contrast, brightness and tint of a float32 photo in [0, 255]."""
    grey = x.mean(axis=-1, keepdims=True)
    x = grey + (x - grey) * rng.uniform(0.7, 1.25)
    gain = rng.uniform(0.8, 1.15) + rng.normal(0, 0.03, 3)
    return ((x - 128) * gain + 128 + rng.normal(0, 8) + rng.normal(0, 4, 3)).astype(np.float32)


def _blotches(rng, height: int, width: int, finest: int):
    """Smooth noise of about unit variance, float32 (height, width), in grains of `finest` to 32 pixels."""
    grain = np.exp(rng.uniform(np.log(finest), np.log(32)))
    coarse = rng.normal(size=(int(height / grain) + 2, int(width / grain) + 2)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def doll_regions(doll):
    """The official region map, uint8 (h, w), of a drawn doll."""
    height, width = doll.photo.shape[:2]
    rows = [
        Row(
            image="",
            rle=rle_encode(instance.mask),
            height=height,
            width=width,
            category=instance.class_id,
            attributes=instance.attributes,
        )
        for instance in doll.instances
    ]
    return region_map(rows, height, width)


def draw_dolls(num_dolls: int, seed: int, size: int = 128):
    """The first dolls of a seed: photos uint8 (n, size, size, 3) and region maps uint8 (n, size, size)."""
    photos = np.empty((num_dolls, size, size, 3), np.uint8)
    maps = np.empty((num_dolls, size, size), np.uint8)
    progress = Progress(f"seed {seed}", num_dolls, "dolls")
    for index in range(num_dolls):
        doll = draw(seed, index, size)
        photos[index], maps[index] = doll.photo, doll_regions(doll)
        progress.add(1)
    return photos, maps


def keep_dolls(path, num_dolls: int, seed: int):
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


def degrade_all(photos, seed: int):
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
