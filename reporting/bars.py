"""Charts of the report, drawn as SVG and HTML in the page's own colours."""

import html
import math

import numpy as np

WIDTH, HEIGHT, BARS = 640, 110, 60


def histogram(values: list[float], threshold: float | None, at_least: bool) -> str:
    """How often which value was measured, as SVG, with what the threshold leaves out in another colour.

    The outermost values are drawn into the first and last bars. Positive values that span more than two
    powers of ten get a logarithmic axis.
    """
    values = np.asarray(values, float)
    low, high = np.percentile(values, [0.5, 99.5])
    if threshold is not None:
        low, high = min(low, threshold), max(high, threshold)
    logarithmic = values.min() > 0 and low > 0 and high > 100 * low
    place = np.log10 if logarithmic else np.asarray
    limit = None if threshold is None else float(place(threshold))
    edges = _edges(place(values), float(place(low)), float(place(high)), limit, at_least)
    # what lies on the threshold itself is kept
    bars = np.searchsorted(edges, place(values), side="right" if at_least else "left") - 1
    counts = np.bincount(np.clip(bars, 0, len(edges) - 2), minlength=len(edges) - 1)
    x = (edges - edges[0]) / (edges[-1] - edges[0]) * WIDTH
    drawn = []
    for left, right, edge, count in zip(x[:-1], x[1:], edges[:-1], counts, strict=True):
        if count:
            kept = limit is None or (edge >= limit) == at_least
            # a single picture stays visible beside thousands
            height = max(2.0, float(count) / counts.max() * HEIGHT)
            drawn.append(
                f'<rect class={"kept" if kept else "out"} x="{left:.1f}" y="{HEIGHT - height:.1f}" '
                f'width="{right - left - 0.8:.1f}" height="{height:.1f}"/>'
            )
    drawn += _axis(float(edges[0]), float(edges[-1]), logarithmic)
    if limit is not None:
        at = (limit - edges[0]) / (edges[-1] - edges[0]) * WIDTH
        drawn.append(f'<line class=limit x1="{at:.1f}" x2="{at:.1f}" y1="-8" y2="{HEIGHT}"/>')
    return f'<svg viewBox="-12 -10 {WIDTH + 24} {HEIGHT + 32}" role=img>{"".join(drawn)}</svg>'


def _edges(values, low: float, high: float, limit: float | None, at_least: bool):
    """Edges of equal bars from low to high, one of them at the limit: no bar lies on both of its sides."""
    step = (high - low) / BARS or 1.0
    anchor = low if limit is None else limit
    first, last = math.floor((low - anchor) / step + 1e-6), math.ceil((high - anchor) / step - 1e-6)
    below = values < anchor if at_least else values <= anchor
    if limit is not None and below.any():
        first = min(first, -1)
    if not below.all():
        last = max(last, 1)
    return anchor + step * np.arange(first, max(last, first + 1) + 1)


def _axis(low: float, high: float, logarithmic: bool) -> list[str]:
    """The line below the bars and round numbers along it."""
    if logarithmic:
        powers = range(math.floor(low), math.ceil(high) + 1)
        ticks = [math.log10(digit * 10.0**power) for power in powers for digit in (1, 3)]
    else:
        size = 10 ** math.floor(math.log10((high - low) / 4))
        step = next(size * digit for digit in (1, 2, 5, 10) if (high - low) / (size * digit) <= 6)
        ticks = [step * k for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
    drawn = [f'<line class=axis x1="0" x2="{WIDTH}" y1="{HEIGHT}" y2="{HEIGHT}"/>']
    for tick in ticks:
        if low <= tick <= high:
            at = (tick - low) / (high - low) * WIDTH
            text = number(10**tick if logarithmic else tick)
            drawn.append(f'<line class=axis x1="{at:.1f}" x2="{at:.1f}" y1="{HEIGHT}" y2="{HEIGHT + 4}"/>')
            drawn.append(f'<text x="{at:.1f}" y="{HEIGHT + 18}" text-anchor=middle>{text}</text>')
    return drawn


def number(value: float) -> str:
    """A number as people write it: 45,195, 0.25 or 1,300."""
    return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.3g}"


def bars(counts: dict[str, float], total: float) -> str:
    """A table with a bar for each name, as long as its share of the total."""
    rows = "".join(
        f"<tr><th>{html.escape(name)}<td class=bar><i style='width:{count / total:.2%}'></i>"
        f"<td>{number(count)}<td class=n>{count / total:.1%}"
        for name, count in counts.items()
    )
    return f"<table class=bars>{rows}</table>"


def parts(counts: dict[str, int]) -> str:
    """One bar of all, divided by class name, as wide as the counts are large."""
    total = sum(counts.values()) or 1
    inner = "".join(
        f"<i class={name} style='width:{count / total:.3%}'></i>" for name, count in counts.items()
    )
    return f"<div class=parts>{inner}</div>"
