"""At which step did the map take over? A change point in a series of measurements, told from their noise."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from reporting.tables import column, read_rows

# a prior for the noise of short series: as if NUM_PRIOR residuals of this share of the scale had been seen
PRIOR_NOISE, NUM_PRIOR = 0.05, 4
LEAST_RISE = 0.25  # of the scale, over the mean before
LEAST_T = 5.0  # rise over its standard error; test_convergence.py states how seldom noise reaches it
LEAST_AFTER = 2  # measurements: one alone may be an outlier


MIOU, GAP = "control mIoU", "the gap in validation loss"  # what tells
LEAST_GAP = 0.05  # of the loss without control: a gap in the loss that counts as the whole way


@dataclass
class Takeover:
    """The map took over between two measured steps; `low` and `high` are the means before and after."""

    before: int
    after: int
    low: float
    high: float
    measure: str = ""


def find_takeover(steps, values, scale: float) -> Takeover | None:
    """The takeover in measurements `values` at `steps`, both (n,), the first without control; else None.

    Of all splits in two levels the one that leaves the least squares is taken, and believed if the level
    rises by LEAST_RISE of `scale` and by LEAST_T standard errors. `scale` is the whole way: ceiling less
    floor. A slow rise gives steps far apart: where a quarter and where three quarters of it were passed.
    """
    steps, values = np.asarray(steps), np.asarray(values, float)
    known = np.isfinite(values)
    steps, values = steps[known], values[known]
    if scale <= 0 or len(values) < 1 + LEAST_AFTER:
        return None
    rest = sum_squares_left(values)
    split = 1 + int(np.argmin(rest[: len(values) - LEAST_AFTER]))
    left, right, rest = values[:split], values[split:], rest[split - 1]
    low, high = left.mean(), right.mean()
    prior = NUM_PRIOR * (PRIOR_NOISE * scale) ** 2
    noise = np.sqrt((prior + rest) / (NUM_PRIOR + len(values) - 2))
    error = noise * np.sqrt(1 / len(left) + 1 / len(right))
    if high - low < max(LEAST_RISE * scale, LEAST_T * error):
        return None
    before = np.flatnonzero(left <= low + 0.25 * (high - low))[-1]
    after = split + np.flatnonzero(right >= low + 0.75 * (high - low))[0]
    return Takeover(int(steps[before]), int(steps[after]), float(low), float(high))


def find_takeover_in(run) -> Takeover | None:
    """What the tables in a run's folder say: control mIoU where it is measured, else the gap in the loss."""
    rows = read_rows(Path(run, "control_miou.csv"))
    if rows:
        floor, ceiling = (column(rows[-1:], name)[0] for name in ("floor", "ceiling"))
        steps, values = [0, *column(rows, "step")], [floor, *column(rows, "miou")]
        found, measure = find_takeover(steps, values, ceiling - floor), MIOU
    else:
        rows, measure = read_rows(Path(run, "validation.csv")), GAP
        gaps, losses = column(rows, "gap"), column(rows, "loss")
        scale = LEAST_GAP * (gaps[0] + losses[0]) if rows else 0
        found = find_takeover(column(rows, "step"), gaps, scale)
    return found and replace(found, measure=measure)


def describe_takeover(found: dict) -> str:
    """A Takeover, as convergence.json has it, in words."""
    return (
        f"the map took over between steps {found['before']:,} and {found['after']:,} "
        f"(on average, {found['measure']} was {found['low']:.3g} before and {found['high']:.3g} after)"
    )


def describe_newest(found: dict | None, miou, validation, finished: bool) -> str:
    """What the newest measurement adds to the verdict, in a sentence that agrees with it; "" for nothing.

    `miou` and `validation` are the rows of a run's tables, of which the measure of `found` counts, else as in
    takeover_of.
    """
    by_miou = found["measure"] == MIOU if found else bool(miou)
    low, value, scale = _newest(miou if by_miou else validation, by_miou)
    if found:
        low, scale = found["low"], found["high"] - found["low"]
        if scale > 0 and value - low < LEAST_RISE * scale:
            return f"It has been lost since: the newest measurement is {value:.3g}, as before the takeover."
        return ""
    share = (value - low) / scale if scale > 0 else 0.0
    if share >= LEAST_RISE:
        what = "from floor to ceiling" if by_miou else "of a gap that counts as control"
        return (
            f"The map may be taking over: the newest measurement has gone {100 * min(share, 1):.0f} % of "
            f"the way {what}. It has taken over once {LEAST_AFTER} measurements show it and stand out of "
            "the noise."
        )
    if finished:
        return "The map has not taken over in this run."
    return "The map has not taken over yet. It comes suddenly: nothing announces it."


def _newest(rows, by_miou: bool) -> tuple[float, float, float]:
    """(what stands for no control, the newest value, the whole way) in the last of a table's rows."""
    if by_miou:
        floor, value, ceiling = (column(rows[-1:], name)[0] for name in ("floor", "miou", "ceiling"))
        return floor, value, ceiling - floor
    (first, *_, gap), loss = column([rows[0], *rows], "gap"), column(rows[-1:], "loss")[0]
    return first, gap, LEAST_GAP * (gap + loss)


def advise(accumulate: int) -> str:
    """What to do then, as ControlNet's author advises (the original's docs/train.md)."""
    return (
        "From here on larger steps make better use of the time: stop, and run the same command with "
        f"after_convergence=accumulate:{4 * accumulate}"
    )


def sum_squares_left(values):
    """Sums of squares (n - 1,) left by a mean before and one after a split, at 1, 2, ..., n - 1."""
    values = values - values.mean()
    num, before = np.arange(1, len(values)), np.cumsum(values)[:-1]
    # the means of both parts take away so much, as all of it sums up to zero
    return np.maximum((values**2).sum() - before**2 / num - before**2 / (len(values) - num), 0.0)
