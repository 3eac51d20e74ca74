"""A session's pictures on one sheet: a row a request, its map first, captions below."""

import itertools

import numpy as np
from PIL import Image

from generation.picture_text import read_facts
from reporting.picture_sheet import Row, Tile, draw_sheet

ACROSS = 7  # tiles in a line, the map among them


def draw_session_sheet(pictures) -> bytes:
    """A PNG of a session's (file, caption) pairs: NUMBER_map.png, NUMBER_seed_....png, by requests."""
    requests = itertools.groupby(pictures, lambda picture: picture[0].name.split("_")[0])
    return draw_sheet([row for _, request in requests for row in _rows_of([*request])])


def _rows_of(request):
    """A request's pictures in lines: the map, which may be too old to be kept, stands first in the first."""
    maps = [picture for picture in request if picture[0].stem.split("_")[1] == "map"]
    drawn = [picture for picture in request if picture not in maps]
    prompt = read_facts(drawn[0][0])["prompt"] if drawn else "no picture yet"
    lines = [drawn[i : i + ACROSS - 1] for i in range(0, len(drawn), ACROSS - 1)] or [[]]
    rows = [Row(title="", tiles=[None, *(_tile_of(*picture) for picture in line)]) for line in lines]
    rows[0].title = f"{int(request[0][0].name.split('_')[0])}. {prompt}"
    rows[0].tiles[0] = _tile_of(*maps[0]) if maps else None
    return rows


def _tile_of(file, caption):
    with Image.open(file) as image:
        return Tile(pixels=np.asarray(image.convert("RGB")), caption=caption, is_map=image.mode == "P")
