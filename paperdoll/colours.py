"""Colours of paper dolls: garments' are free, and a caption calls them by the nearest of few names."""

import numpy as np

SPREAD = 22.0  # deviation of a garment's colour from the one that it is named by
APART = 110  # in RGB, between colours that can be told from each other
COLOURS = {
    "red": (212, 40, 48),
    "orange": (246, 134, 32),
    "yellow": (250, 212, 70),
    "green": (52, 150, 84),
    "blue": (44, 98, 208),
    "purple": (138, 66, 172),
    "pink": (244, 148, 186),
    "brown": (122, 74, 46),
    "white": (248, 247, 244),
    "black": (36, 35, 42),
}
SKINS = [(250, 218, 194), (240, 194, 160), (222, 168, 128), (188, 132, 96), (146, 98, 70), (104, 68, 52)]
HAIRS = [
    (46, 38, 42),
    (92, 58, 42),
    (150, 84, 50),
    (206, 148, 78),
    (236, 204, 132),
    (176, 62, 44),
    (198, 196, 202),
]
GROUNDS = [
    (232, 224, 210),
    (214, 224, 232),
    (236, 216, 214),
    (214, 228, 214),
    (222, 216, 234),
    (206, 226, 230),
    (226, 226, 226),
    (238, 226, 196),
    (196, 206, 216),
    (216, 202, 188),
]


def shade(colour, amount: float) -> tuple[int, int, int]:
    """A lighter (amount > 0) or darker (amount < 0) tone of an RGB colour, amount in [-1, 1]."""
    target = 255 if amount > 0 else 0
    return tuple(round(c + (target - c) * abs(amount)) for c in colour)


def deepen(colour, amount: float) -> tuple[int, int, int]:
    """A tone that stands out from an RGB colour: darker, or lighter where it is dark."""
    return shade(colour, amount * 1.3 if sum(colour) < 190 else -amount)


def nearest_colour(rgb) -> str:
    """The name of the garment colour nearest to an RGB triple in [0, 255]."""
    distances = np.linalg.norm(np.array(list(COLOURS.values()), np.float32) - np.float32(rgb), axis=1)
    return list(COLOURS)[int(distances.argmin())]


def mix_colour(rng, name: str) -> tuple[int, int, int]:
    """A colour that this name fits beyond doubt: its distance to the name is below half that to any other."""
    centres = np.array(list(COLOURS.values()), np.float64)
    own = list(COLOURS).index(name)
    spread = SPREAD / 3 if name in ("white", "black") else SPREAD
    while True:
        colour = np.clip(centres[own] + rng.normal(0, spread, 3), 0, 255)
        distances = np.linalg.norm(centres - colour, axis=1)
        if distances[own] <= 0.5 * np.delete(distances, own).min():
            return tuple(int(c) for c in colour.round())


def mix_second_colour(rng, first) -> tuple[int, int, int]:
    """Any colour at least APART in RGB from the first: white, dark, a tone of it, or a free one."""
    while True:
        kind = rng.random()
        if kind < 0.3:
            colour = (250, 249, 246)
        elif kind < 0.45:
            colour = (44, 46, 66)
        else:
            colour = mix_colour(rng, list(COLOURS)[rng.integers(len(COLOURS))])
        if np.linalg.norm(np.subtract(colour, first)) >= APART:
            return colour
