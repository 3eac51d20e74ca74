"""The one way in for pictures: a file becomes upright RGB pixels, or an error says why it can't."""

import io
import os
import struct
import warnings
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from einops import rearrange
from PIL import Image

from pictures.unusable import Unusable

# not all that Pillow reads: an EPS, for one, would be handed to another program
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
DAMAGE = OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError  # what Pillow raises
ORIENTATION = 0x0112  # of EXIF
END_OF_JPEG = b"\xff\xd9"
END_OF_PNG = b"IEND"
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
FILLING = 128, (128,) * 3, (127,) * 4, (128,) * 4  # what a JPEG decoder puts where data are missing
OPAQUE = 128  # of 255: from here on a map's pixel has its colour, below it is background


class Turn(NamedTuple):
    """How the stored picture lies: x and y swapped after counting x from the right, y from the bottom."""

    swapped: bool = False
    from_right: bool = False
    from_bottom: bool = False

    def stored_box(self, box: list[float], height: int, width: int) -> tuple[float, ...]:
        """Where a box (left, top, right, bottom) of the upright photo lies in the stored (height, width)."""
        left, top, right, bottom = (box[1], box[0], box[3], box[2]) if self.swapped else box
        if self.from_right:
            left, right = width - right, width - left
        if self.from_bottom:
            top, bottom = height - bottom, height - top
        return left, top, right, bottom

    def upright(self, pixels) -> np.ndarray:
        """Stored pixels (h, w) or (h, w, c), turned."""
        pixels = pixels[:: -1 if self.from_bottom else 1, :: -1 if self.from_right else 1]
        return np.ascontiguousarray(rearrange(pixels, "h w ... -> w h ...") if self.swapped else pixels)


TURNS = {
    1: Turn(),
    2: Turn(from_right=True),
    3: Turn(from_right=True, from_bottom=True),
    4: Turn(from_bottom=True),
    5: Turn(swapped=True),
    6: Turn(swapped=True, from_bottom=True),
    7: Turn(swapped=True, from_right=True, from_bottom=True),
    8: Turn(swapped=True, from_right=True),
}


def read_photo(path, max_side: int | None = None) -> np.ndarray:
    """A photo's file -> RGB uint8 (H, W, 3), the way up that its camera noted, white where transparent.

    Raises:
        FileNotFoundError, ValueError: it names the file, which is missing, damaged, no picture of 8 bits a
            channel, or has a longer side than `max_side`, which is seen before it is decoded.
    """
    return _read_named(path, lambda data: decode_photo(data, max_side))


def read_hint(path, background=BLACK, max_side: int | None = None) -> np.ndarray:
    """A map's file -> its colours uint8 (H, W, 3), upright, `background` where transparent; as `read_photo`.

    No pixel is mixed with another colour: where half or more of it shows it is as it is stored.
    """
    put_on = partial(put_on_background, background=background)
    return _read_named(path, lambda data: _decode_upright(data, put_on, max_side))


def decode_photo(data: bytes, max_side: int | None = None) -> np.ndarray:
    """As `read_photo`, of a file's bytes; Unusable says what is wrong with them."""
    return _decode_upright(data, put_on_white, max_side)


def read_size(path) -> tuple[int, int]:
    """(height, width) of a picture as it is shown, from its header; errors as of `read_photo`."""
    return _read_named(path, lambda data: upright_size(open_picture(data)))


def _decode_upright(data: bytes, put_on, max_side: int | None) -> np.ndarray:
    image = open_picture(data)
    if max_side and max(image.size) > max_side:
        raise Unusable(f"is {image.width} x {image.height} pixels: sides of at most {max_side} are read")
    check_depth(image)
    turn = turn_of(image)
    return turn.upright(np.asarray(put_on(decode(image, data))))


def _read_named(path, read):
    """`read` of a file's bytes; its errors name the file."""
    if not os.path.exists(path):
        raise FileNotFoundError(f"{path} is missing")
    try:
        return read(read_bytes(path))
    except Unusable as error:
        raise ValueError(f"{path} {error}") from error


