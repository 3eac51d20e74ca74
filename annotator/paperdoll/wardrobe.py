"""How each garment is cut and painted. Parts (sleeve, collar, pocket, neckline) lie on their garment."""

from .body import Body
from .canvas import Canvas
from .outfit import A_LINE, FIT_AND_FLARE, FLARE, PLAIN, STRAIGHT, TIGHT, WIDE_LEG, Garment
from .palette import COLOURS, pattern_shade, shade

COLLAR, SLEEVE, POCKET, NECKLINE = 28, 31, 32, 33
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
            self.canvas.tube(paint, body.legs[side][0], end, radius, radius * 0.84 + wide)
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
                self.canvas.tube(paint, shoulder, shoulder + 0.82 * (elbow - shoulder), radius, cuff)
            else:
                self.canvas.tube(paint, shoulder, elbow, radius, radius, round_end=True)
                self.canvas.tube(paint, elbow, elbow + 0.8 * (hand - elbow), radius, cuff)

    def neck(self):
        """A neckline cut into the garment, or a collar on it."""
        y, kind = self.body.shoulder_y, self.garment.kind
        if kind == "sweater":
            self.canvas.polygon(self.paint(self.detail(), COLLAR), _box(0, y - 0.07, 0.32, 0.13), corners=1)
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
                self.paint(self.detail()), _box(0, (y + end_y) / 2, 0.06, (end_y - y) / 2), corners=0
            )

    def pockets(self, x: float, y: float, size: float = 0.17):
        """Two pockets, on half of the garments."""
        if self.rng.random() < 0.5:
            for side in (1, -1):
                self.canvas.polygon(
                    self.paint(self.detail(), POCKET), _box(side * x, y, size, size), corners=1
                )


def _box(x: float, y: float, half_width: float, half_height: float):
    w, h = half_width, half_height
    return [(x - w, y - h), (x + w, y - h), (x + w, y + h), (x - w, y + h)]


def sew_top(tailor: Tailor):
    """A top, shirt, sweater, jacket or vest."""
    body, garment = tailor.body, tailor.garment
    drop = {"crop": -0.16, "hip": 0.14, "tunic": 0.5}[garment.length]
    y = body.hip_y + drop
    half = body.half_width(y) + tailor.ease + (0.16 if garment.silhouette == A_LINE else 0.02)
    tailor.torso(y, (half, half), 0.82 if garment.sleeve == "none" else 1.0)
    tailor.front(y)


def sew_whole(tailor: Tailor):
    """A dress, a coat or a jumpsuit."""
    body, garment = tailor.body, tailor.garment
    shoulders = 0.82 if garment.sleeve == "none" else 1.0
    if garment.kind == "jumpsuit":
        tailor.legs(garment.length)
        tailor.torso(body.hip_y + 0.1, (body.hip + 0.06, body.hip + 0.06), shoulders)
        tailor.pockets(body.hip * 0.6, body.hip_y + 0.12)
        return
    y, half = tailor.skirt_hem(garment.length)
    tailor.torso(y, half, shoulders)
    tailor.front(y)
    if garment.kind == "coat":
        tailor.pockets(body.hip * 0.6, body.hip_y + 0.05)


def sew_bottom(tailor: Tailor):
    """Pants, shorts or a skirt."""
    body, garment = tailor.body, tailor.garment
    if garment.kind != "skirt":
        tailor.legs(garment.length)
        return
    y, (left, right) = tailor.skirt_hem(garment.length)
    waist, hip = body.half_width(body.waist_y) + 0.04, body.hip + 0.05
    top = body.hip_y - 0.34
    hem = [(right, y), (0, y + 0.06), (-left, y)]
    hips = [(hip, body.hip_y), (-hip, body.hip_y)] if garment.silhouette == STRAIGHT else []
    tailor.canvas.polygon(
        tailor.paint(), [(-waist, top), (waist, top), *hips[:1], *hem, *hips[1:]], corners=2
    )


def sew_head(tailor: Tailor):
    """A beanie, a wide-brimmed hat, a headband with a bow, or sunglasses."""
    canvas, kind = tailor.canvas, tailor.garment.kind
    paint, dark = tailor.paint(), tailor.paint(tailor.detail())
    if kind == "beanie":
        canvas.ellipse(paint, 0, 0.32, 0.56, 0.52, arc=(180, 360))
        canvas.ellipse(paint, 0, -0.22, 0.17, 0.17)
        canvas.polygon(dark, _box(0, 0.28, 0.58, 0.12), corners=1)
    elif kind == "hat":
        brim = tailor.rng.uniform(0.85, 1.15)
        canvas.ellipse(paint, 0, 0.26, 0.54, tailor.rng.uniform(0.5, 0.66), arc=(180, 360))
        canvas.ellipse(paint, 0, 0.26, brim, 0.16)
        canvas.polygon(dark, _box(0, 0.06, 0.5, 0.1), corners=0)
    elif kind == "headband":
        canvas.polygon(
            paint, [(-0.56, 0.32), (0, 0.06), (0.56, 0.32), (0.54, 0.02), (0, -0.22), (-0.54, 0.02)]
        )
        for side in (1, -1):
            canvas.polygon(
                paint, [(0.1, -0.12), (side * 0.34 + 0.1, -0.42), (side * 0.34 + 0.1, 0.14)], corners=1
            )
    else:
        for side in (1, -1):
            canvas.polygon(paint, _box(side * 0.25, 0.54, 0.24, 0.21), corners=1)
        canvas.polygon(paint, _box(0, 0.47, 0.46, 0.09), corners=0)


def sew_shoes(tailor: Tailor, side: int):
    """One shoe, pointing outwards."""
    x, y = tailor.body.legs[side][1]
    outwards = 1 if side == 0 else -1
    tailor.canvas.ellipse(tailor.paint(), x + outwards * 0.1, y, 0.32, 0.17)


def sew_bag(tailor: Tailor):
    """A bag in the hand that hangs lowest."""
    x, y = max((arm[-1] for arm in tailor.body.arms), key=lambda hand: hand[1])
    paint = tailor.paint()
    tailor.canvas.ellipse(paint, x, y + 0.12, 0.2, 0.2)
    tailor.canvas.polygon(paint, _box(x, y + 0.42, 0.38, 0.28), corners=2)
    tailor.canvas.polygon(tailor.paint(tailor.detail()), _box(x, y + 0.26, 0.3, 0.08), corners=0)
