"""The patterns of all garments: what each kind is made of."""

from paperdoll.attributes import A_LINE, STRAIGHT
from paperdoll.shapes import box
from paperdoll.tailor import Tailor


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
        canvas.polygon(dark, box(0, 0.28, 0.58, 0.12), corners=1)
    elif kind == "hat":
        brim = tailor.rng.uniform(0.85, 1.15)
        canvas.ellipse(paint, 0, 0.26, 0.54, tailor.rng.uniform(0.5, 0.66), arc=(180, 360))
        canvas.ellipse(paint, 0, 0.26, brim, 0.16)
        canvas.polygon(dark, box(0, 0.06, 0.5, 0.1), corners=0)
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
            canvas.polygon(paint, box(side * 0.25, 0.54, 0.24, 0.21), corners=1)
        canvas.polygon(paint, box(0, 0.47, 0.46, 0.09), corners=0)


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
    tailor.canvas.polygon(paint, box(x, y + 0.42, 0.38, 0.28), corners=2)
    tailor.canvas.polygon(tailor.paint(tailor.detail()), box(x, y + 0.26, 0.3, 0.08), corners=0)
