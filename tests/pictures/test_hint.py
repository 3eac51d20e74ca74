"""Region ids become the hint and come back, or an error says what is off."""

import numpy as np
import pytest

from pictures.hint import HintEncoder
from pictures.regions import REGIONS_FILE

ENCODER = HintEncoder.from_file(REGIONS_FILE)


def test_ids_survive_the_way_to_colours_and_back():
    ids = np.random.default_rng(0).integers(0, 5, (16, 24)).astype(np.uint8)
    assert (ENCODER.to_ids(ENCODER.to_rgb(ids)) == ids).all()


def test_a_hint_is_the_palette_between_0_and_1():
    hint = ENCODER.to_hint(np.array([[0, 1, 4]], np.uint8))
    assert hint.dtype == np.float32 and hint.tolist() == [[[0, 0, 0], [1, 0, 0], [1, 1, 0]]]


def test_the_encoder_travels_as_metadata():
    assert HintEncoder.from_metadata(ENCODER.metadata()) == ENCODER


def test_colours_off_the_palette_are_counted_and_named():
    rgb = ENCODER.to_rgb(np.zeros((8, 8), np.uint8))
    rgb[:2] = (250, 3, 3)
    with pytest.raises(ValueError, match=r"16 of 64 pixels are off the palette.*\(250, 3, 3\)"):
        ENCODER.to_ids(rgb)


def test_an_unknown_region_id_is_refused():
    with pytest.raises(ValueError, match="ids go from 0 to 4, got 7"):
        ENCODER.to_rgb(np.full((2, 2), 7, np.uint8))


def test_every_region_needs_a_colour():
    with pytest.raises(ValueError, match="one colour each"):
        HintEncoder.from_metadata(dict(names=["a", "b"], colours=[[0, 0, 0]]))


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        dict(names="ab", colours="cd"),
        dict(names=["a"], colours=["red"]),
        dict(names=["a"], colours=[[300, 0, 0]]),
        dict(names=["a"], colours=[[0, 0]]),
        dict(names=["a", "b"], colours=[[0, 0, 0], [0, 0, 0]]),
    ],
)
def test_what_describes_no_regions_is_refused(metadata):
    with pytest.raises(ValueError, match="regions are|a colour is"):
        HintEncoder.from_metadata(metadata)


@pytest.mark.parametrize("text", ["", "- a", "names: ["])
def test_a_file_without_regions_is_named(tmp_path, text):
    (tmp_path / "regions.yaml").write_text(text)
    with pytest.raises(ValueError, match="regions.yaml.*: "):
        HintEncoder.from_file(tmp_path / "regions.yaml")


def test_negative_ids_and_pictures_without_three_channels_are_refused():
    with pytest.raises(ValueError, match="got -1"):
        ENCODER.to_rgb(np.full((2, 2), -1))
    with pytest.raises(ValueError, match=r"must be \(h, w, 3\), got \(2, 2, 4\)"):
        ENCODER.to_ids(np.zeros((2, 2, 4), np.uint8))
