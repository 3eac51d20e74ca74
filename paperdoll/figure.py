"""What both drawers share: the proportions of a figure, and what comes with a drawing of it."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Proportions:
    """Sizes in head heights: `heads` of the whole figure, heights from its top, half widths, radii."""

    heads: float
    shoulder_y: float
    waist_y: float
    hip_y: float
    shoulder: float
    waist: float
    hip: float
    arm_radius: float
    leg_radius: float

    def half_width(self, y):
        """Half the torso's width at height y."""
        return np.interp(
            y, [self.shoulder_y, self.waist_y, self.hip_y], [self.shoulder, self.waist, self.hip]
        )


@dataclass(frozen=True)
class Instance:
    """One annotated thing: class, attributes, bool mask (H, W), colour and region name."""

    class_id: int
    attributes: tuple[int, ...]
    mask: np.ndarray
    colour: str
    region: str | None


@dataclass(frozen=True)
class Doll:
    """A photo uint8 (H, W, 3) in RGB, the person in it, its instances, and its caption.

    `figure` uint8 (H, W) is how much of each pixel the person covers, 255 all of it.
    """

    photo: np.ndarray
    figure: np.ndarray
    instances: list[Instance]
    caption: str
