"""Scenes as costly to decode as photographs: dolls before a textured background, with exact masks."""

from dataclasses import dataclass, replace
from functools import cache
from itertools import count

import cv2
import numpy as np

from paperdoll import draw

TILE = 1024
SHARPEST = 768  # canvas of a doll: more than the pictures that are prepared from it show
RIVET, DETAILS = 42, (34, 35, 36, 42, 43)
WALLS = [(206, 198, 184), (184, 192, 200), (96, 122, 84), (120, 150, 186), (150, 92, 74), (62, 64, 72)]
WALLS += [(228, 226, 222), (176, 148, 112), (140, 140, 138), (196, 184, 186), (74, 96, 118), (212, 204, 160)]


@dataclass(frozen=True)
class Thing:
    """One annotated thing: class, attributes, and its mask bool (h, w) with a corner at (left, top)."""

    category: int
    attributes: tuple[int, ...]
    mask: np.ndarray
    left: int
    top: int

    def full_mask(self, height: int, width: int):
        """Bool (height, width), stored down the columns as iMaterialist's code runs."""
        mask = np.zeros((height, width), bool, order="F")
        mask[self.top : self.top + self.mask.shape[0], self.left : self.left + self.mask.shape[1]] = self.mask
        return mask


@dataclass(frozen=True)
class Scene:
    """A photo uint8 (height, width, 3) in RGB, and what is annotated in it, person by person."""

    pixels: np.ndarray
    persons: list[list[Thing]]

    def mirrored(self) -> "Scene":
        width = self.pixels.shape[1]
        persons = [
            [replace(t, mask=t.mask[:, ::-1], left=width - t.left - t.mask.shape[1]) for t in things]
            for things in self.persons
        ]
        return Scene(np.ascontiguousarray(self.pixels[:, ::-1]), persons)

    def resized(self, scale: float) -> "Scene":
        """Shrunk, scale < 1; its masks by nearest pixels."""
        height, width = (round(side * scale) for side in self.pixels.shape[:2])
        pixels = cv2.resize(self.pixels, (width, height), interpolation=cv2.INTER_AREA)
        return Scene(pixels, [[_shrunk(t, scale, height, width) for t in things] for things in self.persons])


def _shrunk(thing: Thing, scale: float, height: int, width: int) -> Thing:
    left, top = round(thing.left * scale), round(thing.top * scale)
    size = [max(1, round(side * scale)) for side in thing.mask.shape]
    mask = cv2.resize(thing.mask.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST) > 0
    return replace(thing, mask=mask[: height - top, : width - left], left=left, top=top)


@cache
def _tile(softness: float):
    """Noise with a standard deviation of about 32 around 128, uint8 (TILE, TILE, 3)."""
    noise = np.random.default_rng(0).normal(size=(TILE, TILE, 3)).astype(np.float32)
    # cameras blur their noise when they make colours of it
    noise = cv2.GaussianBlur(noise, (0, 0), softness)
    return np.clip(128 + 32 * noise / noise.std(), 0, 255).astype(np.uint8)


def _texture(pixels, rng, strength: float, softness: float) -> None:
    """Lighten and darken the pixels, in place, by noise with a standard deviation of `strength`."""
    tile = (_tile(softness).astype(np.float32) - 128) * (strength / 32)
    lighter, darker = (np.clip(side, 0, 255).round().astype(np.uint8) for side in (tile, -tile))
    for top in range(0, pixels.shape[0], TILE):
        for left in range(0, pixels.shape[1], TILE):
            part = pixels[top : top + TILE, left : left + TILE]
            shift = tuple(rng.integers(0, TILE, 2))
            light, dark = (
                np.roll(side, shift, (0, 1))[: part.shape[0], : part.shape[1]] for side in (lighter, darker)
            )
            part[:] = cv2.subtract(cv2.add(part, light), dark)


