"""Photos come upright, in RGB and in the crop's size out of any file, or with the reason why not."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from photo_files import ORIENTATION, save, textured, whole
from pictures.crops import Crop
from pictures.photo import open_photo
from pictures.unusable import Unusable


def difference(first, second):
    return float(np.abs(np.asarray(first, np.float32) - np.asarray(second, np.float32)).mean())


@pytest.mark.parametrize(("scale", "reduction"), [(1.4, 1), (2.0, 1), (3.2, 2), (6.5, 4), (12.5, 8)])
def test_a_jpeg_decoded_in_part_looks_like_one_decoded_in_full(tmp_path, scale, reduction):
    height, width = int(192 * scale), int(128 * scale)
    path = save(tmp_path / "a.jpg", textured(height + 21, width + 13), quality=92)
    crop = Crop(5.0, 11.0, 5.0 + width, 11.0 + height, 192, 128)
    photo = open_photo(path)
    pixels = photo.cut(crop)
    full = Image.open(path).resize((128, 192), Image.Resampling.LANCZOS, crop.to_list())
    assert photo.decoded_scale == reduction
    assert (pixels.shape, pixels.dtype) == ((192, 128, 3), np.uint8)
    assert difference(pixels, full) < 1.5
    moved = Image.open(path).resize(
        (128, 192), Image.Resampling.LANCZOS, [side + scale / 2 for side in crop.to_list()]
    )
    assert difference(pixels, full) < difference(pixels, moved) / 3


def test_other_formats_are_decoded_in_full(tmp_path):
    image = textured(700, 500)
    photo = open_photo(save(tmp_path / "a.png", image, "PNG"))
    pixels = photo.cut(whole(700, 500, (140, 100)))
    assert (photo.decoded_scale, photo.jpeg_quality) == (1, None)
    assert difference(pixels, image.resize((100, 140), Image.Resampling.LANCZOS)) < 1.5


def test_a_crop_does_not_depend_on_what_was_cut_before(tmp_path):
    path = save(tmp_path / "a.jpg", textured(900, 800))
    crops = [whole(900, 800, (128, 64)), Crop(10.0, 20.0, 210.0, 220.0, 128, 128)]
    first, second = open_photo(path), open_photo(path)
    forwards = [first.cut(crop) for crop in crops]
    backwards = [second.cut(crop) for crop in crops[::-1]][::-1]
    for one, other, crop in zip(forwards, backwards, crops, strict=True):
        np.testing.assert_array_equal(one, other)
        assert first.encode(crop, one) == second.encode(crop, other)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_noted_as_turned_comes_upright(tmp_path, format, orientation):
    path = save(tmp_path / "a", textured(341, 243), format, orientation)
    upright = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    photo = open_photo(path)
    assert (photo.width, photo.height) == upright.size
    if orientation > 4:  # where turning keeps the size, an annotation is taken to be of the stored picture
        assert open_photo(path, photo.height, photo.width).turn == photo.turn
    crop = Crop(7.0, 30.0, 217.0, 205.0, 30, 36)
    assert difference(photo.cut(crop), upright.resize((36, 30), Image.Resampling.LANCZOS, crop.to_list())) < 2


def test_a_photo_annotated_as_it_is_stored_is_not_turned(tmp_path):
    path = save(tmp_path / "a.jpg", textured(96, 64), orientation=6)
    photo = open_photo(path, 96, 64)
    stored = np.asarray(Image.open(path))
    pixels = photo.cut(whole(96, 64))
    np.testing.assert_array_equal(pixels, stored)
    # its own bytes would be shown turned
    assert ORIENTATION not in Image.open(io.BytesIO(photo.encode(whole(96, 64), pixels))).getexif()
    with pytest.raises(Unusable, match="the photo is 96 x 64, the table says 64 x 64"):
        open_photo(path, 64, 64)


def test_a_jpeg_that_is_taken_whole_keeps_its_bytes(tmp_path):
    path = save(tmp_path / "a.jpg", textured(128, 128), quality=80)
    photo = open_photo(path, 128, 128)
    pixels = photo.cut(whole(128, 128))
    assert photo.encode(whole(128, 128), pixels) == path.read_bytes()
    part = Crop(0.0, 0.0, 64.0, 64.0, 64, 64)
    jpeg = Image.open(io.BytesIO(photo.encode(part, photo.cut(part))))
    assert jpeg.size == (64, 64) and [layer[1:3] for layer in jpeg.layer] == [(1, 1)] * 3
    for mode, format in (("L", "JPEG"), ("CMYK", "JPEG"), ("RGB", "PNG")):
        path = save(tmp_path / "b", textured(128, 128).convert(mode), format)
        photo = open_photo(path)
        encoded = Image.open(io.BytesIO(photo.encode(whole(128, 128), photo.cut(whole(128, 128)))))
        assert (encoded.format, encoded.mode) == ("JPEG", "RGB")


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    image = textured(80, 64).convert(mode)
    path = save(tmp_path / "a", image, "JPEG" if mode == "CMYK" else "PNG")
    expected = Image.open(path).convert("RGB")
    np.testing.assert_array_equal(open_photo(path).cut(whole(80, 64)), np.asarray(expected))


def test_what_is_transparent_becomes_white(tmp_path):
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    image.paste((200, 100, 50, 255), (0, 0, 32, 64))
    for mode in ("RGBA", "P"):
        path = save(tmp_path / "a.png", image.convert(mode), "PNG")
        pixels = open_photo(path).cut(whole(64, 64))
        assert (pixels[:, 32:] == 255).all() and difference(pixels[:, :32], (200, 100, 50)) < 30


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.001, 0.3, 0.99])
@pytest.mark.parametrize("tail", [b"", bytes(5000)])
def test_a_truncated_jpeg_is_found_at_every_scale(tmp_path, progressive, share, tail):
    path = save(tmp_path / "a.jpg", textured(800, 600), progressive=progressive)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)] + tail)
    for picture in ((800, 600), (64, 64)):
        with pytest.raises(Unusable, match="can't be read|no JPEG"):
            open_photo(path).cut(whole(800, 600, picture))


def test_damaged_and_foreign_files_are_named(tmp_path):
    path = tmp_path / "a.jpg"
    with pytest.raises(Unusable, match="missing"):
        open_photo(path)
    for content in (b"", b"<html>not found</html>", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"):
        path.write_bytes(content)
        with pytest.raises(Unusable, match="no JPEG, PNG"):
            open_photo(path)
    data = bytearray(save(path, textured(300, 200), "PNG").read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    with pytest.raises(Unusable, match="can't be read"):
        open_photo(path).cut(whole(300, 200))


def test_photos_with_more_than_8_bits_or_too_many_pixels_are_refused(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", Image.fromarray(np.full((64, 64), 30000, np.uint16)), "PNG")
    with pytest.raises(Unusable, match="8 bits a channel are wanted"):
        open_photo(path)
    save(path, textured(64, 64), "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(Unusable, match="decompression bomb"):
        open_photo(path)


@pytest.mark.parametrize("quality", [5, 30, 50, 75, 92, 100])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpegs_quality_is_read_from_its_tables(tmp_path, quality, mode):
    path = save(tmp_path / "a.jpg", textured(64, 64).convert(mode), quality=quality)
    assert open_photo(path).jpeg_quality == quality
