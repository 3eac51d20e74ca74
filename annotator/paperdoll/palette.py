"""The colours of the paper dolls: few, flat, and far enough apart to be named from a lossy picture."""

import numpy as np

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


def shade(colour, amount: float) -> tuple[int, int, int]:
    """A lighter (amount > 0) or darker (amount < 0) tone of an RGB colour, amount in [-1, 1]."""
    target = 255 if amount > 0 else 0
    return tuple(round(c + (target - c) * abs(amount)) for c in colour)


def pattern_shade(name: str) -> tuple[int, int, int]:
    """The second tone of a patterned garment: the colour lighter, or darker where it is light already."""
    amount = {"white": -0.2, "yellow": -0.2, "orange": -0.2, "black": 0.18}.get(name, 0.3)
    return shade(COLOURS[name], amount)


def nearest_colour(rgb) -> str:
    """The name of the garment colour nearest to an RGB triple in [0, 255]."""
    names = list(COLOURS)
    distances = np.linalg.norm(np.array([COLOURS[n] for n in names], np.float32) - np.float32(rgb), axis=1)
    return names[int(distances.argmin())]
