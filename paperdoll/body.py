"""The doll's body: proportions and pose, in head heights (y down from the head's top, x from the axis)."""

from dataclasses import dataclass

import numpy as np

from paperdoll.canvas import HAIRS, SKINS, Canvas
from paperdoll.colours import shade
from paperdoll.figure import Proportions


@dataclass(frozen=True)
class Body(Proportions):
    """A body with its pose and colours. Arms are (shoulder, elbow, hand), legs (hip, foot), x > 0 first."""

    arms: tuple
    legs: tuple
    skin: tuple
    hair: tuple
    hair_style: str

    def leg_at(self, side: int, share: float):
        """The point (x, y) at this share of a leg's length."""
        hip, foot = (np.asarray(p) for p in self.legs[side])
        return hip + (foot - hip) * share


ARM_POSES = {"down": (6, 22), "out": (35, 80), "level": (80, 105), "up": (130, 160), "hip": (38, 52)}


def _arm(rng, side: int, pose: str, shoulder: tuple):
    angle = np.radians(rng.uniform(*ARM_POSES[pose]))
    bend = np.radians(-95 if pose == "hip" else rng.uniform(-12, 38))
    points = [np.array(shoulder)]
    for length, turn in ((0.66, angle), (0.62, angle + bend)):
        points.append(points[-1] + length * np.array([side * np.sin(turn), np.cos(turn)]))
    return tuple(points)


def _poses(rng) -> tuple[str, str]:
    both = rng.choice(["down", "out", "level", "up", "hip"], p=[0.34, 0.24, 0.1, 0.14, 0.18])
    if rng.random() < 0.55:
        return both, both
    return both, rng.choice(["down", "out", "up", "hip"])


def _legs(rng, hip: float, hip_y: float, heads: float):
    spread = rng.uniform(1, 24)
    legs = []
    for side in (1, -1):
        angle = np.radians(np.clip(spread + rng.uniform(-6, 6), 0, 26))
        joint = np.array([side * hip * 0.5, hip_y])
        length = heads - 0.12 - hip_y
        legs.append((joint, joint + length * np.array([side * np.sin(angle), np.cos(angle)])))
    return tuple(legs)


def grow(rng) -> Body:
    """A random chunky body."""
    heads, shoulder_y = rng.uniform(3.95, 4.5), 1.16
    hip_y = shoulder_y + rng.uniform(1.0, 1.35)
    shoulder = rng.uniform(0.46, 0.68)
    waist, hip = shoulder * rng.uniform(0.72, 1.0), rng.uniform(0.42, 0.66)
    arm_radius, leg_radius = rng.uniform(0.14, 0.19), rng.uniform(0.17, 0.23)
    poses = _poses(rng)
    joints = [(side * (shoulder - arm_radius * 0.9), shoulder_y + arm_radius) for side in (1, -1)]
    arms = tuple(
        _arm(rng, side, pose, joint) for side, pose, joint in zip((1, -1), poses, joints, strict=True)
    )
    legs = _legs(rng, hip, hip_y, heads)
    skin = SKINS[rng.integers(len(SKINS))]
    hairs = [hair for hair in HAIRS if np.linalg.norm(np.subtract(hair, skin)) > 60]
    hair, style = hairs[rng.integers(len(hairs))], rng.choice(["short", "bob", "long", "bun", "afro"])
    waist_y = shoulder_y + 0.62 * (hip_y - shoulder_y)
    sizes = (shoulder, waist, hip, arm_radius, leg_radius)
    return Body(heads, shoulder_y, waist_y, hip_y, *sizes, arms, legs, skin, hair, str(style))


def draw_hair_behind(canvas: Canvas, body: Body):
    """The hair that lies behind head and shoulders."""
    hair = canvas.mix(body.hair)
    if body.hair_style == "afro":
        canvas.ellipse(hair, 0, 0.4, 0.72, 0.62)
    elif body.hair_style == "bun":
        canvas.ellipse(hair, 0, -0.1, 0.24, 0.24)
    elif body.hair_style in ("bob", "long"):
        end = 1.02 if body.hair_style == "bob" else 1.75
        canvas.polygon(hair, [(-0.5, 0), (0.5, 0), (0.62, end), (-0.62, end)])


def draw_limbs(canvas: Canvas, body: Body):
    """Bare legs, torso and neck, below the garments."""
    skin, shadow = canvas.mix(body.skin), canvas.mix(shade(body.skin, -0.1))
    for hip, foot in body.legs:
        canvas.tube(skin, hip, foot, body.leg_radius, body.leg_radius * 0.72)
    top, hip = body.shoulder_y, body.hip
    canvas.polygon(
        skin, [(-body.shoulder, top), (body.shoulder, top), (hip, body.hip_y + 0.2), (-hip, body.hip_y + 0.2)]
    )
    canvas.tube(shadow, (0, 0.7), (0, top + 0.06), 0.2, 0.2)


def draw_arms(canvas: Canvas, body: Body):
    """Bare arms and hands, above the torso and below the sleeves."""
    skin = canvas.mix(shade(body.skin, -0.04))
    radius = body.arm_radius * 0.86
    for shoulder, elbow, hand in body.arms:
        canvas.tube(skin, shoulder, elbow, radius, radius)
        canvas.tube(skin, elbow, hand, radius, radius * 0.9)
        canvas.ellipse(skin, *hand, radius * 1.12, radius * 1.12)


def draw_head(canvas: Canvas, body: Body):
    """Face and the hair in front of it."""
    skin, cheek = canvas.mix(body.skin), canvas.mix(tuple(np.add(shade(body.skin, -0.06), (8, -8, -4))))
    dark, hair = canvas.mix((48, 34, 34)), canvas.mix(body.hair)
    if body.hair_style != "afro":
        canvas.ellipse(hair, 0, 0.42, 0.53, 0.47)
    canvas.ellipse(skin, 0, 0.54, 0.45, 0.47)
    for side in (1, -1):
        canvas.ellipse(cheek, side * 0.26, 0.7, 0.13, 0.11)
        canvas.ellipse(dark, side * 0.19, 0.54, 0.075, 0.09)
    canvas.ellipse(dark, 0, 0.73, 0.13, 0.09, arc=(0, 180))
    canvas.ellipse(hair, 0, 0.45, 0.5, 0.44, arc=(195, 345))
