"""Annotation rows become a region map: one id per pixel, as regions.yaml says."""

from functools import cache
from pathlib import Path

import numpy as np
import yaml

from .annotations import Row
from .rle import rle_decode

REGIONS_FILE = Path(__file__).with_name("regions.yaml")
LEGACY_SIZE, LEGACY_MIN_SIDE = 768, 20


@cache
def read_regions() -> dict:
    """The content of regions.yaml: names, colours, tables, paint_order."""
    return yaml.safe_load(REGIONS_FILE.read_text(encoding="utf-8"))


def region_of_category(table: str) -> dict[int, int]:
    """Region id by category id, for the categories that a table names."""
    regions = read_regions()
    if table not in regions["tables"]:
        raise ValueError(f"table must be one of {', '.join(regions['tables'])}, got {table!r}")
    names = regions["names"]
    return {c: names.index(name) for name, ids in regions["tables"][table].items() for c in ids}


def region_map(rows: list[Row], height: int, width: int, table: str = "official"):
    """The region map of one picture, uint8 (height, width), at the resolution of its annotation.

    official: garments are painted in the order of regions.yaml, larger before smaller.
    legacy: the map that the public cloth-segmentation network was trained on, wrong overlaps included.
    """
    regions = region_of_category(table)
    paint = {"official": _paint_in_order, "legacy": _paint_legacy}[table]
    return paint(rows, height, width, regions)


def _paint_in_order(rows, height, width, regions):
    rank = {c: place for place, group in enumerate(read_regions()["paint_order"]) for c in group}
    garments = [(row, _area(row)) for row in rows if row.category in regions]
    ids = np.zeros((height, width), np.uint8)
    for row, _ in sorted(garments, key=lambda garment: (rank[garment[0].category], -garment[1])):
        ids[rle_decode(row.rle, height, width)] = regions[row.category]
    return ids


def _area(row: Row) -> int:
    return sum(map(int, row.rle.split()[1::2]))


def _paint_legacy(rows, height, width, regions):
    masks = [rle_decode(row.rle, height, width) for row in rows]
    large = [(row.category, mask) for row, mask in zip(rows, masks, strict=True) if _is_large(mask)]
    channels = np.zeros((3, height, width), bool)
    if rows and not large:
        channels[0] = masks[0]
    for category, mask in large:
        if category in regions:
            channels[regions[category] - 1] |= mask
    top, bottom, whole = channels.astype(np.uint8)
    code = top + 2 * bottom + 3 * whole
    return np.where(code > 3, 1, code).astype(np.uint8)


def _is_large(mask) -> bool:
    """Whether the mask's box spans at least 20 pixels each way once the picture is squeezed to 768 x 768."""
    sides = []
    for axis in (0, 1):
        places = np.flatnonzero(mask.any(axis=axis))
        sides.append((places[-1] - places[0]) * LEGACY_SIZE / mask.shape[1 - axis])
    return min(sides) >= LEGACY_MIN_SIDE
