"""One file is one picture, whoever reads it: the same pixels everywhere, or an error that names the file."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from demo.photo import read_photo as read_upload
from photo_files import save, textured, whole
from pictures.decoding import decode_photo, read_hint, read_photo, read_size
from pictures.masks import mask_colours, open_mask
from pictures.photo import open_photo
from preparation.captions.predict import Pictures


def encode(image, format, **options):
    data = io.BytesIO()
    image.save(data, format, **options)
    return data.getvalue()


def clear():
    """A picture of which the right half is transparent, with a colour of its own, the rim half so."""
    image = textured(64, 64).convert("RGBA")
    image.paste((9, 99, 199, 0), (32, 0, 64, 64))
    image.paste((9, 99, 199, 90), (32, 0, 34, 64))
    return image


def palette_with_a_clear_index():
    image = textured(64, 64).convert("P")
    image.info["transparency"] = int(np.asarray(image)[0, 0])
    return image


PICTURES = {
    "rgb.png": lambda: encode(textured(64, 64), "PNG"),
    "grey.png": lambda: encode(textured(64, 64).convert("L"), "PNG"),
    "grey.jpg": lambda: encode(textured(64, 64).convert("L"), "JPEG"),
    "bilevel.png": lambda: encode(textured(64, 64).convert("1"), "PNG"),
    "clear.png": lambda: encode(clear(), "PNG"),
    "clear.webp": lambda: encode(clear(), "WEBP", lossless=True),
    "clear_grey.png": lambda: encode(clear().convert("LA"), "PNG"),
    "clear_palette.png": lambda: encode(palette_with_a_clear_index(), "PNG"),
    "print.jpg": lambda: encode(textured(64, 64).convert("CMYK"), "JPEG"),
    "turned.jpg": lambda: encode(textured(64, 128), "JPEG", exif=_turned()),
    "turned.png": lambda: encode(textured(64, 128), "PNG", exif=_turned()),
    "moving.gif": lambda: encode(
        textured(64, 64).convert("P"), "GIF", save_all=True, append_images=[textured(64, 64, 1).convert("P")]
    ),
    "telephone.jpg": lambda: encode(
        textured(64, 64), "MPO", save_all=True, append_images=[textured(64, 64, 1)]
    ),
}


def _turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


@pytest.mark.parametrize("name", PICTURES)
def test_training_preparing_captioning_and_the_demo_see_the_same_photo(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(PICTURES[name]())
    pixels = read_photo(path)
    photo = open_photo(path)
    assert pixels.shape == (photo.height, photo.width, 3) == (*read_size(path), 3)
    np.testing.assert_array_equal(photo.cut(whole(photo.height, photo.width)), pixels)
    _, captioned, _ = Pictures(tmp_path, [dict(target=name)])[0]
    np.testing.assert_array_equal(captioned, pixels)
    if name != "moving.gif":  # which the demo asks for as one picture
        np.testing.assert_array_equal(read_upload(path), pixels)


@pytest.mark.parametrize("name", PICTURES)
def test_training_and_preparing_see_the_same_map(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(PICTURES[name]())
    np.testing.assert_array_equal(read_hint(path), mask_colours(open_mask(path)))


def test_what_is_transparent_is_background_in_maps_and_white_in_photos(tmp_path):
    path = tmp_path / "a.png"
    clear().save(path)
    assert (read_photo(path)[:, 34:] == 255).all() and (read_hint(path)[:, 32:] == 0).all()
    assert (read_hint(path, (1, 2, 3))[:, 32:] == (1, 2, 3)).all()
    opaque = np.asarray(textured(64, 64))[:, :32]
    assert (read_photo(path)[:, :32] == opaque).all() and (read_hint(path)[:, :32] == opaque).all()


def test_a_map_is_never_mixed_with_its_background(tmp_path):
    image = np.zeros((64, 64, 4), np.uint8)
    image[8:40, 8:40] = 255, 0, 0, 255
    image[40, 8:40], image[41, 8:40] = (255, 0, 0, 128), (255, 0, 0, 127)
    Image.fromarray(image).save(tmp_path / "a.png")
    assert {tuple(colour) for colour in read_hint(tmp_path / "a.png").reshape(-1, 3)} == {
        (0, 0, 0),
        (255, 0, 0),
    }
    assert (read_hint(tmp_path / "a.png")[40, 8:40, 0] == 255).all()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("share", [0.5, 0.75, 0.97])
@pytest.mark.parametrize("tail", [b"", bytes(4000), b"\xff\xd9", bytes(40) + b"\xff\xd9"])
def test_a_jpeg_that_lacks_its_lower_part_is_never_half_grey(tmp_path, mode, share, tail):
    data = encode(textured(256, 256).convert(mode), "JPEG", quality=95)
    (tmp_path / "half.jpg").write_bytes(data[: int(share * len(data))] + tail)
    for read in (read_photo, read_hint):
        with pytest.raises(ValueError, match="half.jpg can't be read: .*truncated"):
            read(tmp_path / "half.jpg")


@pytest.mark.parametrize("format", ["PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_half_a_file_of_any_format_is_refused_by_its_name(tmp_path, format):
    data = encode(textured(128, 128), format)
    (tmp_path / "half").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="half can't be read"):
        read_photo(tmp_path / "half")


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_that_is_grey_below_is_no_truncated_one(tmp_path, mode, progressive):
    image = textured(128, 128)
    image.paste((128, 128, 128), (0, 64, 128, 128))
    data = encode(image.convert(mode), "JPEG", progressive=progressive)
    assert decode_photo(data)[-1, -1].tolist() == [128] * 3
    assert decode_photo(data + b"\0trailing" * 9).shape == (128, 128, 3)


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_a_channel_of_more_than_8_bits_is_refused_by_name(tmp_path, mode):
    kind = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
    path = save(tmp_path / "deep.tif", Image.fromarray(np.full((64, 64), 3, kind)), "TIFF")
    for read in (read_photo, read_hint):
        with pytest.raises(ValueError, match="deep.tif has mode .*: 8 bits a channel are wanted"):
            read(path)


def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    path = save(tmp_path / "wide.png", Image.new("1", (20000, 10)), "PNG")
    with pytest.raises(ValueError, match="wide.png is 20000 x 10 pixels: sides of at most 4096"):
        read_photo(path, max_side=4096)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ValueError, match="wide.png can't be read: .*decompression bomb"):
        read_hint(path)


def test_missing_and_foreign_files_and_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="a.png is missing"):
        read_photo(tmp_path / "a.png")
    with pytest.raises(ValueError, match="can't be read: Is a directory"):
        read_photo(tmp_path)
    for content in (
        b"",
        b"<html>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"\x89PNG\r\n\x1a\n",
    ):
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(ValueError, match="a.png can't be read: it is no JPEG, PNG"):
            read_size(tmp_path / "a.png")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="every file may be read here")
def test_a_file_that_may_not_be_read_is_named(tmp_path):
    path = save(tmp_path / "a.png", textured(64, 64), "PNG")
    path.chmod(0)
    with pytest.raises(ValueError, match="a.png can't be read: Permission denied"):
        read_photo(path)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.97])
def test_half_a_png_in_a_file_of_full_length_is_refused_by_its_name(tmp_path, share):
    file, data = tmp_path / "half.png", encode(textured(64, 64), "PNG")
    kept = int(share * len(data))
    file.write_bytes(data[:kept] + bytes(len(data) - kept))
    for read in (read_photo, read_hint, read_size):
        with pytest.raises(ValueError, match="half.png can't be read: it is truncated"):
            read(file)
