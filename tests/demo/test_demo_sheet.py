"""The contact sheet shows a session's requests, a row each, with captions that can be read."""

import io

import numpy as np
import pytest
from PIL import Image

from demo.garments.drawing import DrawnPicture, map_to_keep
from demo.session import Sessions
from demo.session_sheet import draw_session_sheet
from demo_requests import REGIONS, top_and_bottom
from reporting import picture_sheet
from reporting.picture_sheet import GAP, MARGIN, TILE, wrap


@pytest.fixture
def session():
    sessions = Sessions()
    yield sessions.of("a")


def picture(seed, colour, prompt="a red top", with_map=True, miou=0.5):
    facts = dict(prompt=prompt, negative_prompt="", steps=1, sampler="ddim", scale=3.0, seed=seed)
    facts |= dict(size=[64, 64], model="m", controls=[], photo=None)
    return DrawnPicture(np.full((64, 64, 3), colour, np.uint8), facts, with_map, miou).to_keep()


def read(session):
    return np.asarray(Image.open(io.BytesIO(draw_session_sheet(session.pictures))))


def areas(pixels, colour):
    """Where tiles of a colour are: (top, left) each, sorted."""
    found = (pixels == colour).all(-1)
    corners = found & ~np.roll(found, 1, 0) & ~np.roll(found, 1, 1)
    return [tuple(map(int, corner)) for corner in np.argwhere(corners)]


def test_each_request_is_a_row_of_its_map_and_its_pictures(session):
    for colours in [(200, 0, 0), (0, 200, 0)], [(0, 0, 200)]:
        session.begin([map_to_keep(top_and_bottom(), REGIONS)])
        session.keep([picture(seed, colour) for seed, colour in enumerate(colours)])
    pixels = read(session)
    columns = [MARGIN + i * (TILE + GAP) for i in range(3)]
    assert pixels.shape[1] == columns[-1] + TILE + MARGIN
    (red,), (green,), (blue,) = (areas(pixels, c) for c in [(200, 0, 0), (0, 200, 0), (0, 0, 200)])
    assert red[0] == green[0] < blue[0] - TILE and [red[1], green[1], blue[1]] == columns[1:] + columns[1:2]
    map_of_first = pixels[red[0] : red[0] + TILE, columns[0] : columns[0] + TILE]
    assert np.array_equal(np.unique(REGIONS.to_ids(map_of_first)), [0, 1, 2])


def test_captions_stand_below_with_seed_and_miou(session, monkeypatch):
    written = []
    original = picture_sheet.write

    def write(draw, place, lines, *options):
        written.extend(lines)
        original(draw, place, lines, *options)

    monkeypatch.setattr(picture_sheet, "write", write)
    session.begin([map_to_keep(top_and_bottom(), REGIONS)])
    session.keep([picture(2**31 - 1, 9), picture(2**31 - 1, 9, with_map=False, miou=0.25)])
    read(session)
    assert written == [
        "region map",
        "seed 2147483647",
        "control mIoU 0.50",
        "seed 2147483647 without the map",
        "control mIoU 0.25",
        "1. a red top",
    ]


def test_what_does_not_fit_a_line_goes_on_below_the_pictures_and_long_prompts_end_in_dots(session):
    session.begin([map_to_keep(top_and_bottom(128, 64), REGIONS)])
    session.keep([picture(seed, (0, 0, 200), prompt="much " * 390) for seed in range(12)])
    pixels = read(session)
    places = areas(pixels, (0, 0, 200))
    assert len(places) == 12 and len({top for top, _ in places}) == 2
    assert min(left for _, left in places) == MARGIN + TILE + GAP
    assert wrap("much " * 390, 18, 1000, 2)[1].endswith("...")


def test_a_request_without_pictures_or_without_its_map_is_shown_all_the_same(session):
    session.begin([map_to_keep(top_and_bottom(), REGIONS)])
    read(session)
    session.keep([picture(0, (0, 0, 200))])
    session.pictures.pop(0)
    assert len(areas(read(session), (0, 0, 200))) == 1
