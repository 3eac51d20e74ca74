"""Is the garment obeyed? Of a doll redrawn in other garments, which does a picture show? No network is asked.

A paper doll can be drawn again in any garment. So a generated picture is compared, by squared error inside
the mask, with the same doll in the garment that was to be tried on (the truth), in 15 other garments, and in
copies of the garment with one attribute changed. The nearest drawing is the picture's answer.
"""

import numpy as np

from evaluation.distances import LEAST_ERROR
from evaluation.metrics import Metric
from evaluation.redrawing import GARMENTS, Redrawn

ATTRIBUTES = "colour", "second colour", "pattern", "logo", "neckline", "sleeve"
GROUPS = GARMENTS, *ATTRIBUTES


def tell_apart(picture, redrawn: Redrawn, mask) -> np.ndarray:
    """What a picture uint8 (H, W, 3) tells of the garment: float64 (2 groups + 2,).

    For each group of GROUPS whether the truth is nearest, 1 or 0, and the chance of that; then ΔE, and the
    PSNR inside the mask in dB. Alternatives that look like the truth inside the mask are left out. Where none
    is left, or the garment does not show the attribute, both numbers are nan.

    `mask`, bool (H, W), is what was to be painted.
    """
    drawn = redrawn.pictures[:, mask]
    errors = np.square(drawn.astype(np.float32) - np.asarray(picture)[mask]).sum(axis=(1, 2))
    differs, row = (drawn != drawn[0]).any(axis=(1, 2)), []
    for name in GROUPS:
        group = redrawn.groups.get(name, slice(0))
        others = errors[group][differs[group]]
        row += [errors[0] < others.min(), 1 / (1 + len(others))] if len(others) else [np.nan, np.nan]
    mean = errors[0] / (drawn[0].size * 255**2)
    return np.array([*row, colour_error(picture, redrawn), -10 * np.log10(max(mean, LEAST_ERROR))])


def colour_error(picture, redrawn: Redrawn) -> float:
    """ΔE (CIE76) between a picture and the truth, of their mean L*a*b* (D65) where the true garment is."""
    import cv2

    def mean(pixels):
        return cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[redrawn.worn].mean(axis=0)

    return float(np.linalg.norm(mean(picture) - mean(redrawn.truth)))


def mean_of_known(values, weights) -> float:
    """The weighted mean of those of the values (n,) that are not nan; nan where all are."""
    known = np.isfinite(values)
    total = weights[known].sum()
    return float(weights[known] @ values[known] / total) if total else float("nan")


def _column(place):
    """The statistic of a column of `tell_apart`: its mean over the items that tell of it."""

    def statistic(rows, photo_rows):
        values = rows[..., place].mean(axis=1)
        return lambda weights: mean_of_known(values, weights)

    return statistic


def _detail(rows, photo_rows):
    """The statistic of the mean over attributes of (accuracy - chance) / (1 - chance)."""
    correct, chance = (rows[..., start : 2 * len(GROUPS) : 2].mean(axis=1)[:, 1:] for start in (0, 1))
    columns = ((correct - chance) / (1 - chance)).T

    def value(weights):
        means = np.array([mean_of_known(column, weights) for column in columns])
        return mean_of_known(means, np.ones(len(means)))

    return value


def _telling(place):
    """How many items tell of a column."""
    return lambda rows: int(np.isfinite(rows[:, 0, place]).sum())


def _attribute(name):
    place, meaning = 2 * GROUPS.index(name), f"share nearest to the garment among copies with another {name}"
    return Metric(f"{name} told", "higher", meaning, _column(place), False, told_by=_telling(place))


class GarmentFidelity:
    """Does a picture show the garment that was to be tried on? Items have `redrawn` and `mask`.

    Its rows are those of `tell_apart`.
    """

    needs_photos = True
    metrics = [
        Metric(
            GARMENTS,
            "higher",
            "share nearest to the right one of 16 garments on the same person; chance is 1/16",
            _column(0),
            False,
        ),
        Metric(
            "detail",
            "higher",
            "mean over six attributes of (accuracy - chance) / (1 - chance): 0 by chance, 1 if always told",
            _detail,
            False,
        ),
        *map(_attribute, ATTRIBUTES),
        Metric(
            "ΔE",
            "lower",
            "CIE76 between mean colours where the true garment is: 0 for the truth",
            _column(-2),
            False,
        ),
        Metric(
            "PSNR in mask", "higher", "pixels like the truth's inside the mask, in dB", _column(-1), False
        ),
    ]

    def measure(self, pictures, items):
        told = [tell_apart(p, item.redrawn, item.mask) for p, item in zip(pictures, items, strict=True)]
        return np.stack(told)


def summarize(rows) -> dict[str, float]:
    """Rows (n, ...) of `tell_apart` -> each metric's value by name, nan where no row tells of it."""
    rows = np.stack(rows)[:, None]
    return {m.name: m.statistic(rows, None)(np.ones(len(rows))) for m in GarmentFidelity.metrics}
