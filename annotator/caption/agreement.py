"""Whether phrases with boxes, of any captioner, fit a region map: a measure of a caption's truth.

Which garment a phrase is about is a matter of its last word before a preposition: "blue jeans" and "jeans
with a belt" are bottom, "a shirt dress" is whole. So "a woman in a red dress" is about a woman, whose box is
not the dress's: it is not checked, nor is what no region is painted for, nor a phrase without a box.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from annotator.caption.interface import Box
from jobs.yaml_files import read_yaml
from pictures.regions import NUM_CATEGORIES

NAMES_FILE = Path(__file__).with_name("garment_names.yaml")
# words that end what a phrase is about
ENDS = set(
    "with in on at over under from for by against near behind around to that which who worn wearing holding "
    "carrying made she he her his is are has featuring while underneath beneath".split()
)
AMOUNT = re.compile(r".*\b(pairs?|sets?|lots|kinds?|types?|styles?) of\b")
# parts of a region smaller than this share of its largest one have no box of their own
SMALLEST_PART = 0.1


@dataclass(frozen=True)
class Check:
    """A phrase and the region that it names.

    Args:
        covered: the share of the region's pixels inside the phrase's boxes.
        iou: the common area of the phrase's boxes and the region's, by the area of both together. Both are
            0 where the map lacks the region.
    """

    text: str
    region: str
    covered: float
    iou: float


@cache
def read_garment_names() -> dict[str, int]:
    """The category by each name of garment_names.yaml, hyphens as spaces; ValueError names a wrong entry."""
    content = read_yaml(NAMES_FILE)
    if not isinstance(content, dict):
        raise ValueError(f"{NAMES_FILE} must give categories their names, got {content!r}")
    for category, names in content.items():
        if type(category) is not int or not 0 <= category < NUM_CATEGORIES:
            raise ValueError(f"{NAMES_FILE}: there is no category {category!r}")
        texts = names if isinstance(names, list) else [names]
        if wrong := [name for name in texts if not isinstance(name, str) or texts is not names]:
            raise ValueError(f"{NAMES_FILE}: {category} wants a list of names, got {wrong[0]!r}")
    return {name.replace("-", " "): category for category, names in content.items() for name in names}


def category_of_phrase(text: str) -> int | None:
    """The iMaterialist category of the garment that a phrase is about; None for other things."""
    words = AMOUNT.sub("", re.sub(r"\s*-\s*", "-", text.lower())).split()
    words = [re.sub(r"[^\w-]", "", word) for word in words]
    place = next((i for i, word in enumerate(words) if word in ENDS or word == "of"), len(words))
    words = " ".join(words[:place]).replace("-", " ").split()
    names = read_garment_names()
    for start in range(len(words)):
        ending = " ".join(words[start:-1] + [""])
        for noun in list_singulars(words[-1]):
            if ending + noun in names:
                return names[ending + noun]
    return None


def list_singulars(noun: str) -> list[str]:
    """A noun, and what it may be the plural of."""
    found = [noun]
    for plural, singular in (("s", ""), ("es", ""), ("ies", "y"), ("ves", "f")):
        if noun.endswith(plural):
            found.append(noun.removesuffix(plural) + singular)
    return found


def region_of_phrase(text: str, regions) -> str | None:
    """The region of the garment that a phrase is about; None if there is none, or several."""
    named = set()
    for part in re.split(r"\sand\s|&|,", text):
        category = category_of_phrase(part)
        # a category that is painted as two regions is none's
        place = None if category in regions.split else regions.region_of.get(category)
        named.add(regions.names[place] if place else None)
    return named.pop() if len(named) == 1 else None


def find_part_boxes(ids, place: int) -> list[Box]:
    """Boxes, in [0, 1], of the connected parts of a region of a map, uint8 (h, w), specks left out."""
    height, width = ids.shape
    # the first part is what the region does not cover
    _, _, parts, _ = cv2.connectedComponentsWithStats((ids == place).astype(np.uint8), connectivity=8)
    parts = parts[1:]
    if not len(parts):
        return []
    areas = parts[:, cv2.CC_STAT_AREA]
    return [
        (x / width, y / height, (x + w) / width, (y + h) / height)
        for x, y, w, h, _ in parts[areas >= SMALLEST_PART * areas.max()].tolist()
    ]


def check_phrases(phrases, ids, regions) -> list[Check]:
    """The checks of those phrases, each with its boxes in [0, 1], that name a region of a map (h, w)."""
    checks = []
    for text, boxes in phrases:
        region = region_of_phrase(text, regions) if boxes else None
        if region is None:
            continue
        place = regions.names.index(region)
        said, painted = mark_boxes(boxes, ids.shape), ids == place
        real = mark_boxes(find_part_boxes(ids, place), ids.shape)
        covered = (said & painted).sum() / max(painted.sum(), 1)
        iou = (said & real).sum() / max((said | real).sum(), 1)
        checks.append(Check(text, region, float(covered), float(iou)))
    return checks


def measure_agreement(checks: list[Check]) -> float | None:
    """How well phrases fit a map, in [0, 1], the mean of all `covered` and `iou`; None without any check.

    1 is for boxes that are the regions'; a box of the whole picture gets about a half, a garment that the map
    lacks nothing.
    """
    if not checks:
        return None
    return sum(check.covered + check.iou for check in checks) / (2 * len(checks))


def mark_boxes(boxes: list[Box], shape):
    """What boxes in [0, 1] cover of a map of a shape (h, w), bool."""
    height, width = shape
    covered = np.zeros(shape, bool)
    for left, top, right, bottom in boxes:
        rows = slice(round(top * height), round(bottom * height))
        covered[rows, round(left * width) : round(right * width)] = True
    return covered
