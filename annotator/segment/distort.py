"""Other shapes and worse pictures of dolls, such as an autoencoder or a diffusion model gives."""

import cv2
import numpy as np


def warp(rng, photo, ids):
    """Photo uint8 (h, w, 3) and ids uint8 (h, w), mirrored, moved, turned, scaled and bent alike."""
    if rng.random() < 0.5:
        photo, ids = photo[:, ::-1], ids[:, ::-1]
    if rng.random() < 0.25:
        return np.ascontiguousarray(photo), np.ascontiguousarray(ids)
    height, width = ids.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) - np.float32([height / 2, width / 2])[:, None, None]
    angle, scale = rng.normal(0, 0.08), np.exp(rng.uniform(-0.25, 0.25))
    cos, sin, aspect = scale * np.cos(angle), scale * np.sin(angle), np.exp(rng.normal(0, 0.06))
    place = np.stack([aspect * (cos * x - sin * y), sin * x + cos * y])
    place += np.float32([width / 2, height / 2])[:, None, None] + rng.normal(0, 4, (2, 1, 1))
    if rng.random() < 0.6:
        place += [_blotches(rng, height, width, 10) * rng.uniform(0, 2.5) for _ in range(2)]
    x, y = place.astype(np.float32)
    border = cv2.BORDER_REPLICATE
    return (
        cv2.remap(photo, x, y, cv2.INTER_LINEAR, borderMode=border),
        cv2.remap(ids, x, y, cv2.INTER_NEAREST, borderMode=border),
    )


def degrade(rng, photo):
    """The photo, uint8 (h, w, 3), after random shifts of colour and losses of detail."""
    x = _recolour(rng, photo.astype(np.float32))
    height, width = photo.shape[:2]
    if rng.random() < 0.6:
        factor = rng.uniform(1.2, 4.5)
        small = cv2.resize(x, (round(width / factor), round(height / factor)), interpolation=cv2.INTER_AREA)
        x = cv2.resize(small, (width, height), interpolation=rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC]))
    if rng.random() < 0.5:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.4, 2.0))
    if rng.random() < 0.2:
        x = x + rng.uniform(0.3, 1.5) * (x - cv2.GaussianBlur(x, (0, 0), 1.5))
    if rng.random() < 0.5:
        blotches = np.stack([_blotches(rng, height, width, 5) for _ in range(3)], axis=-1)
        x = x + 14 * rng.random() ** 2 * blotches
    if rng.random() < 0.5:
        x = x + rng.normal(0, rng.uniform(1, 14), x.shape)
    x = np.clip(x, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        quality = int(rng.integers(12, 80))
        x = cv2.imdecode(cv2.imencode(".jpg", x, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    return x


def _recolour(rng, x):
    """Other saturation, contrast, brightness and tint of a float32 photo in [0, 255]."""
    grey = x.mean(axis=-1, keepdims=True)
    x = grey + (x - grey) * rng.uniform(0.7, 1.25)
    gain = rng.uniform(0.8, 1.15) + rng.normal(0, 0.03, 3)
    return ((x - 128) * gain + 128 + rng.normal(0, 8) + rng.normal(0, 4, 3)).astype(np.float32)


def _blotches(rng, height: int, width: int, finest: int):
    """Smooth noise of about unit variance, float32 (height, width), in grains of `finest` to 32 pixels."""
    grain = np.exp(rng.uniform(np.log(finest), np.log(32)))
    coarse = rng.normal(size=(int(height / grain) + 2, int(width / grain) + 2)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
