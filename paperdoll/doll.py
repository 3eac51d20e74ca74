"""Draw one doll: a picture, exact masks in iMaterialist's classes, and a caption."""

import numpy as np

from paperdoll import wardrobe
from paperdoll.attributes import describe
from paperdoll.body import draw_arms, draw_hair_behind, draw_head, draw_limbs, grow
from paperdoll.canvas import BACKGROUNDS, Canvas
from paperdoll.figure import Doll, Instance
from paperdoll.outfit import PLAIN, STRIPE, dress
from paperdoll.shapes import SUPERSAMPLE, majority
from paperdoll.tailor import Tailor


def _background(rng, size: int, floor_y: float):
    """A soft gradient of two muted colours, often with a floor below `floor_y`: float32 (size, size, 3)."""
    first, second = (np.array(BACKGROUNDS[i], np.float32) for i in rng.permutation(len(BACKGROUNDS))[:2])
    angle, contrast = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 1.0)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    along = np.clip(0.5 + contrast * (x * np.cos(angle) + y * np.sin(angle)), 0, 1)[:, :, None]
    ground = (first + (second - first) * along) * rng.uniform(0.9, 1.0)
    if rng.random() < 0.6:
        edge = np.clip((y[:, :, None] + 0.5 - floor_y) * size / 2 + 0.5, 0, 1)
        ground = ground * (1 - edge * rng.uniform(0.1, 0.2))
    return ground


def _pattern(rng, pattern: int, size: int):
    """Where a pattern's second tone falls: bool, supersampled. Bands are 8 to 11, dots 8 to 11 px of 128."""
    side = size * SUPERSAMPLE
    if pattern == PLAIN:
        return np.zeros((side, side), bool)
    pixel = 128 / side
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) * pixel
    if pattern == STRIPE:
        angle, band = rng.choice([0, 0.1, np.pi / 2, np.pi / 4]), rng.uniform(8, 10.5)
        along = y * np.cos(angle) + x * np.sin(angle) + rng.uniform(0, 20)
        return along % (2.3 * band) < band
    pitch, radius = rng.uniform(15, 18), rng.uniform(4.2, 5.2)
    x, y = x + rng.uniform(0, pitch), y + rng.uniform(0, pitch)
    row = np.floor(y / pitch)
    x = (x + row * pitch / 2) % pitch - pitch / 2
    return x**2 + (y % pitch - pitch / 2) ** 2 < radius**2


def _place(rng, size: int, body) -> Canvas:
    """A canvas with the figure's height, lean and position drawn at random, most of it inside the frame."""
    height, lean = 0.55 + 0.4 * rng.random() ** 0.6, np.radians(rng.uniform(-12, 12))
    unit = size * height / (body.heads + 0.3)
    half = 0.5 * size * height * np.cos(lean)
    margin = (body.shoulder + 0.3) * unit + abs(np.sin(lean)) * half * 0.8
    x = rng.uniform(margin, size - margin)
    y = rng.uniform(half, size - half)
    return Canvas(size, unit, lean, (x, y), body.heads / 2 - 0.15)


def _paint(canvas, body, outfit, rng) -> list[tuple[int, int]]:
    """Draw body and garments from back to front; returns the parts as (class id, garment number)."""
    parts = []
    tailors = {g.kind: Tailor(canvas, body, g, n + 1, parts, rng) for n, g in enumerate(outfit)}
    by_region = {g.region: tailors[g.kind] for g in outfit if g.region}
    draw_hair_behind(canvas, body)
    draw_limbs(canvas, body)
    if "shoes" in tailors:
        for side in (0, 1):
            wardrobe.sew_shoes(tailors["shoes"], side)
    if "bottom" in by_region:
        wardrobe.sew_bottom(by_region["bottom"])
    upper = by_region.get("top") or by_region["whole"]
    (wardrobe.sew_top if "top" in by_region else wardrobe.sew_whole)(upper)
    upper.neck()
    draw_arms(canvas, body)
    upper.sleeves()
    if "bag" in tailors:
        wardrobe.sew_bag(tailors["bag"])
    draw_head(canvas, body)
    if "head" in by_region:
        wardrobe.sew_head(by_region["head"])
    return parts


def draw(seed: int, index: int, size: int = 128) -> Doll:
    """Doll `index` of a seed: depends on nothing else, so any of them can be drawn in any order."""
    rng = np.random.default_rng([seed, index])
    outfit, body = dress(rng), grow(rng)
    canvas = _place(rng, size, body)
    parts = _paint(canvas, body, outfit, rng)
    floor_y = canvas.place_finely([(0, body.heads)])[0, 1] / SUPERSAMPLE / size - rng.uniform(0.02, 0.14)
    kind = max((g.pattern for g in outfit), key=lambda p: p != PLAIN)
    pattern = _pattern(rng, kind, size)
    background = _background(rng, size, floor_y)
    photo, figure, garments, part_ids = canvas.finish(background, pattern)
    masks = [majority(garments == number) for number in range(1, len(outfit) + 1)]
    # a bag may hang outside the frame: what can't be seen is neither annotated nor named
    seen = [(g, m) for g, m in zip(outfit, masks, strict=True) if m.sum() >= (size / 32) ** 2]
    instances = [Instance(g.category, g.attributes, m, g.colour, g.region) for g, m in seen]
    for number, (class_id, parent) in enumerate(parts, 1):
        instances.append(
            Instance(class_id, (), majority(part_ids == number), outfit[parent - 1].colour, None)
        )
    return Doll(photo, figure, [i for i in instances if i.mask.any()], describe([g for g, _ in seen]))
