"""What people paint or upload becomes region ids exactly, or an error that says what is wrong."""

import numpy as np
import pytest
from PIL import Image

from pictures.hint import HintEncoder
from pictures.painted_maps import painted_map, read_map, working_map
from pictures.region_maps import save_map
from pictures.regions import REGIONS_FILE

ENCODER = HintEncoder.from_file(REGIONS_FILE)


def example(height=40, width=60):
    """A map with all regions."""
    ids = np.zeros((height, width), np.uint8)
    for region in range(1, 5):
        ids[5:30, 10 * region : 10 * region + 8] = region
    return ids


def rgba(ids, alpha=255):
    return np.dstack([ENCODER.to_rgb(ids), np.full(ids.shape, alpha, np.uint8)])


def save(path, image, **options):
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


@pytest.mark.parametrize("kind", ["palette", "rgb", "rgba", "bmp"])
def test_a_map_is_read_exactly_from_every_lossless_format(tmp_path, kind):
    ids, path = example(), tmp_path / ("map.bmp" if kind == "bmp" else "map.png")
    if kind == "palette":
        save_map(path, ids)
    else:
        save(path, rgba(ids) if kind == "rgba" else ENCODER.to_rgb(ids))
    assert np.array_equal(read_map(path, ENCODER), ids)


def test_transparent_pixels_are_background_whatever_their_colour(tmp_path):
    picture = np.where(example()[..., None] > 0, rgba(example()), np.uint8([77, 88, 99, 0]))
    assert np.array_equal(read_map(save(tmp_path / "map.png", picture), ENCODER), example())


def test_colours_off_the_palette_are_counted_with_the_remedy(tmp_path):
    rgb = ENCODER.to_rgb(example())
    rgb[0, :7] = 10, 20, 30
    path = save(tmp_path / "map.png", rgb)
    with pytest.raises(
        ValueError, match=r"(?s)7 of 2400 pixels.*\(10, 20, 30\).*top \(255, 0, 0\).*save as PNG"
    ):
        read_map(path, ENCODER)


def test_a_jpeg_of_a_map_is_refused(tmp_path):
    path = save(tmp_path / "map.jpg", ENCODER.to_rgb(example()))
    with pytest.raises(ValueError, match="JPEG, smoothed edges"):
        read_map(path, ENCODER)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16", "RGB"])
def test_greyscale_pictures_are_called_so(tmp_path, mode):
    grey = Image.fromarray(example() * 50)
    path = save(
        tmp_path / "map.png", grey.convert("I").convert(mode) if mode == "I;16" else grey.convert(mode)
    )
    with pytest.raises(ValueError, match="greyscale"):
        read_map(path, ENCODER)


def test_files_that_are_no_pictures_are_refused(tmp_path):
    whole = save(tmp_path / "map.png", ENCODER.to_rgb(example(400, 600))).read_bytes()
    for name, content in dict(text=b"hello", empty=b"", cut=whole[: len(whole) // 2]).items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="no picture that can be read, or it is damaged"):
            read_map(tmp_path / name, ENCODER)


def test_huge_pictures_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    wide = save(tmp_path / "wide.png", Image.new("P", (4097, 8)))
    with pytest.raises(ValueError, match="4097 x 8 pixels: sides of at most 4096"):
        read_map(wide, ENCODER)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ValueError, match="far too large: sides of at most 4096"):
        read_map(wide, ENCODER)
    with open(tmp_path / "heavy.png", "wb") as file:
        file.truncate(33 * 2**20)
    with pytest.raises(ValueError, match="33 MB: maps of at most 32 MB"):
        read_map(tmp_path / "heavy.png", ENCODER)


def test_strokes_lie_over_the_background_and_black_ones_erase_it():
    layer = np.zeros((40, 60, 4), np.uint8)
    layer[:10] = 0, 0, 255, 255
    layer[20:] = 0, 0, 0, 255
    wanted = example()
    wanted[:10], wanted[20:] = 3, 0
    value = dict(background=rgba(example()), layers=[layer], composite=None)
    assert np.array_equal(painted_map(value, ENCODER), wanted)
    assert np.array_equal(painted_map(dict(value, background=None), ENCODER)[:10], wanted[:10])


def test_smoothed_rims_of_strokes_go_to_the_nearest_region():
    layer = np.zeros((40, 60, 4), np.uint8)
    layer[10:30, 10:50] = 255, 0, 0, 255
    layer[9, 10:50], layer[30, 10:50] = (255, 0, 0, 140), (250, 9, 0, 200)
    ids = painted_map(dict(background=rgba(np.zeros((40, 60), np.uint8)), layers=[layer]), ENCODER)
    wanted = np.zeros((40, 60), np.uint8)
    wanted[9:31, 10:50] = 1
    assert np.array_equal(ids, wanted)


def test_a_layer_in_other_colours_is_refused():
    layer = rgba(example())
    layer[5:15, :, 1] = 99
    with pytest.raises(ValueError, match="600 of 2400 pixels are off the palette"):
        painted_map(dict(background=None, layers=[layer]), ENCODER)


def test_layers_of_another_size_are_refused():
    with pytest.raises(ValueError, match="60 x 40 on 60 x 41 pixels"):
        painted_map(dict(background=rgba(example(41)), layers=[rgba(example())]), ENCODER)


@pytest.mark.parametrize("value", [None, {}, dict(background=None, layers=[], composite=None)])
def test_an_editor_without_pictures_is_an_empty_map(value):
    with pytest.raises(ValueError, match="The map is empty: paint"):
        painted_map(value, ENCODER)


@pytest.mark.parametrize(
    "resolution, size", [(512, (512, 768)), (128, (128, 192)), (256, (256, 384)), (64, (64, 128))]
)
def test_maps_are_resized_as_the_original_does(resolution, size):
    ids = working_map(example(300, 450), resolution)
    assert ids.shape == size and set(np.unique(ids)) <= set(range(5))
    assert working_map(example(450, 300), resolution).shape == size[::-1]


def test_doubling_and_halving_a_map_changes_nothing():
    ids = example(128, 128)
    assert np.array_equal(working_map(working_map(ids, 512), 128), ids)


def test_a_map_without_regions_is_empty_and_a_long_one_refused():
    with pytest.raises(ValueError, match="The map is empty"):
        working_map(np.zeros((64, 64), np.uint8), 64)
    with pytest.raises(ValueError, match="300 x 60 pixels: one side may be 4 times"):
        working_map(example(60, 300), 64)
