"""A session's pictures on one sheet: a row a request, what it was given first, captions below."""

import itertools

import numpy as np
from PIL import Image

from generation.picture_text import read_facts
from reporting.picture_sheet import Row, Tile, draw_sheet

ACROSS = 7  # tiles in a line, those that were given among them


def draw_session_sheet(pictures) -> bytes:
    """A PNG of a session's (file, caption) pairs by requests, whose number begins the files' names."""
    requests = itertools.groupby(pictures, lambda picture: picture[0].name.split("_")[0])
    return draw_sheet([row for _, request in requests for row in _rows_of([*request])])


def is_drawn(file) -> bool:
    """Whether a session's file is a picture that was drawn, rather than one that was given."""
    return file.stem.split("_")[1] == "seed"


def _rows_of(request):
    """A request's pictures in lines: what was given, unless it is too old to be kept, begins the first."""
    given = [picture for picture in request if not is_drawn(picture[0])]
    drawn = [picture for picture in request if is_drawn(picture[0])]
    facts = read_facts(drawn[0][0]) if drawn else dict(prompt="no picture yet")
    first = max(1, min(len(given), ACROSS - 1))
    width = ACROSS - first
    lines = [drawn[i : i + width] for i in range(0, len(drawn), width)] or [[]]
    rows = [Row(title="", tiles=[None] * first + [_tile_of(*p) for p in line]) for line in lines]
    rows[0].title = f"{int(request[0][0].name.split('_')[0])}. {facts['prompt']}"
    rows[0].tiles[: len(given[:first])] = [_tile_of(*picture) for picture in given[:first]]
    return rows


def _tile_of(file, caption):
    with Image.open(file) as image:
        return Tile(pixels=np.asarray(image.convert("RGB")), caption=caption, is_map=image.mode == "P")
