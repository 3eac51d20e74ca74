"""Annotated rows become a region map, at the photo's size or at a crop's: one region id per pixel."""

import numpy as np

from annotator.imaterialist.annotations import Row
from annotator.imaterialist.rle import pixels_per_row, runs_box, runs_overlap, sample_runs
from pictures.regions import Regions, standard_regions

LEGACY_SIZE, LEGACY_MIN_SIDE = 768, 20
BELT, EMPIRE, DROPPED = 19, 85, 86
# shares of a garment's height, from its upper edge
EMPIRE_WAIST, DROPPED_WAIST, WAIST = 0.22, 0.55, (0.25, 0.37, 0.5)


def region_map(rows: list[Row], height: int, width: int, regions: Regions | None = None):
    """The region map of one photo, uint8 (height, width), at the size of its annotation.

    Garments are painted in the regions' order, larger before smaller; with the table `legacy`, as the public
    cloth-segmentation network was trained, wrong overlaps included. The default is the table `official`.
    """
    return _paint(rows, np.arange(height), np.arange(width), regions or standard_regions())


def region_map_at(rows: list[Row], crop, regions: Regions):
    """The region map of a crop, uint8 (h, w): exactly the photo's map at the crop's `sample_points()`.

    No mask is decoded at the photo's size, and the crop changes neither the order of painting nor a waist.
    """
    return _paint(rows, *crop.sample_points(), regions)


def find_painted_boxes(rows: list[Row], regions: Regions) -> list[tuple[int, int, int, int, int]]:
    """(left, top, right, bottom, region id) of all that is painted, right and bottom exclusive, in its order.

    The two boxes of a garment that is split at the waist share its columns.
    """
    boxes = []
    for row, region, (first, last) in _layers(rows, regions):
        left, top, right, bottom = runs_box(row.runs, row.height)
        top, bottom = max(top, first), min(bottom, last)
        if top < bottom:
            boxes.append((left, top, right, bottom, region))
    return boxes


def _paint(rows: list[Row], lines, columns, regions: Regions):
    """The map at these lines and columns of the photo."""
    layers = _layers(rows, regions)
    # down the columns, as masks are stored
    shape = len(columns), len(lines)
    if regions.table == "legacy":
        return np.ascontiguousarray(_blend_legacy(layers, lines, columns, shape).T)
    ids = np.zeros(shape, np.uint8)
    for row, region, (first, last) in layers:
        part = slice(*np.searchsorted(lines, (first, last)))
        mask = sample_runs(row.runs, row.height, lines[part], columns)
        np.copyto(ids[:, part], region, where=mask.T)
    return np.ascontiguousarray(ids.T)


def _blend_legacy(layers, lines, columns, shape):
    channels = np.zeros((3, *shape), bool)
    for row, region, _ in layers:
        channels[region - 1] |= sample_runs(row.runs, row.height, lines, columns).T
    top, bottom, whole = channels.astype(np.uint8)
    code = top + 2 * bottom + 3 * whole
    return np.where(code > 3, 1, code).astype(np.uint8)


def _layers(rows: list[Row], regions: Regions) -> list[tuple[Row, int, tuple[int, int]]]:
    """(row, region id, (first, last) line of the photo, last exclusive) to paint, one over the other."""
    if regions.table == "legacy":
        large = [row for row in rows if _is_large(row)]
        if rows and not large:
            return [(rows[0], 1, (0, rows[0].height))]
        regions_of = [(row, regions.region_of.get(row.category)) for row in large]
        return [(row, region, (0, row.height)) for row, region in regions_of if region]
    layers = []
    for row in sorted((row for row in rows if regions.paints(row.category)), key=_rank(regions)):
        if row.category in regions.split:
            waist = waist_line(row, rows)
            layers.append((row, regions.names.index("top"), (0, waist)))
            layers.append((row, regions.names.index("bottom"), (waist, row.height)))
        else:
            layers.append((row, regions.region_of[row.category], (0, row.height)))
    return layers


def _rank(regions: Regions):
    rank = {c: place for place, group in enumerate(regions.paint_order) for c in group}
    return lambda row: (rank[row.category], -int((row.runs[1] - row.runs[0]).sum()))


def _is_large(row: Row) -> bool:
    """Whether its box spans at least 20 pixels each way once the picture is squeezed to 768 x 768."""
    left, top, right, bottom = runs_box(row.runs, row.height)
    sides = (right - 1 - left) * LEGACY_SIZE / row.width, (bottom - 1 - top) * LEGACY_SIZE / row.height
    return min(sides) >= LEGACY_MIN_SIDE


def waist_line(garment: Row, rows: list[Row]) -> int:
    """The line of the photo from which on a garment is below the waist, as regions.yaml says."""
    belts = [row for row in rows if row.category == BELT]
    overlaps = [runs_overlap(belt.runs, garment.runs) for belt in belts]
    if any(overlaps):
        # a loose end may hang down: half of the belt's pixels lie above its middle
        pixels = np.cumsum(pixels_per_row(belts[int(np.argmax(overlaps))].runs, garment.height))
        return int(np.searchsorted(2 * pixels, pixels[-1]))
    _, top, _, bottom = runs_box(garment.runs, garment.height)
    for attribute, share in ((EMPIRE, EMPIRE_WAIST), (DROPPED, DROPPED_WAIST)):
        if attribute in garment.attributes:
            return round(top + share * (bottom - top))
    first, likely, last = (round(top + share * (bottom - top)) for share in WAIST)
    pixels = pixels_per_row(garment.runs, garment.height)[first : last + 1]
    narrowest = first + np.flatnonzero(pixels == pixels.min())
    return int(narrowest[np.abs(narrowest - likely).argmin()])
