"""Sheets of pictures keep their words within their width, in letters that can be read."""

import io

import numpy as np
import pytest
from PIL import Image, ImageFont

from reporting.picture_sheet import GAP, MARGIN, Row, Tile, draw_sheet, load_font, spell, wrap


@pytest.mark.parametrize("text", ["日本 dress", "a" * 500, "", "a\nb\tc", "Ärmel, платье, φόρεμα"])
def test_words_stay_within_the_width(text):
    lines = wrap(text, 15, 200, 2)
    assert all(load_font(15).getlength(line) <= 200 for line in lines) and len(lines) <= 2


@pytest.mark.parametrize(
    "text, shown",
    [
        ("Ärmel, платье, φόρεμα, “röd” …", "Ärmel, платье, φόρεμα, “röd” …"),
        ("ｄｒｅｓｓ", "dress"),
        ("日本 dress", "U+65E5 U+672C  dress"),
        ("a\0b", "aU+0000 b"),
    ],
)
def test_no_letter_becomes_a_question_mark(text, shown):
    assert spell(text) == shown


def test_an_endless_word_is_measured_a_few_times_not_once_a_letter(monkeypatch):
    """Languages without spaces write such; measuring takes time by the letter."""
    measured, original = [], ImageFont.FreeTypeFont.getlength

    def getlength(font, text, *options):
        measured.append(text)
        return original(font, text, *options)

    monkeypatch.setattr(ImageFont.FreeTypeFont, "getlength", getlength)
    [line] = wrap("ж" * 2000, 18, 1000, 2)
    assert len(measured) < 30 and line.endswith("ж...")
    font = load_font(18)
    assert original(font, line) <= 1000 < original(font, f"ж{line}")


def test_tiles_stand_side_by_side_and_maps_keep_their_colours():
    ids = np.zeros((16, 8, 3), np.uint8)
    ids[4:12] = 255, 0, 0
    photo = np.full((40, 80, 3), 200, np.uint8)
    rows = [
        Row("1. a dress", [Tile(ids, "map", is_map=True), Tile(photo, "seed 7")]),
        Row("", [None, Tile(photo)]),
    ]
    with Image.open(io.BytesIO(draw_sheet(rows, 64))) as sheet:
        pixels = np.asarray(sheet)
    assert pixels.shape[1] == 2 * 64 + GAP + 2 * MARGIN
    red = (pixels == (255, 0, 0)).all(-1)
    assert red.sum() == 32 * 32  # sharp, though made larger
    grey = np.argwhere((pixels == 200).all(-1))
    assert grey[:, 1].min() == MARGIN + 64 + GAP and len(grey) == 2 * 32 * 64
