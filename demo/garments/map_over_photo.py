"""A region map over a photo in one picture, out of which the map can be read again.

An image editor's background travels to the browser and back. What this one shows, it also says: the pixels of
a region lie on a line of its own, from a base colour towards white by as much as the photo is bright. So the
map survives a restart of the server, a second tab, and a request of a program, and nothing is remembered.
"""

import numpy as np

from demo.garments.canvas import fit_photo
from pictures.painted_maps import painted_map

SHARE = 0.4  # of a region's colour in its base
TINT = 16, 8, 0  # in all bases: sets such pictures apart from maps, and from grey or colour photos
TOLERANCE = 3  # levels by which a browser may have changed a pixel
LUMA = 0.299, 0.587, 0.114
UNKNOWN = 255  # among region ids


def blend_over_photo(ids, photo, encoder):
    """A map uint8 (h, w) over a photo uint8 (H, W, 3) of its shape, as colours uint8 (h, w, 3)."""
    bases = _bases(encoder)
    if bases is None:
        raise ValueError("Two regions' colours differ in brightness alone, as do parts of a photo.")
    bright = fit_photo(photo, ids.shape, ids.shape) @ np.float32(LUMA) / 255
    rooms = 255 - bases.max(1)
    return np.rint(bases[ids] + (rooms[ids] * bright)[..., None]).astype(np.uint8)


def read_painted_ids(value, encoder):
    """Region ids uint8 (h, w) of an image editor's value, as `painted_map`, or if its map is over a photo."""
    background = (value or {}).get("background")
    ids = None if background is None else read_ids_over_photo(background, encoder)
    if ids is not None:
        opaque = np.full(ids.shape, 255, np.uint8)
        value = value | dict(background=np.dstack([encoder.to_rgb(ids), opaque]))
    return painted_map(value, encoder)


def read_ids_over_photo(rgba, encoder):
    """The map uint8 (h, w) that `blend_over_photo` put into colours uint8 (h, w, 4); None where it did not.

    Raises:
        ValueError: it did, but the picture was changed since, so that not every pixel says its region.
    """
    bases = _bases(encoder)
    # most pictures are others, which a line of pixels says
    if bases is None or _share_known(_match_lines(rgba[:1], bases)) < 0.5:
        return None
    ids = _match_lines(rgba, bases)
    if (known := _share_known(ids)) == 1:
        return ids
    if known < 0.5:
        return None
    raise ValueError(
        f"The map under the photo cannot be read at {(ids == UNKNOWN).sum()} of {ids.size} pixels: something "
        "between the page and here has changed its colours. Upload the map, or paint it anew."
    )


def _share_known(ids):
    return (ids != UNKNOWN).mean()


def _match_lines(rgba, bases):
    chroma, ids = _chroma(rgba[..., :3].astype(np.float32)), np.full(rgba.shape[:2], UNKNOWN, np.uint8)
    for region, line in enumerate(_chroma(bases)):
        ids[np.abs(chroma - line).max(-1) <= TOLERANCE] = region
    ids[rgba[..., 3] < 255] = UNKNOWN
    return ids


def _bases(encoder):
    """The colour float32 (regions, 3) of each region where the photo is black; None if two are too near."""
    bases = np.float32(encoder.colours) * SHARE + np.float32(TINT)
    chroma = _chroma(bases)
    apart = np.abs(chroma[:, None] - chroma).max(-1) + 255 * np.eye(len(bases))
    return bases if apart.min() > 2 * TOLERANCE + 2 else None


def _chroma(colours):
    return colours - colours.mean(-1, keepdims=True)
