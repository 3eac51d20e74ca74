"""Sew a garment onto a body or lay it flat: what each kind is made of."""

from paperdoll.attributes import A_LINE, STRAIGHT
from paperdoll.person import SIDES
from paperdoll.pieces import Tailor, hem_line
from paperdoll.shapes import box

TOP_DROP = {"crop": -0.18, "hip": 0.1, "tunic": 0.42}


def sew_upper(tailor: Tailor):
    """The trunk of a top or of a whole-body garment, with its neckline; sleeves and collar come later."""
    person, garment = tailor.person, tailor.garment
    shoulders = 0.84 if garment.sleeve == "none" else 1.0
    if garment.region == "top":
        y = person.hip_y + TOP_DROP[garment.length]
        half = person.half_width(y) + tailor.ease + (0.12 if garment.silhouette == A_LINE else 0.02)
        halves = (half, half)
    elif garment.kind == "jumpsuit":
        tailor.legs(garment.length)
        y, halves = person.hip_y + 0.12, (person.hip + 0.04, person.hip + 0.04)
    else:
        y, halves = tailor.skirt_hem(garment.length)
    tailor.trunk(y, halves, shoulders)
    tailor.front(y)
    if garment.kind == "coat":
        tailor.pockets(person.hip * 0.58, person.hip_y + 0.08)
    if garment.kind == "jumpsuit":
        waist = person.half_width(person.waist_y) + tailor.ease * 0.9
        tailor.easel.polygon(tailor.plain(0.2), box(0, person.waist_y + 0.04, waist, 0.06), corners=0)
    tailor.neckline()


def sew_bottom(tailor: Tailor):
    """Pants, shorts or a skirt."""
    person, garment = tailor.person, tailor.garment
    if garment.kind != "skirt":
        tailor.legs(garment.length)
        return
    y, (right, left) = tailor.skirt_hem(garment.length)
    top = person.hip_y - 0.3
    waist, hip = person.half_width(top) + 0.02, person.hip + 0.05
    hips = [(hip, person.hip_y)] if garment.silhouette == STRAIGHT else []
    hips_left = [(-x, h) for x, h in hips]
    outline = [(waist, top), *hips, *hem_line(y, right, left), *hips_left, (-waist, top)]
    tailor.panel(outline, 2, y - 0.07)
    band = [(waist, top), (waist + 0.02, top + 0.1), (-waist - 0.02, top + 0.1), (-waist, top)]
    tailor.easel.polygon(tailor.plain(0.14), band, 0)


def sew_headwear(tailor: Tailor):
    """A beanie, a wide-brimmed hat, a cap, a headband with a bow, or sunglasses."""
    easel, kind = tailor.easel, tailor.garment.kind
    paint, dark = tailor.plain(0.0), tailor.plain(0.18)
    if kind == "beanie":
        easel.ellipse(paint, 0, 0.34, 0.54, 0.56, arc=(180, 360))
        easel.ellipse(dark, 0, -0.26, 0.16, 0.15)
        easel.polygon(dark, box(0, 0.3, 0.56, 0.12), corners=1)
    elif kind == "hat":
        crown = [(-0.5, 0.24), (-0.44, -0.3), (-0.2, -0.42), (0.2, -0.42), (0.44, -0.3), (0.5, 0.24)]
        easel.polygon(paint, crown, corners=2)
        easel.polygon(dark, box(0, 0.12, 0.485, 0.09), corners=0)
        easel.ellipse(paint, 0, 0.28, 0.92, 0.13)
    elif kind == "cap":
        easel.ellipse(paint, 0, 0.32, 0.52, 0.5, arc=(180, 360))
        easel.polygon(dark, [(-0.5, 0.26), (0.5, 0.26), (0.7, 0.4), (0.3, 0.42), (-0.4, 0.36)], corners=2)
        easel.ellipse(dark, 0, -0.17, 0.07, 0.05)
    elif kind == "headband":
        easel.polygon(
            paint,
            [
                (-0.52, 0.34),
                (-0.4, 0.1),
                (0, 0.0),
                (0.4, 0.1),
                (0.52, 0.34),
                (0.5, 0.06),
                (0, -0.18),
                (-0.5, 0.06),
            ],
            1,
        )
        for s in SIDES:
            bow = [(0.24, -0.1), (s * 0.34 + 0.24, -0.36), (s * 0.34 + 0.24, 0.14)]
            easel.polygon(paint, bow, corners=1)
        easel.ellipse(dark, 0.24, -0.1, 0.09, 0.1)
    else:
        for s in SIDES:
            easel.polygon(paint, box(s * 0.235, 0.58, 0.2, 0.165), corners=2)
        easel.polygon(paint, box(0, 0.52, 0.47, 0.05), corners=0)
        for s in SIDES:
            easel.line(dark, [(s * 0.235 - 0.06, 0.64), (s * 0.235 + 0.08, 0.5)], 0.05)


def sew_shoes(tailor: Tailor):
    """A pair of shoes, pointing outwards, with light soles."""
    for side, leg in zip(SIDES, tailor.pose.legs, strict=True):
        x, y = leg[2]
        label = "left shoe" if side == 1 else "right shoe"
        sole = tailor.plain(0.3, label=label)
        tailor.easel.polygon(sole, box(x + side * 0.07, y + 0.09, 0.24, 0.055), corners=1)
        tailor.easel.ellipse(
            tailor.plain(0.0, label=label), x + side * 0.07, y + 0.07, 0.22, 0.17, arc=(180, 360)
        )


def sew_bag(tailor: Tailor):
    """A bag in the hand that hangs lowest."""
    x, y = max((arm[-1] for arm in tailor.pose.arms), key=lambda hand: hand[1])
    paint = tailor.plain(0.0)
    tailor.easel.ellipse(tailor.plain(0.2), x, y + 0.16, 0.15, 0.14)
    tailor.easel.polygon(paint, box(x, y + 0.4, 0.3, 0.22), corners=2)
    tailor.easel.polygon(tailor.plain(0.18), box(x, y + 0.3, 0.24, 0.06), corners=1)
