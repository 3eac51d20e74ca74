"""Who is drawn: a body, a face, a pose; in head heights, y down from the head's top, x from the axis.

`side` is 1 for x > 0, the picture's right, where a person facing us has the left hand.
"""

from dataclasses import dataclass

import numpy as np

from paperdoll.colours import HAIRS, SKINS, deepen, shade
from paperdoll.easel import Easel
from paperdoll.shapes import arc_points

SIDES = (1, -1)
HAIR_STYLES = ("short", "crop", "bob", "long", "bun", "afro", "pony", "tails")
FRINGES = ("straight", "swept", "parted", "high")
# degrees of the upper arm from straight down, outwards; bend of the elbow, outwards
POSES = {
    "down": ((10, 20), (-6, 8)),
    "out": ((38, 62), (-10, 25)),
    "hip": ((38, 48), (-98, -84)),
    "wave": ((62, 88), (68, 96)),
    "up": ((128, 152), (-10, 30)),
    "level": ((78, 96), (-10, 14)),
}


@dataclass(frozen=True)
class Person:
    """A body and a face.

    The body is `heads` head heights tall; of it there are heights from its top, half widths, the radii of the
    limbs, and the lengths of upper arm and forearm in `arm`.
    """

    heads: float
    shoulder_y: float
    waist_y: float
    hip_y: float
    shoulder: float
    waist: float
    hip: float
    arm_radius: float
    leg_radius: float
    arm: tuple[float, float]
    skin: tuple
    hair: tuple
    hair_style: str
    fringe: str
    eye: float
    brow: float
    smile: float
    mouth: float

    def half_width(self, y):
        """Half the torso's width at height y."""
        return np.interp(
            y, [self.shoulder_y, self.waist_y, self.hip_y], [self.shoulder, self.waist, self.hip]
        )


@dataclass(frozen=True)
class Pose:
    """Joints: `arms` (shoulder, elbow, wrist) and `legs` (hip, knee, ankle), points (x, y), side 1 first."""

    arms: tuple
    legs: tuple


def imagine_person(rng) -> Person:
    """Anyone."""
    shoulder_y = 1.14
    hip_y = shoulder_y + rng.uniform(1.0, 1.2)
    shoulder = rng.uniform(0.5, 0.64)
    hip = rng.uniform(0.42, 0.56)
    waist = min(shoulder, hip + 0.06) * rng.uniform(0.78, 0.98)
    skin = SKINS[rng.integers(len(SKINS))]
    hairs = [hair for hair in HAIRS if np.linalg.norm(np.subtract(hair, skin)) > 70]
    return Person(
        heads=hip_y + rng.uniform(1.15, 1.5),
        shoulder_y=shoulder_y,
        waist_y=shoulder_y + 0.6 * (hip_y - shoulder_y),
        hip_y=hip_y,
        shoulder=shoulder,
        waist=waist,
        hip=hip,
        arm_radius=rng.uniform(0.125, 0.16),
        leg_radius=rng.uniform(0.17, 0.21),
        arm=(rng.uniform(0.52, 0.6), rng.uniform(0.5, 0.58)),
        skin=skin,
        hair=hairs[rng.integers(len(hairs))],
        hair_style=str(rng.choice(HAIR_STYLES)),
        fringe=str(rng.choice(FRINGES)),
        eye=rng.uniform(0.08, 0.096),
        brow=rng.uniform(0.0, 0.06),
        smile=rng.uniform(0.0, 1.0),
        mouth=rng.uniform(0.12, 0.17),
    )


def _bend(shoulder, side, lengths, angle, bend):
    points = [np.asarray(shoulder)]
    for length, turn in zip(lengths, (angle, angle + bend), strict=True):
        points.append(points[-1] + length * np.array([side * np.sin(turn), np.cos(turn)]))
    return tuple(points)


def shoulder_of(person: Person, side: int):
    """The shoulder's joint."""
    return side * (person.shoulder - person.arm_radius * 0.8), person.shoulder_y + person.arm_radius


def strike_pose(rng, person: Person, poses=tuple(POSES), weights=(0.34, 0.2, 0.18, 0.13, 0.09, 0.06)) -> Pose:
    """A pose of arms and legs; both arms do the same in half of them."""
    names = [str(rng.choice(poses, p=weights)) for _ in SIDES]
    names = [names[0]] * 2 if rng.random() < 0.5 else names
    arms, legs, spread = [], [], rng.uniform(2, 13)
    for side, name in zip(SIDES, names, strict=True):
        angle, bend = (np.radians(rng.uniform(*limits)) for limits in POSES[name])
        arms.append(_bend(shoulder_of(person, side), side, person.arm, angle, bend))
        length = (person.heads - 0.14 - person.hip_y) / 2
        angle = np.radians(spread + rng.uniform(-2, 5))
        joint = (side * person.hip * 0.54, person.hip_y + 0.02)
        legs.append(_bend(joint, side, (length, length), angle, np.radians(rng.uniform(-6, 2))))
    return Pose(tuple(arms), tuple(legs))


