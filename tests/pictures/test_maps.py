"""Region maps as files: what is saved is read back, and nothing else is taken for a map."""

import numpy as np
import pytest
from PIL import Image

from pictures.region_maps import encode_map, load_map, save_map
from pictures.regions import Regions


def test_a_map_round_trips_and_shows_its_colours(tmp_path):
    ids = np.arange(30, dtype=np.uint8).reshape(5, 6) % 5
    save_map(tmp_path / "a.png", ids)
    assert (load_map(tmp_path / "a.png") == ids).all()
    shown = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))
    assert shown[0, :5].tolist() == [[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]]
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    "ids", [np.full((4, 4), 5, np.uint8), np.zeros((4, 4)), np.zeros((4, 4, 3), np.uint8)]
)
def test_only_ids_can_be_saved(tmp_path, ids):
    with pytest.raises(ValueError, match="ids 0 to 4"):
        save_map(tmp_path / "a.png", ids)


def test_files_that_are_no_region_maps_are_refused(tmp_path):
    ids = np.array([[0, 1], [2, 9]], np.uint8)
    Image.fromarray(ids).save(tmp_path / "grey.png")
    with pytest.raises(ValueError, match="mode L"):
        load_map(tmp_path / "grey.png")
    off = Image.fromarray(ids).convert("P")
    off.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 0] + [9] * 15)
    off.save(tmp_path / "off.png")
    with pytest.raises(ValueError, match="1 pixels off the palette"):
        load_map(tmp_path / "off.png")
    other = Image.fromarray(ids % 3).convert("P")
    other.putpalette([0, 0, 0, 1, 2, 3, 0, 255, 0])
    other.save(tmp_path / "other.png")
    with pytest.raises(ValueError, match="another colour"):
        load_map(tmp_path / "other.png")


def test_a_map_of_more_regions_goes_with_their_colours(tmp_path):
    colours = Regions.read(table="detailed").colours
    ids = np.arange(9, dtype=np.uint8)[:, None]
    save_map(tmp_path / "a.png", ids, colours)
    assert (load_map(tmp_path / "a.png", colours) == ids).all()
    shown = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))
    assert (shown[:, 0] == colours).all()
    with pytest.raises(ValueError, match="4 pixels off the palette: ids go from 0 to 4"):
        load_map(tmp_path / "a.png")


def test_a_map_may_have_256_regions():
    colours = [(id, 255 - id, 7) for id in range(256)]
    ids = np.arange(256, dtype=np.uint8)[None]
    assert encode_map(ids, colours) == encode_map(ids.copy(), colours)
