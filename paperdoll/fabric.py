"""What a garment is made of: two colours, a pattern, a logo; all in the flat garment's own coordinates."""

from dataclasses import dataclass

import numpy as np

from paperdoll.colours import deepen, shade

PATTERNS = ("plain", "stripes", "bars", "checks", "dots", "halves", "sides")
LOGOS = ("none", "disc", "star", "heart", "bolt")
PERIOD = 0.6  # head heights: 18 px where a head has 30


def _in_disc(x, y):
    return x**2 + y**2 < 1


def _in_star(x, y):
    angle, radius = np.arctan2(x, -y), np.hypot(x, y)
    sector = np.abs((angle / (2 * np.pi / 5) + 0.5) % 1 - 0.5) * 2
    return radius < 1.15 - 0.62 * sector


def _in_heart(x, y):
    lobes = (np.abs(x) - 0.48) ** 2 + (y + 0.35) ** 2 < 0.52**2
    tip = (y > -0.35) & (np.abs(x) < 1.0 - (y + 0.12) * 0.88) & (y < 1.05)
    return lobes | (tip & (np.abs(x) < 1.02))


def _in_bolt(x, y):
    upper = (y <= 0.12) & (y > -1) & (x > -0.62 + (y + 1) * 0.1) & (x < 0.62 - (y + 1) * 0.35)
    lower = (y > -0.12) & (y < 1) & (x < 0.62 - (y + 0.12) * 0.62) & (x > -0.18 + (y + 0.12) * 0.05)
    return upper | lower


IN_LOGO = {"disc": _in_disc, "star": _in_star, "heart": _in_heart, "bolt": _in_bolt}


@dataclass(frozen=True)
class Fabric:
    """Colours RGB and the pattern between them; `phase` in periods, the logo's place in head heights."""

    colour: tuple
    second: tuple
    pattern: str = "plain"
    logo: str = "none"
    logo_colour: tuple = (250, 249, 246)
    phase: float = 0.0
    logo_y: float = 1.7
    half_y: float = 1.76

    def colours(self, tone: float):
        """(6, 3): first, second and logo colour in the light, then in the shade, changed by `tone`."""
        lit = [
            deepen(c, -tone) if tone < 0 else shade(c, tone)
            for c in (self.colour, self.second, self.logo_colour)
        ]
        return np.array([*lit, *(deepen(c, 0.075) for c in lit)], np.uint8)

    def choose(self, a, b, torso):
        """Which of `colours` shows at pattern coordinates a, b (n,); `torso` tells where a logo may be."""
        chosen = self._second(a, b).astype(np.intp)
        if self.logo != "none":
            inside = IN_LOGO[self.logo](a / 0.27, (b - self.logo_y) / 0.27)
            chosen[inside & torso] = 2
        return chosen + 3 * (a > 0.36)

    def _second(self, a, b):
        share_a, share_b = (a / PERIOD + 0.25) % 1, (b / PERIOD + self.phase) % 1
        if self.pattern == "stripes":
            return share_b < 0.42
        if self.pattern == "bars":
            return share_a < 0.42
        if self.pattern == "checks":
            return (share_a < 0.26) | (share_b < 0.26)
        if self.pattern == "dots":
            row = np.floor(b / PERIOD + self.phase)
            across = (a / PERIOD + 0.5 * (row % 2)) % 1 - 0.5
            return across**2 + (share_b - 0.5) ** 2 < 0.31**2
        if self.pattern == "halves":
            return b > self.half_y
        if self.pattern == "sides":
            return a > 0.1
        return np.zeros(a.shape, bool)
