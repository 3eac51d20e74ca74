"""People and garments to choose from: dolls drawn for the page, a prepared training folder, plain folders."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from demo.photo import digest_of, read_photo
from paperdoll.labels import ATR, COCO_18, LIP, list_keypoints
from paperdoll.scene import draw_product
from paperdoll.tryon import arrange
from pictures.pairs import read_items

CATEGORIES = ("upper", "lower", "dress")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
MOST = 12  # of a category
SEED = 2027  # of drawn people: none that training draws
# index of each doll that is offered, by category
PEOPLE = dict(upper=(0, 1, 2, 4, 5, 8, 9, 11), lower=(0, 1, 2, 3), dress=(4, 5))
CLOTHES = dict(upper=(20, 21, 22, 23, 24, 25, 26, 27), lower=(30, 31, 32, 33), dress=(40, 41, 42, 43))


@dataclass(frozen=True, eq=False)
class Offer:
    """A person or a garment's product picture, uint8 (h, w, 3), and what is known of it.

    joints, labels, mask: as of generation.fitting_items.PersonPhoto, the mask for garments of the
    category; of a garment, mask is where it is, and `worn` says that somebody wears it.
    line: name, category, size and how it was drawn, as of a training folder's line; None for photographs.
    """

    name: str
    pixels: np.ndarray
    category: str = "upper"
    joints: Path | np.ndarray | None = None
    labels: Mapping = field(default_factory=dict)
    mask: Path | np.ndarray | None = None
    prompt: str = ""
    worn: bool = False
    line: dict | None = None

    @cached_property
    def digest(self) -> str:
        return digest_of(self.pixels)


@dataclass
class Offers:
    """What the page has to choose from."""

    people: list[Offer]
    clothes: list[Offer]

    def person(self, digest: str) -> Offer | None:
        return next((offer for offer in self.people if offer.digest == digest), None)

    def garment(self, digest: str) -> Offer | None:
        return next((offer for offer in self.clothes if offer.digest == digest), None)


def gather_offers(people: Path | None, clothes: Path | None, size, warn=print) -> Offers:
    """The people of a folder and the garments of another; of None, dolls of a size (H, W).

    A folder is a prepared one, which has a prompt.json, or holds pictures, of garments in upper/, lower/ and
    dress/, or directly, which are upper ones then. What cannot be read is named to `warn`.

    Raises:
        FileNotFoundError: one is no folder, or has nothing to offer.
    """
    found = Offers(
        people=read_folder(people, True, warn) if people else draw_people(size),
        clothes=read_folder(clothes, False, warn) if clothes else draw_clothes(size),
    )
    for option, folder, offers in (
        ("--people", people, found.people),
        ("--garments", clothes, found.clothes),
    ):
        if not offers:
            raise FileNotFoundError(f"{option} {folder} has no pictures that can be read")
    return found


def draw_people(size) -> list[Offer]:
    """Dolls of a size (H, W), to the hip for upper garments, whole for others."""
    offers = []
    for category, indices in PEOPLE.items():
        for index in indices:
            worn = arrange(SEED, index, size, category).wear()
            offers.append(
                Offer(
                    name=f"Person {len(offers) + 1}",
                    pixels=worn.drawing.photo,
                    category=category,
                    joints=np.array(list_keypoints(worn.keypoints, COCO_18, size)),
                    labels=dict(cihp=worn.drawing.labels(LIP), atr=worn.drawing.labels(ATR)),
                    line=_line(f"person_{category}_{index}", category, index, size),
                )
            )
    return offers


def draw_clothes(size) -> list[Offer]:
    """Product pictures of dolls' garments at a size (H, W)."""
    offers, names = [], Counter()
    for category, indices in CLOTHES.items():
        for index in indices:
            garment = arrange(SEED, index, size, category).garment
            drawn, pattern = draw_product(garment, size), garment.fabric.pattern
            name = f"{garment.colour} {garment.kind}".capitalize() + (
                f", {pattern}" if pattern != "plain" else ""
            )
            names[name] += 1
            offers.append(
                Offer(
                    name=f"{name} {names[name]}" if names[name] > 1 else name,
                    pixels=drawn.photo,
                    category=category,
                    mask=drawn.mask(garment=1),
                    line=_line(f"garment_{category}_{index}", category, index, size),
                )
            )
    return offers


def _line(name, category, index, size):
    drawn = dict(seed=SEED, index=index, size=list(size))
    return dict(name=name, category=category, size=list(size), drawn=drawn)


def read_folder(folder: Path, of_people: bool, warn) -> list[Offer]:
    """The people or the garments of a folder, at most twelve of a category."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{'--people' if of_people else '--garments'} {folder} is no folder")
    prepared = (folder / "prompt.json").is_file()
    found = _prepared(folder, of_people) if prepared else _plain(folder)
    offers, counts = [], Counter()
    for place, category, told in found:
        if counts[category] >= MOST:
            continue
        try:
            offers.append(Offer(pixels=read_photo(place), category=category, **told))
            counts[category] += 1
        except ValueError as error:
            warn(f"{place} is not offered: {error}")
    return offers


def _prepared(folder, of_people):
    """(file, category, what else an Offer has) of a training folder's lines, held-out ones first."""
    folder, lines = read_items(folder)
    for line in sorted(lines, key=lambda line: line.get("split", "train") == "train"):
        told = dict(name=line["name"], line=line if "drawn" in line else None)
        if of_people:
            told |= dict(joints=folder / line["pose"]) if "pose" in line else {}
            told |= dict(mask=folder / line["mask"]) if "mask" in line else {}
            labels = line.get("parse_labels")
            told |= dict(labels={labels: folder / line["parse"]}) if labels else {}
        else:
            told |= dict(prompt=line.get("garment_prompt", ""))
            told |= dict(mask=folder / line["garment_mask"]) if "garment_mask" in line else {}
        category = line.get("category", "upper")
        if category in CATEGORIES:
            yield folder / line["target" if of_people else "garment"], category, told


def _plain(folder):
    for category, place in ("upper", folder), *((name, folder / name) for name in CATEGORIES):
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            if path.suffix.lower() in SUFFIXES:
                yield path, category, dict(name=path.stem.replace("_", " "))
