"""A garment's pieces, on a body or laid flat, each with its map to the flat garment."""

from dataclasses import replace

import numpy as np

from paperdoll.attributes import (
    A_LINE,
    COLLAR,
    FLARE,
    NECKLINE,
    POCKET,
    SLEEVE,
    STRAIGHT,
    TIGHT,
    WIDE_LEG,
)
from paperdoll.colours import deepen
from paperdoll.easel import IDENTITY, Easel, chain, invert
from paperdoll.garment import Garment
from paperdoll.person import SIDES, Person, Pose, lay_flat
from paperdoll.shapes import box, round_corners

EASE = {TIGHT: 0.02, STRAIGHT: 0.04}
SKIRT_SHARE = {"mini": 0.34, "knee": 0.56, "maxi": 0.88}
HEM_FLARE = {STRAIGHT: 0.05, A_LINE: 0.2, FLARE: 0.36}
FLAT = Person(
    heads=3.55,
    shoulder_y=1.14,
    waist_y=1.8,
    hip_y=2.24,
    shoulder=0.57,
    waist=0.49,
    hip=0.49,
    arm_radius=0.145,
    leg_radius=0.19,
    arm=(0.56, 0.54),
    skin=(0, 0, 0),
    hair=(0, 0, 0),
    hair_style="crop",
    fringe="high",
    eye=0.08,
    brow=0.0,
    smile=0.0,
    mouth=0.12,
)
FLAT_POSE = lay_flat(FLAT)


def along_limb(start, end, radius: float, side: int):
    """Affine map (2, 3) from (across, outwards, in radii; along, 0 to 1) to body points."""
    start, end = np.asarray(start), np.asarray(end)
    x, y = (end - start) / np.linalg.norm(end - start)
    return np.stack([side * radius * np.array([y, -x]), end - start, start], 1)


def hem_line(y: float, right: float, left: float):
    """A hem at height y: nearly sharp at its corners, slightly curved between them."""
    edge = [(1.0, -0.04), (1.0, 0.0), (0.97, 0.0), (0.4, 0.045)]
    return [(right * x, y + h) for x, h in edge] + [(-left * x, y + h) for x, h in reversed(edge)]


def keep_below(points, y: float):
    """What of a polygon (n, 2) lies below (beyond) a height."""
    kept = []
    for (ax, ay), (bx, by) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if ay >= y:
            kept.append((ax, ay))
        if (ay >= y) != (by >= y):
            share = (y - ay) / (by - ay)
            kept.append((ax + share * (bx - ax), y))
    return kept


