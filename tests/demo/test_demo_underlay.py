"""A photo can be seen under the map; what is drawn from is the map alone, or an error says why not."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from demo.garments import page_photo
from demo.garments.map_over_photo import blend_over_photo, read_painted_ids
from demo.garments.page_map import to_map_file
from demo.garments.page_photo import background_value, make_find_garments, make_show_photo
from demo_requests import REGIONS, drawn, editor_value, request, small_demo, top_and_bottom
from pictures.hint import HintEncoder

RANDOM = np.random.default_rng(0)
PHOTO = RANDOM.integers(0, 256, (64, 64, 3), np.uint8)


def value_of(rgb, layers=()):
    rgba = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
    return dict(background=rgba, layers=list(layers), composite=None)


def stroke(region, rows):
    layer = np.zeros((64, 64, 4), np.uint8)
    layer[rows] = [*REGIONS.colours[region], 255]
    return layer


@pytest.fixture
def notices(monkeypatch):
    told = []
    monkeypatch.setattr(page_photo.gr, "Info", told.append)
    return told


@pytest.fixture
def photo_file(tmp_path):
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


@pytest.mark.parametrize(
    "ids", [top_and_bottom(), top_and_bottom() * 0, RANDOM.integers(0, 5, (64, 64), np.uint8)]
)
@pytest.mark.parametrize("photo", [PHOTO, PHOTO * 0, PHOTO * 0 + 255])
def test_the_map_is_read_again_whatever_the_photo_and_the_map(ids, photo):
    shown = blend_over_photo(ids, photo, REGIONS)
    assert np.array_equal(read_painted_ids(value_of(shown), REGIONS), ids)
    nudged = np.clip(shown.astype(int) + RANDOM.integers(-1, 2, shown.shape), 0, 255).astype(np.uint8)
    assert np.array_equal(read_painted_ids(value_of(nudged), REGIONS), ids)


def test_the_photo_can_be_seen_in_every_region():
    dark, bright = (
        blend_over_photo(top_and_bottom(), np.full_like(PHOTO, level), REGIONS) for level in (20, 235)
    )
    assert (bright.astype(int) - dark).max(-1).min() > 80


def test_pictures_are_those_of_the_map_alone():
    demo = small_demo()
    seen = value_of(blend_over_photo(top_and_bottom(), PHOTO, REGIONS), [stroke(3, slice(0, 8))])
    plain = editor_value(layers=[stroke(3, slice(0, 8))])
    assert request(demo, input_image=seen).facts == request(demo, input_image=plain).facts
    pictures = [drawn(demo, input_image=value)[0][0].pixels for value in (seen, plain)]
    assert np.array_equal(*pictures) and to_map_file(seen, REGIONS) == to_map_file(plain, REGIONS)


@pytest.mark.parametrize("quality", [75, 100])
def test_a_picture_that_was_changed_on_its_way_is_refused(quality):
    buffer = io.BytesIO()
    shown = blend_over_photo(top_and_bottom(), PHOTO, REGIONS)
    Image.fromarray(shown).save(buffer, "jpeg", quality=quality)
    with pytest.raises(ValueError, match="cannot be read at|off the palette"):
        request(small_demo(), input_image=value_of(np.asarray(Image.open(buffer))))
    shown[40, 40] = 0, 255, 255
    with pytest.raises(ValueError, match="cannot be read at 1 of 4096 pixels"):
        request(small_demo(), input_image=value_of(shown))


@pytest.mark.parametrize(
    "other",
    [
        PHOTO,
        np.dstack([PHOTO[..., 0]] * 3),
        REGIONS.to_rgb(top_and_bottom()) // 2,  # as other projects colour their regions
        np.dstack([top_and_bottom()] * 3),
    ],
    ids=["a photo", "a grey photo", "a map of half the brightness", "ids in grey"],
)
def test_pictures_of_something_else_are_refused_as_before(other):
    for layers in ([], [stroke(1, slice(0, 8))]):
        with pytest.raises(ValueError, match="off the palette|greyscale"):
            request(small_demo(), input_image=value_of(other, layers))


def test_showing_and_hiding_the_photo_keeps_map_and_strokes(photo_file):
    show = make_show_photo(REGIONS)
    before = editor_value(layers=[stroke(4, slice(0, 8))])
    seen = show(before, photo_file, True)
    hidden = show(value_of(seen["background"]), photo_file, False)
    wanted = read_painted_ids(before, REGIONS)
    assert seen["layers"] == [] and seen["background"].shape == (512, 512, 3)
    assert np.array_equal(REGIONS.to_ids(hidden["background"])[::8, ::8], wanted)


def test_an_empty_map_takes_the_photos_shape_and_a_painted_one_of_another_shape_is_kept_plain(
    tmp_path, notices
):
    Image.fromarray(PHOTO[:32]).save(tmp_path / "wide.png")
    seen = background_value(REGIONS, np.zeros((64, 64), np.uint8), str(tmp_path / "wide.png"), True)
    assert seen["background"].shape == (512, 1024, 3) and not notices
    kept = background_value(REGIONS, top_and_bottom(), str(tmp_path / "wide.png"), True)
    assert np.array_equal(REGIONS.to_ids(kept["background"])[::8, ::8], top_and_bottom())
    assert len(notices) == 1 and "not of one shape" in notices[0]


def test_a_photo_that_is_missing_or_none_leaves_the_map_and_says_so(tmp_path, notices):
    (tmp_path / "text.png").write_bytes(b"hello")
    for path in (None, str(tmp_path / "text.png")):
        shown = background_value(REGIONS, top_and_bottom(), path, True)
        assert np.array_equal(REGIONS.to_ids(shown["background"])[::8, ::8], top_and_bottom())
    assert "There is no photo yet" in notices[0] and "no picture that can be read" in notices[1]


def test_regions_that_differ_in_brightness_alone_cannot_be_shown_over_a_photo(photo_file, notices):
    greys = HintEncoder(("nothing", "cloth"), ((0, 0, 0), (200, 200, 200)))
    ids = np.uint8(top_and_bottom() > 0)
    shown = background_value(greys, ids, photo_file, True)
    assert np.array_equal(greys.to_ids(shown["background"])[::8, ::8], ids)
    assert "brightness alone" in notices[0]
    assert np.array_equal(read_painted_ids(value_of(greys.to_rgb(ids)), greys), ids)


def test_the_map_that_is_found_in_a_photo_can_be_seen_over_it(photo_file):
    def segment(photos):
        return np.stack([top_and_bottom()] * len(photos))

    models = replace(small_demo(), segment=segment)
    for seen in (True, False):
        value = make_find_garments(models)(photo_file, seen)
        assert np.array_equal(
            read_painted_ids(value_of(value["background"]), REGIONS)[::8, ::8], top_and_bottom()
        )
        assert (value["background"] == REGIONS.to_rgb(np.uint8([[1]]))).all(-1).any() != seen
