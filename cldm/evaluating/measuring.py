"""From pictures to numbers: each gauge's rows of each set, then each metric's values and differences."""

from dataclasses import dataclass

import numpy as np
from einops import rearrange

from cldm.evaluating.gauges import Metric
from cldm.evaluating.intervals import FEWEST, interval, resamples

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
    """A metric's value of each set that has one, and its differences."""

    metric: Metric
    values: dict[str, float]
    differences: list[Difference]


def rows_of(gauges, held_out, pictures, report) -> list:
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


def results_of(gauges, rows: dict[str, list], pairs, progress) -> list[Result]:
    """All metrics of the sets in `rows`, PHOTOS among them; `pairs` (a, b) of sets give differences b - a.

    Metrics of which no item tells, being of a region of no map, are left out. `progress` is
    annotator.progress.Progress.
    """
    found, report = [], progress("intervals", sum(len(gauge.metrics) for gauge in gauges), "metrics").add
    for place, gauge in enumerate(gauges):
        of_gauge = {label: of_set[place] for label, of_set in rows.items()}
        drawn = next(row for label, row in of_gauge.items() if label != PHOTOS)
        for metric in gauge.metrics:
            found += [result_of(metric, of_gauge, pairs)] if metric.told_by(drawn) else []
            report(1)
    return found


def result_of(metric, rows, pairs) -> Result:
    photo_rows = rows[PHOTOS]
    sets = {label: row for label, row in rows.items() if label != PHOTOS or metric.of_photos}
    statistics = {label: metric.statistic(row, photo_rows) for label, row in sets.items()}
    num_items = len(next(iter(sets.values())))
    values = {label: statistic(np.ones(num_items)) for label, statistic in statistics.items()}
    compared = {label: metric.told_by(sets[label]) for pair in pairs for label in pair}
    resampled = {}
    if min(compared.values(), default=0) >= FEWEST:
        weights = resamples(num_items, metric.num_resamples)
        resampled = {label: np.array([statistics[label](w) for w in weights]) for label in compared}
    differences = []
    for a, b in pairs:
        value, held = values[b] - values[a], None
        if resampled:
            held = interval(value, resampled[b] - resampled[a], compared[b])
        differences.append(Difference(f"{b} - {a}", value, held))
    return Result(metric, values, differences)
