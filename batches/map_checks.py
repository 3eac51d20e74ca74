"""Whether maps are what a branch can learn from: seen before the first step, on a sample of the items."""

import numpy as np

SAMPLE = 32  # maps that are looked at, evenly spread
INVISIBLE = 16  # of 255: what stays below is black to any eye, and next to it to the branch
MOST_IDS = 64  # ids of garments and parts of the body end below; what is drawn to be seen does not
FEW, FLAT = 32, 0.8  # different values of a map of ids; share of its pixels whose neighbour has the same


def check_maps(dataset, encoder=None) -> None:
    """Look at the maps of some items dict(hint, ...), hint float32 (H, W, c) in [0, 1], if they have any.

    Edges, scribbles, poses and depth are welcome, however little of a map they cover.

    Args:
        encoder: the HintEncoder of a folder's regions.yaml, where it has one: then all colours are its.

    Raises:
        ValueError: a map has other colours, most maps hold ids instead of colours, or all of them are one
            shade throughout; with a file for an example, and the remedy.
    """
    places = np.unique(np.linspace(0, len(dataset) - 1, min(SAMPLE, len(dataset))).round().astype(int))
    dark, blank, num = [], [], len(places)
    for place in places.tolist():
        if (hint := dataset[place].get("hint")) is None:
            return
        pixels = (np.asarray(hint) * 255).round().astype(np.uint8)
        if encoder:
            _check_colours(pixels, encoder, _name(dataset, place))
        if pixels.min() == pixels.max():
            blank.append(place)
        elif looks_like_ids(pixels):
            dark.append((place, pixels.max()))
    if len(blank) == num:
        raise ValueError(
            f"nothing is in the maps: all {num} that were looked at are one shade throughout, "
            f"{_name(dataset, 0)} for one. Maps of ids with 16 bits look so, and wholly transparent ones"
        )
    if not encoder and 2 * len(dark) > num - len(blank):
        place, brightest = dark[0]
        raise ValueError(
            f"{len(dark)} of the {num} maps that were looked at are nearly black, as maps of ids are: "
            f"{_name(dataset, place)} has values up to {brightest} of 255. {REMEDY}"
        )


REMEDY = (
    "Put a regions.yaml beside them that lists names and colours by id, and tool_prepare_data.py gives the "
    "regions these colours; maps of any other kind want values from 0 to 255"
)


def looks_like_ids(pixels) -> bool:
    """Whether a map uint8 (h, w, c) holds small numbers where colours are wanted; 255 may mean unknown."""
    values = pixels.max(axis=-1)
    inner = (values > 0) & (values < 255)
    if not inner.any() or values[inner].max() >= MOST_IDS:
        return False
    if values.max() < INVISIBLE:
        return True
    alike = (values[:, 1:] == values[:, :-1])[inner[:, 1:]]
    return len(np.unique(values[inner])) <= FEW and alike.mean() >= FLAT


def _check_colours(pixels, encoder, name: str) -> None:
    try:
        encoder.to_ids(pixels)
    except ValueError as error:
        ids = f" It seems to hold ids. {REMEDY}." if looks_like_ids(pixels) else ""
        raise ValueError(
            f"the map {name} is not as its folder's regions.yaml says: {error}.{ids} Without regions.yaml "
            "maps are pictures in any colours"
        ) from error


def _name(dataset, place: int) -> str:
    """The map's file, where the dataset knows it."""
    lines = getattr(getattr(dataset, "dataset", dataset), "data", None)
    return lines[place]["source"] if lines else f"of item {place}"
