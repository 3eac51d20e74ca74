"""Cut and paint one garment. Parts (sleeve, collar, pocket, neckline) lie on their garment."""

from paperdoll.attributes import (
    A_LINE,
    COLLAR,
    FIT_AND_FLARE,
    FLARE,
    NECKLINE,
    POCKET,
    SLEEVE,
    STRAIGHT,
    TIGHT,
    WIDE_LEG,
)
from paperdoll.body import Body
from paperdoll.canvas import COLOURS, Canvas, pattern_shade
from paperdoll.colours import shade
from paperdoll.outfit import PLAIN, Garment
from paperdoll.shapes import box

EASE = {TIGHT: 0.03, STRAIGHT: 0.05}
SKIRT_SHARE = {"mini": 0.3, "knee": 0.55, "maxi": 0.9}
LEG_SHARE = {"short": 0.36, "cropped": 0.66, "full": 0.95}
HEM_FLARE = {STRAIGHT: 0.04, A_LINE: 0.24, FIT_AND_FLARE: 0.4, FLARE: 0.48}


class Tailor:
    """Paints one garment on a canvas; remembers the part instances (class id, garment number) it made."""

    def __init__(self, canvas: Canvas, body: Body, garment: Garment, number: int, parts: list, rng):
        self.canvas, self.body, self.garment, self.number = canvas, body, garment, number
        self.parts, self.rng = parts, rng
        self.ease = EASE.get(garment.silhouette, 0.09)

    def paint(self, tone: float = 0, part: int | None = None) -> int:
        """A paint of the garment's colour, lighter or darker by `tone`; `part` is a part's class id."""
        colour, pattern = COLOURS[self.garment.colour], None
        if self.garment.pattern != PLAIN:
            pattern = shade(pattern_shade(self.garment.colour), tone)
        number = 0
        if part is not None:
            self.parts.append((part, self.number))
            number = len(self.parts)
        return self.canvas.mix(shade(colour, tone), pattern, self.number, number)

    def detail(self) -> float:
        """The tone of folds and pockets: darker, but lighter on black."""
        return 0.16 if self.garment.colour == "black" else -0.12

    def torso(self, hem_y: float, hem_half: tuple[float, float], shoulders: float = 1.0):
        """From the shoulders to a hem with the half widths (left, right)."""
        body, paint = self.body, self.paint()
        heights = [y for y in (body.shoulder_y + 0.3, body.waist_y, body.hip_y) if y < hem_y - 0.08]
        if self.garment.silhouette == A_LINE:
            heights = heights[:1]
        widths = [body.half_width(y) + self.ease for y in heights]
        top = (body.shoulder + 0.02) * shoulders
        left = [(-top, body.shoulder_y - 0.05)] + [(-w, y) for w, y in zip(widths, heights, strict=True)]
        right = [(top, body.shoulder_y - 0.05)] + [(w, y) for w, y in zip(widths, heights, strict=True)]
        hem = [(-hem_half[0], hem_y), (0, hem_y + 0.06), (hem_half[1], hem_y)]
        self.canvas.polygon(paint, left + hem + right[::-1])

    def skirt_hem(self, length: str):
        """Height of a skirt's hem, and its half widths, wide enough for the legs inside."""
        body, share = self.body, SKIRT_SHARE[length]
        right, left = (abs(body.leg_at(side, share)[0]) + body.leg_radius + 0.06 for side in (0, 1))
        flare = body.hip + HEM_FLARE[self.garment.silhouette] * (0.6 + share)
        y = body.hip_y + share * (body.heads - body.hip_y)
        return y, (max(left, flare), max(right, flare))

    def legs(self, length: str):
        """Two trouser legs and the seat between them."""
        body, share = self.body, LEG_SHARE[length]
        wide = {WIDE_LEG: 0.14, TIGHT: 0.02}.get(self.garment.silhouette, 0.06)
        paint, radius = self.paint(), body.leg_radius + 0.04
        for side in (0, 1):
            end = body.leg_at(side, share)
            self.canvas.tube(paint, body.legs[side][0], end, radius, radius * 0.84 + wide, round_end=False)
        half = body.hip + 0.05
        waist = body.half_width(body.waist_y) + 0.04
        top = body.hip_y - 0.34
        seat = [(-waist, top), (waist, top), (half, body.hip_y), (half * 0.8, body.hip_y + 0.24)]
        self.canvas.polygon(paint, seat + [(-half * 0.8, body.hip_y + 0.24), (-half, body.hip_y)], corners=1)

    def sleeves(self):
        """Sleeves along both arms; every sleeve is a part of its own."""
        if self.garment.sleeve == "none":
            return
        radius = self.body.arm_radius + (0.06 if self.garment.kind in ("coat", "sweater", "jacket") else 0.03)
        cuff = radius * self.rng.uniform(0.95, 1.3)
        for shoulder, elbow, hand in self.body.arms:
            paint = self.paint(self.detail() * 0.6, SLEEVE)
            if self.garment.sleeve == "short":
                self.canvas.tube(
                    paint, shoulder, shoulder + 0.82 * (elbow - shoulder), radius, cuff, round_end=False
                )
            else:
                self.canvas.tube(paint, shoulder, elbow, radius, radius)
                self.canvas.tube(paint, elbow, elbow + 0.8 * (hand - elbow), radius, cuff, round_end=False)

    def neck(self):
        """A neckline cut into the garment, or a collar on it."""
        y, kind = self.body.shoulder_y, self.garment.kind
        if kind == "sweater":
            self.canvas.polygon(self.paint(self.detail(), COLLAR), box(0, y - 0.07, 0.32, 0.13), corners=1)
            return
        skin = self.canvas.mix(shade(self.body.skin, -0.05))
        depth = self.rng.uniform(0.2, 0.34)
        self.canvas.ellipse(self.paint(self.detail(), NECKLINE), 0, y - 0.06, 0.33, depth + 0.1, arc=(0, 180))
        self.canvas.ellipse(skin, 0, y - 0.06, 0.22, depth, arc=(0, 180))
        if kind in ("shirt", "jacket", "coat"):
            collar = self.paint(self.detail(), COLLAR)
            for s in (1, -1):
                flap = [(s * 0.12, y - 0.12), (s * 0.42, y - 0.04), (s * 0.34, y + 0.3), (0, y + 0.34)]
                self.canvas.polygon(collar, flap, corners=1)

    def front(self, end_y: float):
        """The line where a coat, jacket or vest closes."""
        if self.garment.kind in ("coat", "jacket", "vest"):
            y = self.body.shoulder_y + 0.34
            self.canvas.polygon(
                self.paint(self.detail()), box(0, (y + end_y) / 2, 0.06, (end_y - y) / 2), corners=0
            )

    def pockets(self, x: float, y: float, size: float = 0.17):
        """Two pockets, on half of the garments."""
        if self.rng.random() < 0.5:
            for side in (1, -1):
                self.canvas.polygon(
                    self.paint(self.detail(), POCKET), box(side * x, y, size, size), corners=1
                )
