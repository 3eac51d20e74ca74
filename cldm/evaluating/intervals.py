"""Confidence intervals of differences by resampling items, each with all its pictures and its photo."""

import math
from statistics import NormalDist

import numpy as np

LEVEL, SEED, FEWEST = 0.95, 0, 8


def resamples(num_items: int, number: int, seed=SEED):
    """How often each of `number` resamples draws each item: float64 (number, num_items), rows of that sum."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(num_items, np.full(num_items, 1 / num_items), number).astype(np.float64)


def interval(estimate: float, resampled, num_items: int, level=LEVEL) -> tuple[float, float] | None:
    """The estimate give or take its standard error by the bootstrap times Student's t; None for few items.

    Not quantiles of the resampled values: a resample has fewer different pictures than the sample, which
    moves distances of sets, but hardly their spread.
    """
    if num_items < FEWEST:
        return None
    t = student(NormalDist().inv_cdf((1 + level) / 2), num_items - 1)
    # resamples spread as if the variance had been divided by n, not by n - 1
    reach = float(t * np.nanstd(resampled, ddof=1) * math.sqrt(num_items / (num_items - 1)))
    return estimate - reach, estimate + reach


def student(z: float, degrees: int) -> float:
    """The quantile of Student's t that corresponds to z of a normal variable (Abramowitz, Stegun 26.7.5)."""
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / degrees**3
