"""Try-on dolls: a person to the hip, the garment's product picture, the same person in any other garment."""

from dataclasses import dataclass, replace

import numpy as np

from paperdoll.attributes import pick
from paperdoll.colours import COLOURS
from paperdoll.garment import Garment, dress_up, imagine_bottom, imagine_top, imagine_whole
from paperdoll.person import imagine_person, strike_pose
from paperdoll.scene import as_size, draw_worn, frame_full, frame_half, imagine_ground, set_up

CALM = ("down", "out", "hip", "wave")
CATEGORIES = {"upper": "top", "lower": "bottom", "dress": "whole"}
SIZE = (128, 96)
PATTERNED = 0.65  # share of the garments


@dataclass(frozen=True)
class Fitting:
    """A person in a pose, dressed and framed, of whom pictures in any garment can be drawn.

    `garment` is the one that is tried on, of the category's region; `others` are worn with it.
    """

    person: object
    pose: object
    garment: Garment
    others: tuple
    view: object
    ground: object
    size: tuple

    def wear(self, garment: Garment | None = None):
        """The person in this garment instead of the own one, everything else the same: `Worn`, it first."""
        outfit = (garment or self.garment, *self.others)
        return draw_worn(self.person, self.pose, outfit, self.view, self.ground, self.size)

    def agnostic_mask(self):
        """Bool (H, W): where a garment of this category can be, from body and pose alone.

        Upper: torso, neck and arms without hands; lower: hips and legs; dress: both. It tells no garment.
        """
        easel = set_up(self.size, self.view)
        paint, kept = easel.mix((255, 255, 255)), easel.mix((0, 0, 0))
        if self.garment.region != "top":
            self._cover_legs(easel, paint)
        if self.garment.region != "bottom":
            self._cover_torso_and_arms(easel, paint)
        for _, elbow, wrist in self.pose.arms:
            # well inside the hand, so that no rim of a garment behind it is kept
            middle = wrist + (wrist - elbow) / np.linalg.norm(wrist - elbow) * 0.08
            easel.ellipse(kept, *middle, self.person.arm_radius * 0.84, self.person.arm_radius * 0.84)
        head = [(0.5, 0.2), (0.5, 0.7), (0.34, 1.0), (-0.34, 1.0), (-0.5, 0.7), (-0.5, 0.2)]
        easel.polygon(kept, head, 1)
        drawn = easel.finish(np.zeros((*self.size, 3)))
        return drawn.photo[:, :, 0] > 127

    def _cover_torso_and_arms(self, easel, paint):
        person = self.person
        half, top, bottom = (
            max(person.shoulder, person.hip) + 0.2,
            person.shoulder_y - 0.2,
            person.hip_y + 0.5,
        )
        easel.polygon(paint, [(-half, top), (half, top), (half, bottom), (-half, bottom)], 0)
        radius = person.arm_radius + 0.14
        for shoulder, elbow, wrist in self.pose.arms:
            easel.tube(paint, shoulder, elbow, radius, radius)
            easel.tube(paint, elbow, wrist, radius, radius, round_end=False)

    def _cover_legs(self, easel, paint):
        person = self.person
        wide = max(abs(leg[2][0]) for leg in self.pose.legs) + 0.55
        top, foot = person.hip_y - 0.36, person.heads - 0.1
        corners = [(-person.hip - 0.2, top), (person.hip + 0.2, top), (wide, foot), (-wide, foot)]
        easel.polygon(paint, corners, 0)


def imagine_try_on_garment(rng, category: str) -> Garment:
    """A garment of a category, most of them patterned."""
    colour = pick(rng, list(COLOURS))
    if category == "lower":
        return imagine_bottom(rng, colour, PATTERNED)
    if category == "dress":
        return imagine_whole(rng, colour, PATTERNED)
    garment = imagine_top(rng, colour, longest=False, patterned=PATTERNED)
    return replace(garment, length="hip") if garment.length == "crop" else garment


def arrange(seed: int, index: int, size=SIZE, category: str = "upper") -> Fitting:
    """Try-on doll `index` of a seed: depends on nothing else. Upper: head to hip; else the whole figure."""
    rng, size = np.random.default_rng([seed, index, list(CATEGORIES).index(category)]), as_size(size)
    person, garment = imagine_person(rng), imagine_try_on_garment(rng, category)
    worn = dress_up(rng, headwear=0.2, whole=0.0)
    hidden = {"top": ("top",), "bottom": ("bottom",), "whole": ("top", "bottom")}[garment.region]
    others = tuple(g for g in worn if g.region not in hidden and g.kind != "bag")
    pose = strike_pose(rng, person, CALM, (0.5, 0.22, 0.2, 0.08))
    if category == "upper":
        view = frame_half(rng, person, others, spread=0.04, units=(0.27, 0.32), lean=3)
    else:
        view = frame_full(rng, person, others, spread=0.04)
    return Fitting(person, pose, garment, others, view, imagine_ground(rng, 2.0), size)


def choose_other_garment(seed: int, index: int, category: str = "upper") -> Garment:
    """The garment that try-on doll `index` tries on in the unpaired setting."""
    return arrange(seed, index + 500_000, category=category).garment
