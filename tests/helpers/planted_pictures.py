"""Prepared pictures with planted faults, and the records they would have."""

import io
from functools import lru_cache
from types import SimpleNamespace

import cv2
import numpy as np
from PIL import Image

from paperdoll import draw
from pictures.unusable import Box
from preparation.measures import measure
from preparation.record import Record


@lru_cache
def doll(index, size=512, seed=11):
    """A paper doll uint8 (size, size, 3), not to be written to, and the boxes of its garments."""
    drawn, boxes = draw(seed, index, size), []
    for instance in drawn.instances:
        if instance.region:
            y, x = np.nonzero(instance.mask)
            boxes.append(Box(int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1, 1))
    drawn.photo.flags.writeable = False
    return drawn.photo, boxes


def texture(seed, size=512):
    """Coloured noise whose contrast is the same at all scales, as in photos: uint8 (size, size, 3)."""
    rng, pixels = np.random.default_rng(seed), np.zeros((size, size, 3))
    for octave in range(int(np.log2(size)) - 1):
        coarse = rng.standard_normal((2 << octave, 2 << octave, 3))
        pixels += cv2.resize(coarse, (size, size), interpolation=cv2.INTER_NEAREST)
    return np.clip(120 + 16 * pixels, 0, 255).astype(np.uint8)


def numbers(pixels, boxes=(), scale=1.0, quality=95, decoded_scale=1):
    """What is measured of a picture cut from a JPEG."""
    small = cv2.resize(pixels, (128, 128), interpolation=cv2.INTER_AREA)
    photo = SimpleNamespace(jpeg_quality=quality, decoded_scale=decoded_scale, small=lambda: small)
    return measure(pixels, list(boxes), photo, SimpleNamespace(scale=scale))


def record(name, pixels, boxes=(), photo=None, photo_size=(1000, 1000), incomplete="", **more):
    """The record of a prepared picture."""
    return noted(
        name,
        photo=photo or f"{name}.jpg",
        photo_size=list(photo_size),
        boxes=[[b.left, b.top, b.right, b.bottom, b.region] for b in boxes],
        incomplete=incomplete,
        measures=numbers(pixels, boxes) | more,
    )


def noted(name, **more):
    """A record of a name that says nothing but `more`."""
    lists = dict.fromkeys("photo_size crop size regions boxes rows".split(), [])
    texts = dict.fromkeys("photo bucket incomplete".split(), "")
    numbers = dict.fromkeys("map_crc target_crc target_bytes".split(), 0)
    files = dict(source=f"source/{name}.png", target=f"target/{name}.jpg")
    empty = dict(areas={}, measures={}, captions={})
    return Record(**dict(name=name, example=name) | files | lists | texts | numbers | empty | more)


def blur(pixels, sigma=4):
    return cv2.GaussianBlur(pixels, (0, 0), sigma)


def darken(pixels, mean=19):
    return (pixels * (mean / pixels.mean())).astype(np.uint8)


def darken_by_gamma(pixels, mean=19):
    curves = (((pixels / 255) ** (1 + step / 10) * 255).astype(np.uint8) for step in range(200))
    return next(curve for curve in curves if curve.mean() <= mean)


def wash_out(pixels):
    return (pixels * 0.3 + 178).astype(np.uint8)


def grey(pixels):
    return np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)


def sepia(pixels):
    return (grey(pixels) * (1.0, 0.9, 0.72)).astype(np.uint8)


def jpeg(pixels, quality):
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=quality)
    return np.array(Image.open(data))


def wreck(pixels):
    return jpeg(jpeg(pixels, 10), 95)


def mirror(pixels):
    return np.ascontiguousarray(pixels[:, ::-1])


def crop(pixels, share=0.02):
    """The picture without this share of its height and width, in its old size."""
    height, width = pixels.shape[:2]
    y, x = int(height * share), int(width * share)
    inner = pixels[y // 2 : height - (y - y // 2), x // 3 : width - (x - x // 3)]
    return cv2.resize(inner, (width, height), interpolation=cv2.INTER_AREA)


def shrink(pixels, factor=0.5):
    """The picture through a smaller copy of it."""
    small = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, pixels.shape[1::-1], interpolation=cv2.INTER_LINEAR)
