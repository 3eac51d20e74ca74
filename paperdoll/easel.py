"""An easel of paints: every shape is drawn once, and picture, masks and points show the same pixels."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from paperdoll.shapes import SUPERSAMPLE, arc_points, lay_on_ground, majority, round_corners

IDENTITY = np.array([[1.0, 0, 0], [0, 1.0, 0]])


@dataclass(frozen=True)
class Paint:
    """What a shape is painted with.

    Args:
        colour: RGB.
        label: what it is on the body, a name of `labels.py`.
        garment, part: numbers of the instances it belongs to, 0 for none.
        fabric: the garment's pattern, a function of pattern coordinates, or None for a plain colour.
        tone: how much lighter or darker than the fabric's own colours this piece is.
        cut: (2, 3) from body points to the flat garment's points; `grain` (2, 3) from there to the pattern's.
    """

    colour: tuple
    label: str = ""
    garment: int = 0
    part: int = 0
    fabric: object = None
    tone: float = 0.0
    cut: np.ndarray | None = None
    grain: np.ndarray | None = None


def chain(second, first):
    """The affine map (2, 3) that does `first`, then `second`."""
    return np.concatenate([second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2:] + second[:, 2:]], 1)


def invert(affine):
    """The affine map (2, 3) back."""
    inverse = np.linalg.inv(affine[:, :2])
    return np.concatenate([inverse, -inverse @ affine[:, 2:]], 1)


class Easel:
    """Shapes in body points (head heights, y down, x from the axis), placed by scale, lean and position.

    Args:
        size: (height, width) of the finished picture in pixels.
        unit: one head height in finished pixels.
        lean: rotation of the whole body in radians.
        origin: finished pixel (x, y) of the body point (0, `pivot`).
    """

    def __init__(self, size, unit: float, lean: float, origin, pivot: float):
        height, width = size
        self.image = Image.new("L", (width * SUPERSAMPLE, height * SUPERSAMPLE), 0)  # paints' numbers
        self.pen = ImageDraw.Draw(self.image)
        self.paints = [Paint((0, 0, 0), "background")]
        cos, sin = np.cos(lean) * unit, np.sin(lean) * unit
        turn = np.array([[cos, -sin], [sin, cos]])
        self.to_pixels = np.concatenate([turn, (np.array(origin) - turn @ (0, pivot))[:, None]], 1)

    def mix(self, colour, label: str = "", **what) -> int:
        """The number of a new paint, for the shapes to be drawn with."""
        self.paints.append(Paint(tuple(colour), label, **what))
        return len(self.paints) - 1

    def place(self, points):
        """Body points (n, 2) in finished pixels."""
        return np.asarray(points, np.float64) @ self.to_pixels[:, :2].T + self.to_pixels[:, 2]

    def polygon(self, paint: int, points, corners: int = 2):
        """Fill a closed polygon of body points (n, 2), its corners cut off `corners` times to round them."""
        points = self.place(round_corners(points, corners)) * SUPERSAMPLE
        self.pen.polygon(points.ravel().tolist(), fill=paint)

    def ellipse(self, paint: int, x, y, width, height, arc=(0, 360), turn: float = 0.0):
        """Fill an ellipse with these half axes, or the part of it between two angles (0 right, 90 down)."""
        self.polygon(paint, arc_points(x, y, width, height, arc, turn), corners=0)

    def tube(self, paint: int, start, end, radius: float, end_radius: float, round_end: bool = True):
        """Fill a limb or sleeve: round at its start, and flat or round at its end."""
        start, end = np.asarray(start, np.float64), np.asarray(end, np.float64)
        along = (end - start) / np.linalg.norm(end - start)
        across = np.array([-along[1], along[0]])
        sides = [start + across * radius, end + across * end_radius]
        self.polygon(paint, sides + [end - across * end_radius, start - across * radius], corners=0)
        self.ellipse(paint, *start, radius, radius)
        if round_end:
            self.ellipse(paint, *end, end_radius, end_radius)

    def line(self, paint: int, points, width: float):
        """A stroke through body points, of this width in head heights, with round ends."""
        for start, end in zip(points, points[1:], strict=False):
            self.tube(paint, start, end, width / 2, width / 2)

    def finish(self, ground, shadow: float = 0.22):
        """The picture on a ground (H, W, 3) in [0, 255], with a soft paper shadow: a `Drawing`."""
        indices = np.asarray(self.image)
        drawn = np.array([p.colour for p in self.paints], np.uint8)[indices]
        self._weave(drawn, indices)
        photo, covered = lay_on_ground(drawn, indices > 0, np.asarray(ground, np.float32), shadow)
        return Drawing(photo, covered, indices, self.paints, self.to_pixels)

    def _weave(self, drawn, indices):
        """Colour the pixels of patterned paints, each in its pattern's own coordinates."""
        woven = np.array([p.fabric is not None for p in self.paints])
        back = invert(self.to_pixels)
        maps = np.zeros((len(self.paints), 2, 3), np.float32)
        for number in np.flatnonzero(woven):
            paint = self.paints[number]
            maps[number] = chain(paint.grain, chain(paint.cut, back))
        y, x = np.nonzero(woven[indices])
        owner = indices[y, x]
        m = maps[owner]
        px, py = (x + 0.5).astype(np.float32) / SUPERSAMPLE, (y + 0.5).astype(np.float32) / SUPERSAMPLE
        a = m[:, 0, 0] * px + m[:, 0, 1] * py + m[:, 0, 2]
        b = m[:, 1, 0] * px + m[:, 1, 1] * py + m[:, 1, 2]
        for fabric in {id(p.fabric): p.fabric for p in self.paints if p.fabric is not None}.values():
            mine = np.array([p.fabric is fabric for p in self.paints])
            chosen = mine[owner]
            tones = np.array(
                [fabric.colours(p.tone) if p.fabric is fabric else fabric.colours(0) for p in self.paints]
            )
            which = owner[chosen]
            torso = np.array([p.part == 0 for p in self.paints])[which]
            drawn[y[chosen], x[chosen]] = tones[which, fabric.choose(a[chosen], b[chosen], torso)]