def lay_flat(person: Person) -> Pose:
    """The pose in which a garment is shown without its wearer: arms at 24 degrees, legs nearly straight."""
    arms = tuple(_bend(shoulder_of(person, s), s, person.arm, np.radians(24), 0.0) for s in SIDES)
    length = (person.heads - 0.14 - person.hip_y) / 2
    legs = tuple(
        _bend((s * person.hip * 0.54, person.hip_y + 0.02), s, (length, length), np.radians(5), 0.0)
        for s in SIDES
    )
    return Pose(arms, legs)


def find_keypoints(person: Person, pose: Pose) -> dict:
    """Body points of the joints that OpenPose knows; `right` and `left` are the person's own."""
    points = {"nose": (0, 0.68), "neck": (0, person.shoulder_y + 0.06)}
    for side, name in zip(SIDES, ("left", "right"), strict=True):
        arm, leg = pose.arms[SIDES.index(side)], pose.legs[SIDES.index(side)]
        points |= dict(zip((f"{name}_shoulder", f"{name}_elbow", f"{name}_wrist"), arm, strict=True))
        points |= dict(zip((f"{name}_hip", f"{name}_knee", f"{name}_ankle"), leg, strict=True))
        points |= {f"{name}_eye": (side * 0.19, 0.57), f"{name}_ear": (side * 0.44, 0.58)}
        x, y = leg[-1]
        points |= {
            f"{name}_big_toe": (x + side * 0.16, y + 0.04),
            f"{name}_small_toe": (x + side * 0.2, y + 0.02),
            f"{name}_heel": (x, y + 0.04),
        }
    return points


def draw_hair_behind(easel: Easel, person: Person):
    """The hair that lies behind head and shoulders."""
    hair, style = easel.mix(shade(person.hair, -0.12), "hair"), person.hair_style
    if style == "afro":
        easel.ellipse(easel.mix(person.hair, "hair"), 0, 0.42, 0.68, 0.6)
    elif style == "bun":
        easel.ellipse(hair, 0, -0.06, 0.23, 0.21)
    elif style == "pony":
        easel.polygon(hair, [(0.2, 0.1), (0.62, 0.2), (0.78, 0.7), (0.66, 1.3), (0.5, 1.0), (0.42, 0.5)], 3)
    elif style == "tails":
        for s in SIDES:
            easel.ellipse(hair, s * 0.6, 0.72, 0.19, 0.36, turn=-s * 0.25)
    elif style in ("bob", "long"):
        end = 1.12 if style == "bob" else 1.72
        easel.polygon(
            hair,
            [(-0.52, 0.1), (0.52, 0.1), (0.62, end), (0.3, end + 0.06), (-0.3, end + 0.06), (-0.62, end)],
            3,
        )


def draw_body(easel: Easel, person: Person, pose: Pose):
    """Bare legs and torso, below the garments."""
    for side, leg in zip(SIDES, pose.legs, strict=True):
        skin = easel.mix(person.skin, "left leg" if side == 1 else "right leg")
        easel.tube(skin, leg[0], leg[1], person.leg_radius, person.leg_radius * 0.82)
        easel.tube(skin, leg[1], leg[2], person.leg_radius * 0.82, person.leg_radius * 0.6)
    torso, top = easel.mix(person.skin, "torso"), person.shoulder_y
    sides = [(person.shoulder, top), (person.waist, person.waist_y), (person.hip, person.hip_y)]
    sides.append((person.hip * 0.9, person.hip_y + 0.2))
    easel.polygon(torso, sides + [(-x, y) for x, y in reversed(sides)])


def draw_neck(easel: Easel, person: Person):
    """The neck, in the head's shadow, above the garments."""
    paint = easel.mix(deepen(person.skin, 0.12), "torso")
    easel.tube(paint, (0, 0.8), (0, person.shoulder_y + 0.03), 0.17, 0.18)