class Tailor:
    """Draws one garment on a body or, not `worn`, laid flat; notes its parts' class ids."""

    def __init__(
        self, easel: Easel, person: Person, pose: Pose, garment: Garment, number: int, parts: list, worn: bool
    ):
        self.easel, self.person, self.pose, self.garment = easel, person, pose, garment
        self.number, self.parts, self.worn = number, parts, worn
        self.ease = EASE.get(garment.silhouette, 0.07)
        self.upper, self.lower = self._torso_cut(below=False), self._torso_cut(below=True)

    def _torso_cut(self, below: bool):
        own, flat = self.person, FLAT
        if below:
            from_y, to_y = own.hip_y, flat.hip_y
            scale = (flat.heads - flat.hip_y) / (own.heads - own.hip_y)
        else:
            from_y, to_y = own.shoulder_y, flat.shoulder_y
            scale = (flat.hip_y - flat.shoulder_y) / (own.hip_y - own.shoulder_y)
        return np.array([[flat.shoulder / own.shoulder, 0, 0], [0, scale, to_y - scale * from_y]])

    def paint(
        self, cut, tone: float = 0, part: int | None = None, grain=IDENTITY, label: str | None = None
    ) -> int:
        """A paint of the garment's fabric; `part` is a part's class id."""
        number = 0
        if part is not None:
            self.parts.append((part, self.number))
            number = len(self.parts)
        fabric, garment = self.garment.fabric, self.garment
        what = dict(garment=self.number, part=number, cut=cut, grain=grain, tone=tone)
        label = label or LABELS.get(garment.kind, garment.region)
        return self.easel.mix(fabric.colours(tone)[0], label, fabric=fabric, **what)

    def plain(self, amount: float, part: int | None = None, label: str | None = None) -> int:
        """A paint of the garment's main colour without its pattern, deeper by `amount`."""
        number = 0
        if part is not None:
            self.parts.append((part, self.number))
            number = len(self.parts)
        label = label or LABELS.get(self.garment.kind, self.garment.region)
        colour = deepen(self.garment.fabric.colour, amount)
        return self.easel.mix(colour, label, garment=self.number, part=number, cut=self.upper, grain=IDENTITY)

    def panel(self, outline, corners: int = 2, hem: float | None = None):
        """A piece of the trunk: above the hip in one cut, below in the other; with a hem at this height."""
        points = round_corners(outline, corners)
        self.easel.polygon(self.paint(self.upper), points, 0)
        below = keep_below(points, self.person.hip_y)
        if len(below) > 2:
            self.easel.polygon(self.paint(self.lower), below, 0)
        if hem is not None:
            band = keep_below(points, hem)
            cut = self.lower if hem >= self.person.hip_y else self.upper
            if len(band) > 2:
                self.easel.polygon(self.paint(cut, -0.12), band, 0)

    def trunk(self, hem_y: float, hem_half, shoulders: float = 1.0):
        """From the shoulders to a hem with half widths (side 1, side -1)."""
        person = self.person
        heights = [y for y in (person.shoulder_y + 0.34, person.waist_y, person.hip_y) if y < hem_y - 0.08]
        if self.garment.silhouette in (A_LINE,) and self.garment.region == "top":
            heights = heights[:1]
        elif self.garment.silhouette in (A_LINE, FLARE):
            heights = heights[:2]
        right = [((person.shoulder + 0.015) * shoulders, person.shoulder_y - 0.04)]
        right += [(person.half_width(y) + self.ease, y) for y in heights]
        left = [(-x, y) for x, y in right]
        neck = [(0.16, person.shoulder_y - 0.1)]
        hem = hem_line(hem_y, *hem_half)
        outline = neck + right + hem + left[::-1] + [(-x, y) for x, y in neck]
        self.panel(outline, 2, hem_y - 0.07 if self.garment.kind != "vest" else None)

    def skirt_hem(self, length: str):
        """Height of a skirt's hem, and its half widths, wide enough for the legs inside."""
        person, share = self.person, SKIRT_SHARE[length]
        y = person.hip_y + share * (person.heads - person.hip_y)
        halves = []
        for leg in self.pose.legs:
            x = np.interp(y, [p[1] for p in leg], [abs(p[0]) for p in leg])
            flare = person.hip + HEM_FLARE[self.garment.silhouette] * (0.5 + share)
            halves.append(max(x + person.leg_radius * (1.12 - 0.4 * share), flare))
        return y, tuple(halves)

    def legs(self, length: str):
        """Two trouser legs and the seat."""
        person = self.person
        wide = {WIDE_LEG: 0.12, TIGHT: 0.01}.get(self.garment.silhouette, 0.04)
        radius = person.leg_radius + 0.03
        share = {"short": 0.72, "cropped": 0.45, "full": 0.9}[length]
        for side, leg, flat in zip(SIDES, self.pose.legs, FLAT_POSE.legs, strict=True):
            label = dict(label="pants") if self.garment.kind != "jumpsuit" else {}
            upper, lower = (
                self._limb_paint(leg, flat, i, person.leg_radius, FLAT.leg_radius, side, **label)
                for i in (0, 1)
            )
            hip, knee, ankle = leg
            if length == "short":
                self.easel.tube(
                    upper, hip, hip + share * (knee - hip), radius, radius + wide, round_end=False
                )
                continue
            self.easel.tube(upper, hip, knee, radius, radius * 0.9 + wide * 0.6)
            self.easel.tube(
                lower,
                knee,
                knee + share * (ankle - knee),
                radius * 0.9 + wide * 0.6,
                radius * 0.72 + wide * 1.2,
                round_end=False,
            )
        half, top = person.hip + 0.04, person.hip_y - 0.3
        waist = person.half_width(top) + 0.02
        right = [(waist, top), (half, person.hip_y), (half * 0.86, person.hip_y + 0.22)]
        self.panel(right + [(0, person.hip_y + 0.26)] + [(-x, y) for x, y in reversed(right)], corners=1)
        if self.garment.region == "bottom":
            band = [(waist, top), (waist + 0.01, top + 0.1), (-waist - 0.01, top + 0.1), (-waist, top)]
            self.easel.polygon(self.plain(0.14), band, 0)
            self.easel.line(self.plain(0.14), [(0, top + 0.1), (0, person.hip_y + 0.16)], 0.04)

    def _limb_paint(
        self, limb, flat, segment: int, radius: float, flat_radius: float, side: int, **what
    ) -> int:
        own = along_limb(limb[segment], limb[segment + 1], radius, side)
        laid = along_limb(flat[segment], flat[segment + 1], flat_radius, side)
        length = np.linalg.norm(np.subtract(flat[segment + 1], flat[segment]))
        before = segment * np.linalg.norm(np.subtract(flat[1], flat[0]))
        arm = "part" in what
        start = (FLAT.shoulder_y if arm else FLAT.hip_y) + before
        middle = side * (0.7 if arm else 0.26)
        grain = np.array([[side * flat_radius, 0, middle], [0, length, start]])
        return self.paint(chain(laid, invert(own)), grain=chain(grain, invert(laid)), **what)

    def sleeve(self, side: int):
        """A sleeve along the arm of this side, a part of its own."""
        garment, person = self.garment, self.person
        if garment.sleeve == "none":
            return
        thick = garment.kind in ("coat", "sweater", "jacket")
        radius = person.arm_radius + (0.055 if thick else 0.03)
        arm, flat = self.pose.arms[SIDES.index(side)], FLAT_POSE.arms[SIDES.index(side)]
        shoulder, elbow, wrist = arm
        radii = (person.arm_radius, FLAT.arm_radius)
        upper = self._limb_paint(arm, flat, 0, *radii, side, tone=-0.05, part=SLEEVE)
        if garment.sleeve == "short":
            self.easel.tube(
                upper, shoulder, shoulder + 0.78 * (elbow - shoulder), radius, radius + 0.015, round_end=False
            )
            return
        # the lower half belongs to the same part
        lower = self._limb_paint(arm, flat, 1, *radii, side, tone=-0.05, part=SLEEVE)
        self.parts.pop()
        paint = self.easel.paints[lower]
        self.easel.paints[lower] = replace(paint, part=self.easel.paints[upper].part)
        self.easel.tube(upper, shoulder, elbow, radius, radius * 0.94)
        self.easel.tube(
            lower, elbow, elbow + 0.86 * (wrist - elbow), radius * 0.94, radius * 0.86, round_end=False
        )

    def neckline(self):
        """The opening at the neck: skin when worn, the inside of the back when laid flat."""
        y, neck = self.person.shoulder_y, self.garment.neck
        if neck == "high":
            return
        inside = self.easel.mix(self.person.skin, "torso") if self.worn else self.plain(0.3)
        rim = self.plain(0.16, NECKLINE)
        if neck in ("round", "collar"):
            self.easel.ellipse(rim, 0, y - 0.09, 0.28, 0.3, arc=(0, 180))
            self.easel.ellipse(inside, 0, y - 0.1, 0.22, 0.24, arc=(0, 180))
        elif neck == "square":
            self.easel.polygon(
                rim, [(0.27, y - 0.09), (0.28, y + 0.27), (-0.28, y + 0.27), (-0.27, y - 0.09)], 0
            )
            self.easel.polygon(
                inside, [(0.2, y - 0.11), (0.21, y + 0.2), (-0.21, y + 0.2), (-0.2, y - 0.11)], 0
            )
        else:
            depth = 0.62 if neck == "lapel" else 0.4
            self.easel.polygon(rim, [(0.28, y - 0.09), (0, y + depth + 0.1), (-0.28, y - 0.09)], 0)
            if neck == "lapel" and self.worn:
                inside = self.easel.mix((244, 242, 238), "upper")
            self.easel.polygon(inside, [(0.2, y - 0.11), (0, y + depth), (-0.2, y - 0.11)], 0)

    def collar(self):
        """What lies over the neck: a high collar, a shirt's collar, lapels."""
        y, neck = self.person.shoulder_y, self.garment.neck
        if neck == "high":
            band = [(0.25, y - 0.2), (0.29, y + 0.06), (0, y + 0.1), (-0.29, y + 0.06), (-0.25, y - 0.2)]
            self.easel.polygon(self.plain(0.14, COLLAR), band, corners=1)
        elif neck == "collar":
            paint = self.plain(0.1, COLLAR)
            for s in SIDES:
                self.easel.polygon(
                    paint,
                    [(s * 0.16, y - 0.15), (s * 0.36, y - 0.04), (s * 0.26, y + 0.27), (0, y + 0.12)],
                    0,
                )
        elif neck == "lapel":
            paint = self.plain(0.12, COLLAR)
            for s in SIDES:
                self.easel.polygon(
                    paint,
                    [
                        (s * 0.2, y - 0.15),
                        (s * 0.42, y + 0.06),
                        (s * 0.3, y + 0.28),
                        (0, y + 0.66),
                        (s * 0.2, y + 0.1),
                    ],
                    0,
                )

    def front(self, end_y: float):
        """Where a shirt, coat, jacket or vest closes, with buttons."""
        if self.garment.kind not in ("shirt", "coat", "jacket", "vest"):
            return
        y = self.person.shoulder_y + dict(shirt=0.16, vest=0.5).get(self.garment.kind, 0.64)
        self.easel.line(self.plain(0.16), [(0, y + 0.02), (0, end_y - 0.03)], 0.055)
        paint = self.plain(0.42)
        for share in (0.3, 0.62, 0.92):
            self.easel.ellipse(
                paint, 0.1, y + share * (min(self.person.hip_y, end_y) - 0.07 - y), 0.042, 0.042
            )

    def pockets(self, x: float, y: float):
        """Two patch pockets."""
        for side in SIDES:
            paint = self.plain(0.12, POCKET)
            self.easel.polygon(paint, box(side * x, y, 0.14, 0.13), corners=1)


LABELS = dict(
    coat="coat", jacket="coat", dress="dress", jumpsuit="jumpsuit", skirt="skirt", pants="pants",
    shorts="pants", beanie="hat", hat="hat", cap="hat", headband="hat", sunglasses="sunglasses", bag="bag",
    top="upper", shirt="upper", sweater="upper", vest="upper",
)  # fmt: skip
