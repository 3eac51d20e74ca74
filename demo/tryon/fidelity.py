"""Whether a picture shows the garment: known of dolls alone, which can be drawn again in any garment."""

from functools import lru_cache

import numpy as np

from demo.tryon.offers import Offer
from evaluation.garment_fidelity import GROUPS, tell_apart
from evaluation.redrawing import GARMENTS, Redrawn, Wanted


def judge(person: Offer, garment: Offer, picture, mask) -> dict[str, float]:
    """Garment fidelity of a picture uint8 (H, W, 3) painted where a mask, bool (H, W), is.

    Empty where nobody can know what is right: photographs, a doll that was drawn by the model already, or a
    garment of another kind than the doll was drawn for.
    """
    redrawn = redraw(person, garment, picture.shape[:2])
    if redrawn is None:
        return {}
    row = tell_apart(picture, redrawn, mask)
    told = {name: float(row[2 * place]) for place, name in enumerate(GROUPS)}
    values = {name: value for name, value in told.items() if np.isfinite(value)}
    return values | dict(delta_e=round(float(row[-2]), 2))


def describe(values: dict[str, float]) -> str:
    """What `judge` found, in words."""
    if not values:
        return "fidelity n/a"
    attributes = [name for name in values if name not in (GARMENTS, "delta_e")]
    right = sum(values[name] == 1 for name in attributes)
    which = "told from 15 others" if values.get(GARMENTS) == 1 else "taken for another"
    details = f"{right} of {len(attributes)} details right"
    return f"garment {which} · {details} · colour off by ΔE {values['delta_e']:.0f}"


def redraw(person: Offer, garment: Offer, size) -> Redrawn | None:
    """A doll drawn again in the garment and in others; None where that cannot be done."""
    lines = person.line, garment.line
    if None in lines or lines[0]["category"] != lines[1]["category"] or tuple(lines[0]["size"]) != size:
        return None
    keys = [(line["name"], line["category"], *map(_plain, line["drawn"].items())) for line in lines]
    return _redraw(tuple(keys[0]), tuple(keys[1]), size)


def _plain(item):
    name, value = item
    return name, tuple(value) if isinstance(value, list) else value


@lru_cache(maxsize=16)  # of 1.5 MB for 128 x 96
def _redraw(person, garment, size):
    def line(key):
        drawn = {name: list(v) if isinstance(v, tuple) else v for name, v in key[2:]}
        return dict(name=key[0], category=key[1], size=list(size), drawn=drawn)

    return Wanted.of(line(person), line(garment)).draw()
