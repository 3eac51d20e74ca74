"""From pictures to numbers: each gauge's rows of each set, then each metric's values and differences."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from einops import rearrange

from evaluation.metrics import Metric

LEVEL, SEED, FEWEST = 0.95, 0, 8


def draw_resamples(num_items: int, number: int, seed=SEED):
    """How often each of `number` resamples draws each item: float64 (number, num_items), rows of that sum."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(num_items, np.full(num_items, 1 / num_items), number).astype(np.float64)


def find_interval(estimate: float, resampled, num_items: int, level=LEVEL) -> tuple[float, float] | None:
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


TOGETHER = 8  # items that are measured at once
PHOTOS, FLOOR = "photos", "no control"


@dataclass(frozen=True)
class Difference:
    """How much higher `name`, such as B - A, is; (low, high) holds it with 95 % confidence, None: too few."""

    name: str
    value: float
    interval: tuple[float, float] | None

    def verdict(self, better: str) -> str:
        if self.interval is None:
            return f"no interval, fewer than {FEWEST} items tell of it"
        low, high = self.interval
        if not (low > 0 or high < 0):
            return "no difference shown"
        return "better" if (low > 0) == (better == "higher") else "worse"


@dataclass(frozen=True)
class Result:
    """A metric's value of each set that has one, its intervals but the photos', and its differences."""

    metric: Metric
    values: dict[str, float]
    intervals: dict[str, tuple[float, float] | None]
    differences: list[Difference]


def measure_rows(gauges, held_out, pictures, report) -> list:
    """Each gauge's rows (n, seeds, ...) of a PictureSet, or (n, 1, ...) of the photos where it is None.

    Gauges that compare with the photos have none (None) of these themselves.
    """
    rows = [[None] * len(held_out) for _ in gauges]
    for part in held_out.chunks(TOGETHER):
        items = [held_out[i] for i in part]
        if pictures is None:
            shown = np.stack([item.photo for item in items])[:, None]
        else:
            shown = np.stack([pictures.pictures(held_out.keys[i]) for i in part])
        seeds = shown.shape[1]
        flat = rearrange(shown, "n s h w c -> (n s) h w c")
        for gauge, kept in zip(gauges, rows, strict=True):
            if pictures is None and gauge.needs_photos:
                continue
            measured = gauge.measure(flat, [item for item in items for _ in range(seeds)])
            for i, row in zip(part, rearrange(measured, "(n s) ... -> n s ...", s=seeds), strict=True):
                kept[i] = row
        report(len(flat))
    return [None if kept[0] is None else np.stack(kept) for kept in rows]


def compare_sets(gauges, rows: dict[str, list], pairs, progress) -> list[Result]:
    """All metrics of the sets in `rows`, PHOTOS among them; `pairs` (a, b) of sets give differences b - a.

    Metrics of which no item tells, being of a region of no map, are left out. `progress` is
    jobs.progress.Progress.
    """
    found, report = [], progress("intervals", sum(len(gauge.metrics) for gauge in gauges), "metrics").add
    for place, gauge in enumerate(gauges):
        of_gauge = {label: of_set[place] for label, of_set in rows.items()}
        drawn = next(row for label, row in of_gauge.items() if label != PHOTOS)
        for metric in gauge.metrics:
            found += [compare(metric, of_gauge, pairs)] if metric.told_by(drawn) else []
            report(1)
    return found


def compare(metric, rows, pairs) -> Result:
    photo_rows = rows[PHOTOS]
    sets = {label: row for label, row in rows.items() if label != PHOTOS or metric.of_photos}
    statistics = {label: metric.statistic(row, photo_rows) for label, row in sets.items()}
    num_items = len(next(iter(sets.values())))
    values = {label: statistic(np.ones(num_items)) for label, statistic in statistics.items()}
    compared = {label: metric.told_by(row) for label, row in sets.items() if label != PHOTOS}
    resampled = {}
    if min(compared.values(), default=0) >= FEWEST:
        weights = draw_resamples(num_items, metric.num_resamples)
        resampled = {label: np.array([statistics[label](w) for w in weights]) for label in compared}
    # where all items say the same, resamples do too, and there is nothing to tell how sure that is
    told = {name: r for name, r in resampled.items() if np.nanstd(r)}
    intervals = {name: find_interval(values[name], r, compared[name]) for name, r in told.items()}
    differences = []
    for a, b in pairs:
        value, held = values[b] - values[a], None
        if resampled:
            held = find_interval(value, resampled[b] - resampled[a], compared[b])
        differences.append(Difference(f"{b} - {a}", value, held))
    return Result(metric, values, intervals, differences)
