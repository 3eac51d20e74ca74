"""Region maps as files: PNG in palette mode, whose pixel values are region ids."""

import io
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from jobs.whole_files import write_atomically
from pictures.masks import open_mask, region_ids
from pictures.regions import standard_regions


def encode_map(ids, colours=None) -> bytes:
    """Region ids, uint8 (h, w), as a palette PNG that also looks like what it means.

    `colours` are (r, g, b) by region id, by default those of the standard regions.
    """
    ids, colours = np.asarray(ids), colours or standard_regions().colours
    if ids.dtype != np.uint8 or ids.ndim != 2 or ids.max() >= len(colours):
        raise ValueError(
            f"a map must be uint8 (h, w) with ids 0 to {len(colours) - 1}, "
            f"got {ids.dtype} {ids.shape} up to {ids.max()}"
        )
    image = Image.fromarray(ids).convert("P")
    image.putpalette([value for colour in colours for value in colour])
    data = io.BytesIO()
    # a tenth of the time that optimize takes, and no larger than zlib's default
    image.save(data, "PNG", compress_type=zlib.Z_RLE)
    return data.getvalue()


def save_map(path, ids, colours=None) -> None:
    """Write the PNG of `encode_map`."""
    write_atomically(Path(path), encode_map(ids, colours))


def load_map(path, colours=None):
    """The region ids, uint8 (h, w), of a PNG with the palette of `colours`, or in exactly these colours.

    `colours` are (r, g, b) by region id, by default those of the standard regions.
    Raises:
        FileNotFoundError, ValueError: it is missing or damaged, or its pixels are not in these colours, as
            those of a greyscale picture of ids are not.
    """
    path, colours = Path(path), colours or standard_regions().colours
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing")
    image = open_mask(path)
    # paint programs keep the colours, which is what training sees, but not the palette
    if image.mode in ("RGB", "RGBA") or (image.mode == "P" and image.has_transparency_data):
        return region_ids(image, colours)
    if image.mode != "P":
        raise ValueError(
            f"{path} has mode {image.mode}: a region map is a PNG in palette mode P, or in colours"
        )
    ids, palette = np.asarray(image), image.getpalette()
    wanted = [value for colour in colours for value in colour]
    wrong = int((ids >= len(colours)).sum())
    if wrong:
        raise ValueError(f"{path} has {wrong} pixels off the palette: ids go from 0 to {len(colours) - 1}")
    used = [id for id in np.unique(ids) if palette[3 * id : 3 * id + 3] != wanted[3 * id : 3 * id + 3]]
    if used:
        raise ValueError(f"{path}: the palette gives id {used[0]} another colour than the regions do")
    return ids
