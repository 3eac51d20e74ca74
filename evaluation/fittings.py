"""Held-out people and the garments that they try on: their own, or others by a list of pairs."""

from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evaluation.held_out import HeldOutItems
from evaluation.metrics import Metric
from evaluation.redrawing import Redrawing, Redrawn, is_drawn
from generation.control_files import digest
from pictures.photo import FILTER
from reporting.picture_sheet import Tile


def with_pairs(dataset, pairs):
    """A TryonDataset of other pairs (person, garment) of its folder's lines."""
    other = copy(dataset)
    other.pairs, other.data = list(pairs), [person for person, _ in pairs]
    other.sizes = [tuple(person["size"]) if "size" in person else None for person in other.data]
    return other


def roll_garments(pairs) -> list[tuple[dict, dict]]:
    """The people of pairs (person, garment), each with the next pair's garment.

    It is the next one of the same category that is another garment than the own.

    Raises:
        ValueError: there is none.
    """
    pairs, rolled = list(pairs), []
    for place, (person, worn) in enumerate(pairs):
        kind = worn.get("category")
        following = (other for _, other in pairs[place + 1 :] + pairs[:place])
        alike = (g for g in following if g["name"] != worn["name"] and g.get("category") == kind)
        if (other := next(alike, None)) is None:
            raise ValueError(f"there is no other garment of category {kind} than {worn['name']}")
        rolled.append((person, other))
    return rolled


@dataclass(frozen=True)
class FittingItem:
    """A person and a garment that is to be tried on.

    Args:
        given: the dataset's item, from which a picture is drawn.
        photo: uint8 (H, W, 3), the truth where there is one: the person redrawn in the garment, or wearing
            their own; else a photo of the person.
        garment: uint8 (h, w, 3).
        mask: bool (H, W), what is to be painted.
    """

    name: str
    prompt: str
    category: str
    given: dict
    photo: np.ndarray
    garment: np.ndarray
    mask: np.ndarray
    redrawn: Redrawn | None

    def drawn_from(self) -> bytes:
        parts = (self.given[key] for key in sorted(self.given))
        return b"".join(p.tobytes() if isinstance(p, np.ndarray) else str(p).encode() for p in parts)


class HeldOutFittings(HeldOutItems):
    """People and garments of a TryonDataset; drawn people are redrawn first, in what they try on.

    `has_truth`: whether it is known how each should look.

    Args:
        preset: an evaluation.presets.ProtocolPreset, or None.
    """

    multiple = 8  # of the autoencoder; a model may want more
    called = "people in garments"

    def __init__(self, dataset, num: int | None = None, workers: int = 1, preset=None):
        super().__init__(dataset, num)
        self.preset = preset
        self.redrawing, paired = None, all(person["name"] == worn["name"] for person, worn in dataset.pairs)
        if is_drawn(dataset.pairs):
            self.redrawing = Redrawing(dataset)
            self.redrawing.draw(self.places, workers)
        self.has_truth, self.notes = self.redrawing is not None or paired, self._list_notes(paired)
        self.real = "truth" if self.redrawing else "photo"
        self.identify()

    def _list_notes(self, paired) -> list[str]:
        if self.redrawing:
            return ["The truth is exact: the same person, drawn in the garment that was to be tried on."]
        estimates = "Photographs: similarities of garment and picture by a network are estimates of fidelity."
        if paired:
            return [estimates, "Paired: what the mask gives away of the worn garment helps all numbers."]
        return [estimates, "Unpaired: no photo shows the person in this garment, so none is compared with."]

    def __getitem__(self, i) -> FittingItem:
        place = self.places[i]
        given = self.dataset[place]
        redrawn = self.redrawing and self.redrawing[place]
        photo = redrawn.truth if redrawn else ((given["jpg"] + 1) * 127.5).round().astype(np.uint8)
        photo = self.preset.read_photo(photo) if self.preset else photo
        garment, mask = given["garment_pixels"], given["mask"][..., 0] > 0.5
        return FittingItem(
            given["name"], given["txt"], given["category"], given, photo, garment, mask, redrawn
        )

    def show(self, item):
        agnostic = ((item.given["agnostic"] + 1) * 127.5).round().astype(np.uint8)
        return [Tile(item.garment, caption="garment"), Tile(agnostic, caption="person")]

    def places_by_category(self) -> dict[str, list[int]]:
        """Category -> which of the items are of it."""
        found = {}
        for i, place in enumerate(self.places):
            found.setdefault(self.dataset.describe(place)["category"], []).append(i)
        return found

    def facts(self, folder, pairs) -> dict:
        """What a protocol says of the data; `pairs` is the file of pairs, None: their own garments."""
        split = ", ".join(sorted({line.get("split", "train") for line in self.dataset.data}))
        chosen = f"lines of {Path(pairs).name}" if pairs else f"items of split {split}"
        styles = sorted({str(line.get("mask_style")) for line in self.dataset.data})
        return self.describe(folder, chosen) | dict(
            split=split,
            pairs=Path(pairs).name if pairs else "each person's own garment",
            sha256_of_pairs=digest(pairs) if pairs else None,
            truth="redrawn" if self.redrawing else "photographs" if self.has_truth else "none",
            sha256_of_people_garments_masks_prompts=self.digest,
            mask_style=", ".join(styles),
            resize_filter=f"Pillow's {FILTER.name} where preparation has resized",
            file_format=", ".join(sorted({Path(line["target"]).suffix[1:] for line in self.dataset.data})),
            categories={name: len(places) for name, places in self.places_by_category().items()},
            names=[self.dataset.describe(place)["name"] for place in self.places],
        )


def of_category(metric: Metric, category: str, places) -> Metric:
    """A metric of the items at some places alone."""

    def statistic(rows, photo_rows):
        value = metric.statistic(rows[places], None if photo_rows is None else photo_rows[places])
        return lambda weights: value(weights[places])

    def told_by(rows):
        return metric.told_by(rows[places])

    name, meaning = f"{metric.name}, {category}", f"{metric.meaning}; of category {category}"
    return replace(metric, name=name, meaning=meaning, statistic=statistic, told_by=told_by)