@dataclass(frozen=True)
class Drawing:
    """A finished picture.

    Args:
        photo: uint8 (H, W, 3) in RGB.
        covered: uint8 (H, W), how much of each pixel is covered, 255 all of it.
        indices: the paint of each pixel, at supersampled resolution.
        paints: all of them.
        to_pixels: (2, 3), body points to pixels.
    """

    photo: np.ndarray
    covered: np.ndarray
    indices: np.ndarray
    paints: list
    to_pixels: np.ndarray

    def mask(self, garment: int = 0, part: int = 0):
        """Pixels (bool, H x W) most of whose supersamples belong to this garment, or to this part."""
        wanted = [p.part == part if part else p.garment == garment for p in self.paints]
        return majority(np.array(wanted)[self.indices])

    def labels(self, table: dict[str, int]):
        """The label map uint8 (H, W), by a table from names to ids: what lies at each pixel's middle."""
        ids = np.array([table[p.label] for p in self.paints], np.uint8)
        return ids[self.middle()]

    def middle(self):
        """The paint (H, W) at each pixel's middle."""
        return self.indices[SUPERSAMPLE // 2 :: SUPERSAMPLE, SUPERSAMPLE // 2 :: SUPERSAMPLE]

    def correspondence(self, garment: int):
        """For each pixel of a garment, the point of the flat garment, float32 (H, W, 2); NaN elsewhere."""
        back, owner = invert(self.to_pixels), self.middle()
        maps = np.full((len(self.paints), 2, 3), np.nan, np.float32)
        for number, paint in enumerate(self.paints):
            if paint.garment == garment and paint.cut is not None:
                maps[number] = chain(paint.cut, back)
        y, x = np.mgrid[0 : owner.shape[0], 0 : owner.shape[1]].astype(np.float32) + 0.5
        m = maps[owner]
        return np.einsum("hwij,hwj->hwi", m[..., :2], np.stack([x, y], -1)) + m[..., 2]
