"""The held-out items of a training folder, and what identifies them."""

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pictures.hint import HintEncoder
from reporting.picture_sheet import Tile

ORDER_SEED = 0


@dataclass(frozen=True)
class Item:
    """`map` and `photo` are uint8 (H, W, 3), `ids` the map's regions uint8 (H, W), None where unknown."""

    name: str
    prompt: str
    map: np.ndarray
    ids: np.ndarray | None
    photo: np.ndarray

    def drawn_from(self) -> bytes:
        """What a picture of it depends on."""
        height, width = self.map.shape[:2]
        return f"{height} {width} {self.prompt}".encode() + self.map.tobytes()


class HeldOutItems(ABC):
    """Items of a dataset, to be read once more by `identify`, which checks them.

    `places` are where they stand in it, `sizes` their (H, W), `keys` what a picture of each depends on,
    `digest` what all numbers depend on.

    Args:
        dataset: with the items' lines as `data`.
        num: how many items are drawn, always in one order; None takes all.
    """

    multiple = 64  # of the sides of pictures
    called = ""  # what a page calls them
    real = "photo"  # and the picture that a right one would be like
    notes = ()  # what must be said beside numbers of them

    def __init__(self, dataset, num: int | None = None):
        if num is not None and num < 1:
            raise ValueError(f"--limit must be at least 1, got {num}")
        self.dataset, self.available = dataset, len(dataset)
        # neighbours of a folder may be alike; more items begin with those of fewer
        order = np.random.default_rng(ORDER_SEED).permutation(self.available)[:num]
        self.places = sorted(order.tolist())

    def identify(self):
        self.sizes, self.keys, whole = [], [], hashlib.sha256()
        for i, place in enumerate(self.places):
            item = self[i]
            height, width = item.photo.shape[:2]
            if height % self.multiple or width % self.multiple:
                raise ValueError(
                    f"{item.name} is {height} x {width}: sides must be multiples of {self.multiple}, as "
                    "tool_prepare_data.py makes them"
                )
            drawn_from = hashlib.sha256(item.drawn_from())
            whole.update(drawn_from.digest() + hashlib.sha256(item.photo.tobytes()).digest())
            self.sizes.append((height, width))
            self.keys.append(f"{place:05d}_{drawn_from.hexdigest()[:8]}")
        self.digest = whole.hexdigest()[:16]

    @abstractmethod
    def __getitem__(self, i):
        """An item with `name`, `prompt`, `photo` uint8 (H, W, 3) and `drawn_from`."""

    @abstractmethod
    def show(self, item) -> list[Tile]:
        """What a picture of it is drawn from, to be looked at."""

    def __len__(self):
        return len(self.places)

    def chunks(self, size: int) -> list[list[int]]:
        """The items' places in parts of at most `size`, each of pictures of one size."""
        groups = {}
        for i, shape in enumerate(self.sizes):
            groups.setdefault(shape, []).append(i)
        return [group[i : i + size] for group in groups.values() for i in range(0, len(group), size)]

    def describe(self, folder, chosen: str) -> dict:
        """What a protocol says of any items; `chosen`: which of the folder's they are."""
        settings = Path(folder) / "settings.json"
        prepared = hashlib.sha256(settings.read_bytes()).hexdigest()[:16] if settings.is_file() else None
        sizes = Counter(f"{width}x{height}" for height, width in self.sizes)
        return dict(
            folder=str(folder),
            items=len(self),
            filter=f"{len(self)} of the {self.available} {chosen}, by seed {ORDER_SEED}",
            sha256_of_preparation=prepared,
            sizes=dict(sorted(sizes.items())),
        )


class HeldOut(HeldOutItems):
    """Maps and the photos behind them, of a MyDataset: items dict(jpg, txt, hint).

    `regions`: what the maps' colours mean; None where they are pictures in any colours.
    """

    called = "held-out maps"
    notes = (
        "SSIM, PSNR and LPIPS compare a picture with the photo behind its map. Another person in other "
        "clothes that follows map and prompt is as right, so low values are no fault: they are for comparing "
        "controls.",
    )

    def __init__(self, dataset, regions: HintEncoder | None, num: int | None = None):
        super().__init__(dataset, num)
        self.regions = regions
        self.identify()

    def __getitem__(self, i) -> Item:
        place = self.places[i]
        item, name = self.dataset[place], self.dataset.data[place]["source"]
        rgb = (item["hint"] * 255).round().astype(np.uint8)
        photo = ((item["jpg"] + 1) * 127.5).round().astype(np.uint8)
        try:
            ids = self.regions.to_ids(rgb) if self.regions else None
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        return Item(name, item["txt"], rgb, ids, photo)

    def show(self, item):
        return [Tile(item.map, caption="map", is_map=True)]

    def hint(self, items, encoder: HintEncoder | None):
        """The hints float32 (n, H, W, 3) of items of one size, in the colours of a control's encoder."""
        if encoder and self.regions:
            return encoder.to_hint(np.stack([item.ids for item in items]))
        return np.stack([item.map for item in items]).astype(np.float32) / 255.0

    def facts(self, folder, split) -> dict:
        """What a protocol says of the data."""
        names = [self.dataset.data[place]["source"] for place in self.places]
        told = dict(split=split, sha256_of_maps_photos_prompts=self.digest, names=names)
        return self.describe(folder, f"items of split {split}") | told


def check_regions(held_out_regions, encoder, data, control):
    """ValueError where a control was trained on other regions than a training folder has."""
    if held_out_regions and encoder and held_out_regions.names != encoder.names:
        raise ValueError(
            f"{control} was trained on the regions {', '.join(encoder.names)}, but {data} has "
            f"{', '.join(held_out_regions.names)}: give the folder of its kind by --data"
        )


def check_split(lines, data, split):
    """ValueError unless some of a training folder's lines are of the split."""
    splits = sorted({line.get("split", "train") for line in lines})
    if split not in splits:
        raise ValueError(
            f"{data} has no items of split {split}, only of {', '.join(splits)}: prepare it with held-out "
            "items, or name another by --split"
        )
