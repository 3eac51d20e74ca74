"""Copies of a garment with one attribute changed, so that a picture can be asked which of them it shows."""

from dataclasses import replace

import numpy as np

from paperdoll.colours import APART, COLOURS
from paperdoll.fabric import LOGOS, PATTERNS
from paperdoll.garment import NECKS, Garment, recolour
from paperdoll.scene import draw_product
from paperdoll.tryon import Fitting, imagine_try_on_garment

SLEEVES = ("none", "short", "long")
NUM_OTHERS = 7
NUM_GARMENTS = 16


def _other_colours(colour):
    """The first NUM_OTHERS named colours that lie far enough from this one."""
    far = [c for c in COLOURS.values() if np.linalg.norm(np.subtract(c, colour)) >= APART]
    return far[:NUM_OTHERS]


def vary(garment: Garment) -> dict[str, list[Garment]]:
    """By attribute, the garment itself and its copies that differ in this attribute alone.

    Attributes that the garment doesn't show are left out: the second colour of a plain one, the neckline
    of one with a collar.
    """
    fabric = garment.fabric
    varied = {"colour": [recolour(garment, colour=c) for c in _other_colours(fabric.colour)]}
    if fabric.pattern != "plain":
        varied["second colour"] = [recolour(garment, second=c) for c in _other_colours(fabric.second)]
    if fabric.logo == "none":
        others = [p for p in PATTERNS if p != fabric.pattern]
        varied["pattern"] = [recolour(garment, pattern=p) for p in others]
    if fabric.pattern == "plain" and garment.kind in ("top", "sweater"):
        varied["logo"] = [recolour(garment, logo=name) for name in LOGOS if name != fabric.logo]
    if garment.neck in NECKS:
        varied["neckline"] = [replace(garment, neck=n) for n in NECKS if n != garment.neck]
    if garment.kind in ("top", "dress"):
        varied["sleeve"] = [replace(garment, sleeve=s) for s in SLEEVES if s != garment.sleeve]
    return {name: [garment, *copies] for name, copies in varied.items()}


def gather_garments(garment: Garment, category: str, seed, number: int = NUM_GARMENTS) -> list[Garment]:
    """The garment and so many others of its category, no two alike in kind, colour's name and pattern.

    The others depend on the garment and on `seed`, an int or several, alone.
    """
    rng, gathered = np.random.default_rng(seed), {}
    other = garment
    while len(gathered) < number:
        gathered.setdefault((other.kind, other.colour, other.fabric.pattern), other)
        other = imagine_try_on_garment(rng, category)
    return list(gathered.values())


def redraw(fitting: Fitting, garment: Garment | None = None) -> dict[str, np.ndarray]:
    """By attribute, the person in each of `vary`'s garments, uint8 (n, H, W, 3); the truth comes first."""
    varied = vary(garment or fitting.garment)
    return {name: np.stack([fitting.wear(g).drawing.photo for g in gs]) for name, gs in varied.items()}


def redraw_products(garment: Garment, size) -> dict[str, np.ndarray]:
    """By attribute, product pictures of `vary`'s garments, uint8 (n, H, W, 3)."""
    return {name: np.stack([draw_product(g, size).photo for g in gs]) for name, gs in vary(garment).items()}


def nearest(picture, candidates, mask=None) -> int:
    """The number of the candidate (n, H, W, 3) nearest to a picture, by squared error inside a mask."""
    errors = np.square(candidates.astype(np.float32) - np.asarray(picture, np.float32)).sum(axis=3)
    return int(
        (errors if mask is None else errors[:, mask]).reshape(len(candidates), -1).sum(axis=1).argmin()
    )