def read_bytes(path) -> bytes:
    """A file's bytes; Unusable where it is there but may not be read, or is a folder."""
    try:
        return Path(path).read_bytes()
    except (PermissionError, IsADirectoryError) as error:
        raise Unusable(f"can't be read: {error.strerror}") from error
    except OSError as error:
        # a failing disk's error names no file of its own
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def blame(subject):
    """Have an Unusable that is raised in here begin with what it is about."""
    try:
        yield
    except Unusable as error:
        raise Unusable(f"{subject} {error}") from error


def open_picture(data: bytes) -> Image.Image:
    """The picture in a file's bytes, of which only the header is read; Unusable says what is wrong with it.

    Of an animation, and of a file with several pictures, it is the first. What Unusable says, as in all of
    this file, wants a subject: "is truncated".
    """
    stream = io.BytesIO(data)
    try:
        with warnings.catch_warnings():
            # Pillow's do not say which picture they are about
            warnings.simplefilter("ignore")
            image = Image.open(stream, formats=FORMATS)
    except Image.UnidentifiedImageError as error:
        raise Unusable(
            f"can't be read: it is no {', '.join(FORMATS)} file, or damaged at its start"
        ) from error
    except DAMAGE as error:
        raise Unusable(f"can't be read: {error}") from error
    # where a download left zeros, a decoder goes on with grey or black and says nothing
    jpeg_breaks = _is_jpeg(image) and data.rfind(END_OF_JPEG, stream.tell()) < 0
    if jpeg_breaks or image.format == "PNG" and END_OF_PNG not in data:
        raise Unusable("can't be read: it is truncated, the mark of its end is missing")
    return image


def check_depth(image: Image.Image) -> None:
    """Raise Unusable for one channel of 16 or 32 bits, which no two programs show alike."""
    if image.mode[0] in "IF":
        raise Unusable(f"has mode {image.mode}: 8 bits a channel are wanted")


def turn_of(image: Image.Image) -> Turn:
    """How the stored picture lies, as EXIF notes it."""
    if image.format == "TIFF":  # Pillow turns these itself
        return Turn()
    try:
        return TURNS.get(image.getexif().get(ORIENTATION, 1), Turn())
    except DAMAGE:  # a note that can't be read says nothing; a damaged photo shows when it is decoded
        return Turn()


def upright_size(image: Image.Image) -> tuple[int, int]:
    """(height, width) of an opened picture as it is shown."""
    return (image.width, image.height) if turn_of(image).swapped else (image.height, image.width)


def decode(image: Image.Image, data: bytes) -> Image.Image:
    """An opened picture, decoded; Unusable if it is damaged. `data` are its file's bytes."""
    try:
        image.load()
        if _is_filled_up(image, data):
            raise Unusable("can't be read: it is truncated, its lower part is missing")
    except DAMAGE as error:
        if isinstance(error, Unusable):
            raise
        raise Unusable(f"can't be read: {error}") from error
    return image


def put_on_white(image: Image.Image) -> Image.Image:
    """A decoded picture in RGB, on white where it is transparent."""
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image.convert("RGBA"))
    return white.convert("RGB")


def put_on_background(image: Image.Image, background) -> Image.Image:
    """A decoded picture in RGB, `background` (r, g, b) where it is more transparent than not."""
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    rgba = image.convert("RGBA")
    ground = Image.new("RGB", image.size, tuple(background))
    ground.paste(rgba.convert("RGB"), mask=rgba.getchannel("A").point(lambda alpha: 255 * (alpha >= OPAQUE)))
    return ground


def _is_jpeg(image) -> bool:
    return image.format in ("JPEG", "MPO")  # MPO: a telephone's JPEG with a second one behind it


def _is_filled_up(image, data: bytes) -> bool:
    """Whether a JPEG with the mark of its end lacks data before it, in whose place its decoder puts grey.

    Data that are complete stay the same picture with more behind them; where some were missing, it changes.
    """
    if image.format != "JPEG" or image.getpixel((image.width - 1, image.height - 1)) not in FILLING:
        return False
    end = data.rfind(END_OF_JPEG)
    more = data[:end] + bytes(range(1, 251)) * 4 + data[end:]
    longer = Image.open(io.BytesIO(more), formats=("JPEG",))
    longer.draft(image.mode, image.size)
    longer.load()
    return longer.size == image.size and longer.tobytes() != image.tobytes()