def draw_arm(easel: Easel, person: Person, pose: Pose, side: int):
    """A bare arm with its hand, above the torso and below the sleeve."""
    shoulder, elbow, wrist = pose.arms[SIDES.index(side)]
    skin = easel.mix(deepen(person.skin, 0.04), "left arm" if side == 1 else "right arm")
    radius = person.arm_radius
    easel.tube(skin, shoulder, elbow, radius * 0.9, radius * 0.82)
    easel.tube(skin, elbow, wrist, radius * 0.82, radius * 0.68)
    along = (wrist - elbow) / np.linalg.norm(wrist - elbow)
    hand = wrist + along * 0.08
    easel.ellipse(skin, *hand, radius * 0.98, radius * 0.98)
    thumb = hand + 0.1 * np.array([-side * abs(along[1]), -abs(along[0]) * np.sign(along[1] + 0.01)])
    easel.ellipse(skin, *thumb, radius * 0.45, radius * 0.45)


def draw_head(easel: Easel, person: Person):
    """Ears, face, and the hair in front of them."""
    skin, hair = easel.mix(person.skin, "face"), easel.mix(person.hair, "hair")
    inner = easel.mix(deepen(person.skin, 0.12), "face")
    if person.hair_style not in ("afro",):
        easel.ellipse(hair, 0, 0.44, 0.49, 0.46)
    for s in SIDES:
        if person.hair_style not in ("bob", "long"):
            easel.ellipse(skin, s * 0.43, 0.6, 0.085, 0.11)
            easel.ellipse(inner, s * 0.44, 0.6, 0.04, 0.06)
    face = [
        (0.43, 0.42),
        (0.44, 0.66),
        (0.33, 0.92),
        (0.0, 1.03),
        (-0.33, 0.92),
        (-0.44, 0.66),
        (-0.43, 0.42),
    ]
    easel.polygon(skin, face + [(-0.3, 0.16), (0.3, 0.16)], corners=3)
    _draw_features(easel, person, inner)
    _draw_fringe(easel, person, hair)


def _draw_features(easel: Easel, person: Person, inner: int):
    dark = easel.mix((44, 32, 38), "eyes")
    white = easel.mix((255, 255, 255), "eyes")
    blush = easel.mix(np.clip(np.multiply(person.skin, (1.04, 0.84, 0.84)), 0, 255).astype(int), "face")
    brow = easel.mix(shade(person.hair, -0.3) if sum(person.hair) > 240 else person.hair, "face")
    for s in SIDES:
        easel.ellipse(blush, s * 0.29, 0.74, 0.085, 0.06)
        easel.ellipse(dark, s * 0.19, 0.575, person.eye, person.eye * 1.3)
        easel.ellipse(white, s * 0.19 - 0.022, 0.54, person.eye * 0.36, person.eye * 0.42)
        easel.line(brow, [(s * 0.11, 0.4), (s * 0.27, 0.4 + person.brow)], 0.05)
    easel.ellipse(inner, 0, 0.68, 0.045, 0.032)
    lips = easel.mix((168, 52, 58), "mouth")
    if person.smile > 0.35:
        easel.ellipse(lips, 0, 0.78, person.mouth, 0.06 + 0.06 * person.smile, arc=(0, 180))
    else:
        curve = arc_points(0, 0.72, person.mouth, 0.11, arc=(25, 155))[::8]
        easel.line(lips, curve, 0.055)


def _draw_fringe(easel: Easel, person: Person, hair: int):
    top = [tuple(p) for p in arc_points(0, 0.45, 0.49, 0.47, arc=(184, 356))[::4]]
    lower = {
        "straight": [(0.44, 0.5), (0.36, 0.33), (-0.36, 0.33), (-0.44, 0.5)],
        "swept": [(0.46, 0.6), (0.36, 0.4), (0.12, 0.22), (-0.2, 0.36), (-0.42, 0.52)],
        "parted": [(0.46, 0.64), (0.38, 0.4), (0.0, 0.16), (-0.38, 0.4), (-0.46, 0.64)],
        "high": [(0.44, 0.44), (0.34, 0.24), (-0.34, 0.24), (-0.44, 0.44)],
    }[person.fringe]
    easel.polygon(hair, top + lower, corners=1)
    if person.hair_style in ("bob", "long"):
        for s in SIDES:
            lock = [(s * 0.34, 0.26), (s * 0.5, 0.34), (s * 0.57, 1.0), (s * 0.41, 1.02), (s * 0.4, 0.6)]
            easel.polygon(hair, lock, corners=2)
    if person.hair_style == "tails":
        tie = easel.mix(deepen(person.hair, 0.3), "hair")
        for s in SIDES:
            easel.ellipse(tie, s * 0.5, 0.42, 0.08, 0.08)
