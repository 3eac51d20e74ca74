"""Files of photos, drawn, in any format and turned any way."""

import struct
import zlib

import numpy as np
from PIL import Image

from pictures.crops import Crop
from pictures.hint import HintEncoder
from pictures.regions import REGIONS_FILE

ORIENTATION = 0x0112  # of EXIF


def textured(height, width, seed=0):
    """A photo-like picture: soft shapes, texture and noise, another one for each seed."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((height, width, 3), np.float32)
    for cell, strength in ((64, 60), (12, 25), (3, 12)):
        coarse = rng.integers(0, 256, (height // cell + 2, width // cell + 2, 3), dtype=np.uint8)
        smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        pixels += (np.asarray(smooth, np.float32) / 255 - 0.5) * 2 * strength
    return Image.fromarray((pixels + 128).clip(0, 255).astype(np.uint8))


def whole(height, width, picture=None):
    return Crop(0.0, 0.0, float(width), float(height), *(picture or (height, width)))


def save(path, image, format="JPEG", orientation=None, **options):
    exif = Image.Exif()
    if orientation:
        exif[ORIENTATION] = orientation
    image.save(path, format, exif=exif, **options)
    return path


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of_size(width, height):
    """A PNG that claims a size and has hardly any pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    palette = chunk(b"PLTE", bytes(sum(HintEncoder.from_file(REGIONS_FILE).colours, ())))
    rows = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + palette + rows + chunk(b"IEND", b"")