def background(rng, height: int, width: int):
    """A room or a street of nowhere: soft light, then boxes and lines with sharp edges, uint8 RGB."""
    first, second = (np.array(WALLS[i], np.float32) for i in rng.permutation(len(WALLS))[:2])
    rough = sum(
        cv2.resize(rng.normal(size=(n, n, 1)).astype(np.float32), (96, 96), interpolation=cv2.INTER_CUBIC) / n
        for n in (2, 4, 8, 16)
    )
    share = np.clip(0.5 + rough, 0, 1)[:, :, None]
    pixels = cv2.resize(np.uint8(first * share + second * (1 - share)), (width, height))
    for _ in range(rng.integers(8, 36)):
        colour = np.clip(np.array(WALLS[rng.integers(len(WALLS))]) * rng.uniform(0.6, 1.15), 0, 255).tolist()
        corner = rng.uniform(-0.1, 1, 2)
        other = corner + rng.uniform(0.01, 0.35, 2) * rng.choice([1, 1, 0.15], 2)
        start, end = (tuple(int(v) for v in point * (width, height)) for point in (corner, other))
        if rng.random() < 0.7:
            cv2.rectangle(pixels, start, end, colour, -1)
        else:
            cv2.line(pixels, start, end, colour, max(1, height // 160), cv2.LINE_AA)
    return pixels


def draw_whole(seed: int, index: int, size: int):
    """The first of a thousand dolls whose figure no edge of its picture cuts."""
    dolls = (draw(seed, 1000 * index + number, size) for number in count())
    return next(d for d in dolls if not d.figure[[0, -1]].any() and not d.figure[:, [0, -1]].any())


def add_person(pixels, rng, seed: int, index: int, room, share: float) -> list[Thing]:
    """Draw a doll into the pixels, in place, `share` of their height tall; returns its annotated things.

    Args:
        room: left and right end of the columns it may take, as shares of the width.
    """
    height, width = pixels.shape[:2]
    size = int(np.clip(1.4 * share * height, 160, SHARPEST))
    doll = draw_whole(seed, index, size)
    rows, columns = (np.flatnonzero(doll.figure.any(axis=axis)) for axis in (1, 0))
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    figure = doll.figure[part]
    space = (room[1] - room[0]) * width
    scale = min(share * height / figure.shape[0], 0.96 * space / figure.shape[1])
    size = tuple(max(1, int(side * scale)) for side in figure.shape[::-1])
    left = int(room[0] * width + rng.uniform(0, space - size[0]))
    top = int(rng.uniform(0.4, 1) * (height - size[1]))
    target = pixels[top : top + size[1], left : left + size[0]]
    person = cv2.resize(doll.photo[part], size, interpolation=cv2.INTER_CUBIC)
    _texture(person, rng, rng.uniform(4, 9), 1.5)
    cover = cv2.resize(figure, size, interpolation=cv2.INTER_LINEAR).astype(np.float32) / 255
    target[:] = cv2.blendLinear(person, np.ascontiguousarray(target), cover, 1 - cover)
    things = []
    for instance in doll.instances:
        mask = cv2.resize(instance.mask[part].astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
        things.append(_trimmed(instance.class_id, instance.attributes, mask, left, top))
    return [thing for thing in things if thing]


def _trimmed(category: int, attributes, mask, left: int, top: int) -> Thing | None:
    """The thing without empty margins of its mask; None if nothing of it is left."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    mask = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Thing(category, tuple(attributes), mask, left + int(columns[0]), top + int(rows[0]))


def add_details(pixels, rng, things: list[Thing], count: int, category: int | None = None) -> list[Thing]:
    """Sew buttons and the like onto a person's garments, in place: small discs, each a thing of its own."""
    details, garments = [], [t for t in things if t.category < 13 and t.mask.sum() > 400]
    for _ in range(count if garments else 0):
        garment = garments[rng.integers(len(garments))]
        height, width = garment.mask.shape
        radius = max(2, round(0.02 * rng.uniform(0.6, 1.6) * height))
        row, column = rng.integers(height), rng.integers(width)
        while not garment.mask[row, column]:
            row, column = rng.integers(height), rng.integers(width)
        middle = garment.left + int(column), garment.top + int(row)
        cv2.circle(pixels, middle, radius, rng.integers(0, 256, 3).tolist(), -1, cv2.LINE_AA)
        disc = cv2.circle(np.zeros((2 * radius + 1,) * 2, np.uint8), (radius, radius), radius, 1, -1) > 0
        left, top = (max(0, side - radius) for side in middle)
        disc = disc[top - middle[1] + radius :, left - middle[0] + radius :]
        disc = disc[: pixels.shape[0] - top, : pixels.shape[1] - left]
        kind = DETAILS[rng.integers(len(DETAILS))] if category is None else category
        details.append(Thing(kind, (), disc, left, top))
    return details


def add_bag(pixels, rng) -> list[Thing]:
    """A bag that nobody carries."""
    height, width = pixels.shape[:2]
    mask, half = np.zeros((height, width), np.uint8), int(0.2 * min(height, width))
    x, y = (int(rng.uniform(0.35, 0.65) * side) for side in (width, height))
    cv2.ellipse(mask, (x, y - half // 2), (half // 2, half // 2), 0, 0, 360, 1, max(2, half // 10))
    cv2.rectangle(mask, (x - half, y - half // 2), (x + half, y + half // 2), 1, -1)
    pixels[mask > 0] = rng.integers(0, 256, 3)
    return [_trimmed(24, (), mask > 0, 0, 0)]


def add_grain(pixels, rng) -> None:
    """A camera's noise, in place."""
    _texture(pixels, rng, rng.uniform(2, 5), 0.7)
