"""Put a person, a pose and an outfit into a frame; or lay one garment flat on white."""

from dataclasses import dataclass

import numpy as np

from paperdoll.colours import GROUNDS, shade
from paperdoll.easel import Drawing, Easel
from paperdoll.garment import Garment
from paperdoll.person import (
    SIDES,
    Person,
    Pose,
    draw_arm,
    draw_body,
    draw_hair_behind,
    draw_head,
    draw_neck,
    find_keypoints,
)
from paperdoll.pieces import FLAT, FLAT_POSE, Tailor
from paperdoll.sewing import sew_bag, sew_bottom, sew_headwear, sew_shoes, sew_upper

PIVOT = 2.0  # the figure leans about its middle, at this height
HEADROOM = dict(beanie=0.5, hat=0.46, cap=0.3, headband=0.42)


def as_size(size) -> tuple[int, int]:
    """(height, width) of a side or of such a pair."""
    return (size, size) if isinstance(size, int) else tuple(size)


@dataclass(frozen=True)
class View:
    """Where the figure lies: one head height and the top of the head in shares of the frame's height, the
    axis in shares of its width, and the lean in radians."""

    unit: float
    top: float
    x: float
    lean: float


@dataclass(frozen=True)
class Ground:
    """A background: two colours, the gradient's angle, a floor's height (2: none), a disc (x, y, radius)."""

    first: tuple
    second: tuple
    angle: float
    floor: float
    disc: tuple

    def paint(self, size):
        """float32 (H, W, 3) in [0, 255]."""
        height, width = size
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        x, y = (x + 0.5) / width, (y + 0.5) / height
        along = np.clip(0.5 + (x - 0.5) * np.cos(self.angle) + (y - 0.5) * np.sin(self.angle), 0, 1)[
            :, :, None
        ]
        ground = np.float32(self.first) + (np.subtract(self.second, self.first).astype(np.float32)) * along
        away = np.hypot((x - self.disc[0]) * width / height, y - self.disc[1]) - self.disc[2]
        inside = np.clip(0.5 - away * height / 1.5, 0, 1)[:, :, None]
        ground = ground + inside * 0.45 * (255 - ground)
        edge = np.clip((y - self.floor) * height / 1.5 + 0.5, 0, 1)[:, :, None]
        return ground * (1 - 0.13 * edge)


def imagine_ground(rng, floor: float) -> Ground:
    """A soft gradient, now and then with a floor at about this height, now and then with a pale disc."""
    first, second = (GROUNDS[i] for i in rng.permutation(len(GROUNDS))[:2])
    floor = floor - rng.uniform(0.01, 0.1) if rng.random() < 0.6 else 2.0
    disc = (
        rng.uniform(0.3, 0.7),
        rng.uniform(0.3, 0.5),
        rng.uniform(0.26, 0.42) if rng.random() < 0.3 else -1.0,
    )
    return Ground(shade(first, -0.06), shade(second, -0.02), rng.uniform(0, 2 * np.pi), floor, disc)


def headroom(person: Person, outfit) -> float:
    """How far the figure reaches above its head, in head heights."""
    hair = dict(bun=0.3, afro=0.2).get(person.hair_style, 0.04)
    return max([hair] + [HEADROOM.get(garment.kind, 0) for garment in outfit])


def frame_full(rng, person: Person, outfit, spread: float = 0.13) -> View:
    """The whole figure, filling most of the frame's height."""
    room, share = headroom(person, outfit), rng.uniform(0.84, 0.97)
    unit = share / (person.heads + room + 0.05)
    top = unit * room + rng.uniform(0.25, 0.75) * (1 - share)
    return View(unit, top, 0.5 + rng.uniform(-spread, spread), np.radians(rng.uniform(-7, 7)))


def frame_half(rng, person: Person, outfit, spread: float = 0.12, units=(0.28, 0.37), lean=6) -> View:
    """Head to hip or knee."""
    unit = rng.uniform(*units)
    top = unit * headroom(person, outfit) + rng.uniform(0.02, 0.07)
    return View(unit, top, 0.5 + rng.uniform(-spread, spread), np.radians(rng.uniform(-lean, lean)))


def set_up(size, view: View) -> Easel:
    """An easel for a figure seen so."""
    unit = view.unit * size[0]
    origin = view.x * size[1], view.top * size[0] + unit * PIVOT
    return Easel(size, unit, view.lean, origin, PIVOT)


@dataclass(frozen=True)
class Worn:
    """A drawn person. `parts` are (class id, number of its garment); garments count from 1 in the outfit."""

    drawing: Drawing
    parts: list
    keypoints: dict


def draw_worn(person: Person, pose: Pose, outfit, view: View, ground: Ground, size) -> Worn:
    """A person in an outfit: photo, masks, labels, correspondences and keypoints (pixels x, y)."""
    easel, parts = set_up(size, view), []
    tailors = [Tailor(easel, person, pose, g, n, parts, worn=True) for n, g in enumerate(outfit, 1)]
    by_kind = {t.garment.kind: t for t in tailors}
    by_region = {t.garment.region: t for t in tailors if t.garment.region}
    draw_hair_behind(easel, person)
    draw_body(easel, person, pose)
    if "shoes" in by_kind:
        sew_shoes(by_kind["shoes"])
    if "bottom" in by_region:
        sew_bottom(by_region["bottom"])
    upper = by_region.get("top") or by_region["whole"]
    sew_upper(upper)
    draw_neck(easel, person)
    upper.collar()
    for side in SIDES:
        draw_arm(easel, person, pose, side)
        upper.sleeve(side)
    if "bag" in by_kind:
        sew_bag(by_kind["bag"])
    draw_head(easel, person)
    if "head" in by_region:
        sew_headwear(by_region["head"])
    drawing = easel.finish(ground.paint(size))
    names, points = zip(*find_keypoints(person, pose).items(), strict=True)
    return Worn(drawing, parts, dict(zip(names, easel.place(points), strict=True)))


def _lay(garment: Garment, size, unit: float, middle) -> Drawing:
    easel, parts = Easel(size, unit, 0.0, (size[1] / 2, size[0] / 2), 0.0), []
    easel.to_pixels[:, 2] -= unit * np.asarray(middle)
    tailor = Tailor(easel, FLAT, FLAT_POSE, garment, 1, parts, worn=False)
    if garment.region == "bottom":
        sew_bottom(tailor)
    else:
        sew_upper(tailor)
        tailor.collar()
        for side in SIDES:
            tailor.sleeve(side)
    return easel.finish(np.full((*size, 3), 255, np.float32), shadow=0.3)


def draw_product(garment: Garment, size) -> Drawing:
    """A garment alone, flat on white with its shadow, filling the frame."""
    rows, columns = np.nonzero(_lay(garment, (64, 64), 14.0, (0, 2.2)).covered > 127)
    top, bottom = (rows.min() - 32) / 14 + 2.2, (rows.max() + 1 - 32) / 14 + 2.2
    half = max(32 - columns.min(), columns.max() + 1 - 32) / 14
    unit = min(0.84 * size[0] / (bottom - top), 0.43 * size[1] / half, 0.42 * size[0])
    return _lay(garment, size, unit, (0, (top + bottom) / 2))
