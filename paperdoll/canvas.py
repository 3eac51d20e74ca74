"""A canvas of paints: every shape is drawn once; photo and masks are looked up from the same pixels."""

from dataclasses import dataclass

import numpy as np

from paperdoll.colours import choose_nearest, shade
from paperdoll.shapes import SUPERSAMPLE, Shapes, lay_on_ground


@dataclass(frozen=True)
class Paint:
    """What a shape is painted with: RGB, RGB where the pattern falls, and the instances it belongs to."""

    colour: tuple
    pattern_colour: tuple
    garment: int = 0
    part: int = 0


class Canvas(Shapes):
    """Shapes in body units (head heights, y down, x from the axis), placed by scale, lean and position.

    Args:
        size: side of the finished picture in pixels.
        unit: one head height in finished pixels.
        lean: rotation of the whole body in radians.
        origin: finished pixel (x, y) of the middle of the body, at `pivot` head heights below its top.
    """

    def __init__(self, size: int, unit: float, lean: float, origin, pivot: float):
        super().__init__(size, size)
        self.pivot = pivot
        self.paints = [Paint((0, 0, 0), (0, 0, 0))]
        cos, sin = np.cos(lean) * unit * SUPERSAMPLE, np.sin(lean) * unit * SUPERSAMPLE
        self.matrix = np.array([[cos, sin], [-sin, cos]])
        self.offset = np.array(origin) * SUPERSAMPLE

    def mix(self, colour, pattern_colour=None, garment: int = 0, part: int = 0) -> int:
        """The number of a new paint, for the shapes to be drawn with."""
        self.paints.append(Paint(colour, pattern_colour or colour, garment, part))
        return len(self.paints) - 1

    def place_finely(self, points):
        return (np.asarray(points) - (0, self.pivot)) @ self.matrix + self.offset

    def finish(self, background, pattern):
        """The picture over a background, with a soft paper shadow, and which instance owns each pixel.

        Args:
            background: RGB (size, size, 3) in [0, 255].
            pattern: bool at supersampled resolution: where pattern colours show.
        Returns:
            photo uint8 (size, size, 3); how much of each pixel the body covers, uint8 (size, size), 255 for
            all of it; garment ids and part ids uint8, both at supersampled resolution.
        """
        indices = np.asarray(self.image)
        colours = np.array([[p.colour, p.pattern_colour] for p in self.paints], np.uint8)
        drawn = colours[indices, pattern.astype(np.uint8)]
        photo, covered = lay_on_ground(drawn, indices > 0, background, 0.28)
        garments = np.array([p.garment for p in self.paints], np.uint8)
        parts = np.array([p.part for p in self.paints], np.uint8)
        return photo, covered, garments[indices], parts[indices]


# The nearest of these names is the garment's colour: pairs lie at least 100 apart in RGB.
COLOURS = {
    "red": (208, 28, 44),
    "orange": (246, 126, 24),
    "yellow": (252, 222, 62),
    "green": (34, 150, 74),
    "blue": (36, 88, 206),
    "purple": (142, 52, 168),
    "white": (250, 250, 250),
    "black": (26, 26, 30),
}
SKINS = [(244, 204, 174), (220, 168, 128), (170, 116, 84), (118, 80, 62)]
HAIRS = [(72, 54, 54), (156, 78, 56), (226, 190, 128), (172, 170, 176)]
BACKGROUNDS = [
    (206, 198, 184),  # beige
    (184, 192, 200),  # cool grey
    (196, 184, 186),  # dusty rose
    (178, 194, 182),  # sage
    (188, 182, 200),  # lavender grey
    (174, 190, 196),  # dusty blue
    (160, 158, 156),  # grey
    (198, 188, 164),  # sand
]


def pattern_shade(name: str) -> tuple[int, int, int]:
    """The second tone of a patterned garment: the colour lighter, or darker where it is light already."""
    amount = {"white": -0.2, "yellow": -0.2, "orange": -0.2, "black": 0.18}.get(name, 0.3)
    return shade(COLOURS[name], amount)


def nearest_colour(rgb) -> str:
    """The name of the garment colour nearest to an RGB triple in [0, 255]."""
    return choose_nearest(rgb, COLOURS)
