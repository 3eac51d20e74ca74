"""Files of photos, drawn, in any format and turned any way."""

import numpy as np
from PIL import Image

from pictures.crops import Crop

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
