"""Charts of a page as SVG and HTML: lines over optimizer steps, histograms, bars. No library is needed."""

import html
import math
from dataclasses import dataclass

import numpy as np

from reporting.tables import column

BLUE, LIGHT_BLUE, RED, LIGHT_RED = "#2f6fde", "#b6cdf5", "#cf4257", "#f0bcc4"
MOST_POINTS = 300
WIDE = (1040, 320)
INK, GREY, GRID, BAND = "#24292f", "#6e7781", "#eaeef2", "#d3f0da"
LEFT, RIGHT, TOP, BOTTOM, LINE = 52, 24, 28, 36, 17  # margins, and the height of a line of the legend
LETTER = 6.3  # width of a letter of 11 px, about


@dataclass
class Line:
    """Values over steps, of equal number; nan makes a hole. `dots` tell their value under the mouse."""

    label: str
    steps: list
    values: list
    colour: str = "#2f6fde"
    width: float = 1.8
    dash: str = ""
    dots: bool = False


def chart(title, lines, size=(340, 220), found=None, low=None, high=None, log=False) -> str:
    """Lines over one another under a legend; a band from found["before"] to found["after"].

    `low` and `high` fix the ends of the vertical axis; `log` makes it logarithmic.
    """
    width, height = size
    named = [line for line in lines if line.label]
    legend, top = _legend(named, width) if len(named) > 1 else ("", TOP)
    shown = [v for line in lines for v in line.values if math.isfinite(v) and (v > 0 or not log)]
    last = max((step for line in lines for step in line.steps), default=0) or 1
    ticks = _decades(shown) if log else _ticks(shown, low, high)
    scale = math.log10 if log else float
    first, end = scale(ticks[0]), scale(ticks[-1])

    def x(step):
        return LEFT + (width - LEFT - RIGHT) * step / last

    def y(value):
        return height - BOTTOM - (height - BOTTOM - top) * (scale(value) - first) / (end - first)

    parts = [f"<text x=0 y=14 class=t>{html.escape(title)}</text>", legend]
    if found:
        band = max(2.0, x(found["after"]) - x(found["before"]))
        parts.append(
            f'<rect x="{x(found["before"]):.1f}" y="{top}" width="{band:.1f}" '
            f'height="{height - BOTTOM - top}" fill="{BAND}"/>'
        )
    for tick in ticks:
        parts.append(
            f'<path d="M{LEFT} {y(tick):.1f}H{width - RIGHT}" stroke="{GRID}"/>'
            f'<text x="{LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor=end>{write_number(tick)}</text>'
        )
    for tick in _ticks([0, last], 0, None, most=width / 90):
        if tick <= last:
            parts.append(
                f'<text x="{x(tick):.1f}" y="{height - BOTTOM + 16}" text-anchor=middle>{tick:,.0f}</text>'
            )
    parts.append(f'<path d="M{LEFT} {height - BOTTOM}H{width - RIGHT}" stroke="{GREY}"/>')
    parts.append(f'<text x="{width - RIGHT}" y="{height - 4}" text-anchor=end>optimizer steps</text>')
    parts += [_drawn(line, x, y, ticks[0]) for line in lines]
    return f'<svg class=lines viewBox="0 0 {width} {height}" role=img>{"".join(parts)}</svg>'


def _drawn(line, x, y, lowest) -> str:
    pen, path, dots = "M", [], []
    for step, value in zip(line.steps, line.values, strict=True):
        if not math.isfinite(value) or (value <= 0 < lowest):
            pen = "M"
            continue
        path.append(f"{pen}{x(step):.1f} {y(value):.1f}")
        pen = "L"
        if line.dots:
            told = html.escape(f"{line.label} at step {step:,.0f}: {value:.4g}")
            dots.append(
                f'<circle cx="{x(step):.1f}" cy="{y(value):.1f}" r="2.6"><title>{told}</title></circle>'
            )
    dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
    stroke = f'stroke="{line.colour}" stroke-width="{line.width}"{dash}'
    return f'<path fill=none {stroke} d="{"".join(path)}"/><g fill="{line.colour}">{"".join(dots)}</g>'


def _legend(lines, width) -> tuple[str, int]:
    """(the legend in as many rows as it takes, where the chart begins below it)."""
    parts, left, top = [], 0, TOP
    for line in lines:
        room = 26 + LETTER * len(line.label) + 14
        if left and left + room > width:
            left, top = 0, top + LINE
        dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
        parts.append(
            f'<path d="M{left} {top + 1}h18" stroke="{line.colour}" stroke-width=2{dash} />'
            f'<text x="{left + 23}" y="{top + 5}">{html.escape(line.label)}</text>'
        )
        left += room
    return "".join(parts), top + LINE


def _ticks(values, low=None, high=None, most=5) -> list[float]:
    """Round numbers from below the smallest to above the largest, about `most` of them."""
    low = min(values, default=0.0) if low is None else low
    high = max(values, default=1.0) if high is None else high
    high = high if high > low else low + (abs(low) or 1.0)
    rough = (high - low) / max(most, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _decades(values) -> list[float]:
    low, high = (math.log10(end(values, default=1.0)) for end in (min, max))
    return [10.0**i for i in range(math.floor(low), max(math.ceil(high), math.floor(low) + 1) + 1)]


def miou_chart(rows, regions: dict, found=None) -> str:
    """Control mIoU and each region's IoU between floor and ceiling; `rows` as in control_miou.csv."""
    steps = column(rows, "step")
    floor, ceiling = (column(rows[-1:], name)[0] for name in ("floor", "ceiling"))
    ends = [0, steps[-1]]
    lines = [
        Line("ceiling: photos", ends, [ceiling] * 2, GREY, 1.2, "7 4"),
        Line("floor: no control", ends, [floor] * 2, GREY, 1.2, "2 3"),
    ]
    for name, colour in zip(regions["names"], regions["colours"], strict=True):
        if name in rows[-1]:
            shade = "#" + "".join(f"{int(0.8 * part):02x}" for part in colour)
            lines.append(Line(name, steps, column(rows, name), shade, 1.1, dots=True))
    mean = Line("mean: control mIoU", [0, *steps], [floor, *column(rows, "miou")], INK, 2.4, dots=True)
    return chart("IoU of what was drawn with the map", [*lines, mean], WIDE, found, 0, 1)


CHANCE = 1 / 16
ATTRIBUTE_COLOURS = dict(
    colour=RED, second_colour="#d98c2b", pattern=BLUE, logo="#8a4fc4", neckline="#2f9e6b", sleeve=INK
)


def fidelity_charts(rows) -> list[str]:
    """Garment fidelity between floor and ceiling, what of it is told, and colours; `rows` as in the table."""
    steps = column(rows, "step")

    def beside(name):
        looks = dict(ceiling=("ceiling: the truth through the autoencoder", "7 4", GREY))
        looks |= dict(rolled=("rolled: given another garment", "4 3", RED))
        looks |= dict(floor=("floor: no garment", "2 3", GREY))
        return [
            Line(label, steps, column(rows, f"{what}_{name}"), colour, 1.4, dash)
            for what, (label, dash, colour) in looks.items()
        ]

    def curve(name, label, colour=BLUE):
        return Line(label, steps, column(rows, name), colour, 2.4, dots=True)

    chance = Line("chance", [0, steps[-1]], [CHANCE] * 2, GRID, 1.2)
    told = [
        curve(name, name.replace("_", " "), c) for name, c in ATTRIBUTE_COLOURS.items() if name in rows[-1]
    ]
    pixels = [curve("mask_psnr", "PSNR")]
    return [
        chart(
            "garment@16",
            [chance, *beside("garment_at_16"), curve("garment_at_16", "garment@16")],
            low=0,
            high=1,
        ),
        chart("Detail", [*beside("detail"), curve("detail", "detail")], high=1),
        chart("Attributes told", told, low=0, high=1),
        chart("Colour error ΔE (CIE76)", [*beside("delta_e"), curve("delta_e", "ΔE")], low=0),
        chart("PSNR inside the mask, dB", pixels),
    ]


def validation_charts(rows, found=None, condition="map") -> list[str]:
    """The gap between the losses without and with control, and both in each band of timesteps.

    Of try-on also both inside and outside of the mask.
    """
    steps = column(rows, "step")
    gap = Line("gap", steps, column(rows, "gap"), dots=True)
    zero = Line("", [0, steps[-1]], [0, 0], GREY, 1)
    charts = [chart(f"Gap: loss without the {condition} less loss with it", [zero, gap], found=found)]
    bands = [name.removeprefix("loss_") for name in rows[-1] if name.startswith("loss_")]
    pairs = {f"Loss at timesteps {b.replace('_', ' to ')}": (f"loss_{b}", f"without_{b}") for b in bands}
    sides = [name for name in ("inside", "outside") if rows[-1].get(name)]
    pairs = {f"Loss {name} the mask": (name, f"{name}_without") for name in sides} | pairs
    for title, (own, other) in pairs.items():
        without = Line(f"without the {condition}", steps, column(rows, other), GREY, 1.4, "5 3")
        lines = [without, Line("with it", steps, column(rows, own), dots=True)]
        charts.append(chart(title, lines, found=found))
    return charts


def training_charts(rows, found=None) -> list[str]:
    """Loss, gradient norm, learning rate and speed, `rows` as in metrics.csv; many steps are binned."""
    steps = column(rows, "step")

    def line(name, label, reduce, colour, width=1.8, window=1, factor=1.0):
        at, values = bin_values(steps, np.multiply(column(rows, name), factor), reduce, window)
        return Line(label, at, values, colour, width)

    loss = [
        line("loss", "as drawn", np.mean, LIGHT_BLUE, 1),
        line("loss", "running mean", np.mean, BLUE, 2, 20),
    ]
    norm = [line("grad_norm", "largest", np.max, LIGHT_RED, 1), line("grad_norm", "median", np.median, RED)]
    speed = line("pictures_per_second", "pictures per second", np.median, INK, 1.4)
    wait = line("data_wait", "share", np.mean, RED, 1.4, factor=100)
    rate = line("lr", "learning rate", np.mean, INK)
    return [
        chart("Training loss", loss, found=found),
        chart(
            "Gradient norm before clipping",
            norm if len(rows) > MOST_POINTS else norm[1:],
            found=found,
            log=True,
        ),
        chart("Learning rate", [rate], found=found, low=0),
        chart("Pictures per second", [speed], found=found, low=0),
        chart("Waiting for data, % of the time", [wait], found=found, low=0, high=100),
    ]


def bin_values(steps, values, reduce=np.mean, window=1):
    """(steps, a number per bin of the finite values); with `window`, of a 1 / window of all around it."""
    bins = np.array_split(np.arange(len(values)), min(len(values), MOST_POINTS))
    more = len(values) // (2 * window) if window > 1 else 0
    parts = [values[max(0, part[0] - more) : part[-1] + more + 1] for part in bins]
    finite = [part[np.isfinite(part)] for part in parts]
    return [steps[part[-1]] for part in bins], [float(reduce(p)) if len(p) else np.nan for p in finite]


BARS_WIDTH, BARS_HEIGHT, BARS = 640, 110, 60


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
    x = (edges - edges[0]) / (edges[-1] - edges[0]) * BARS_WIDTH
    drawn = []
    for left, right, edge, count in zip(x[:-1], x[1:], edges[:-1], counts, strict=True):
        if count:
            kept = limit is None or (edge >= limit) == at_least
            # a single picture stays visible beside thousands
            height = max(2.0, float(count) / counts.max() * BARS_HEIGHT)
            drawn.append(
                f'<rect class={"kept" if kept else "out"} x="{left:.1f}" y="{BARS_HEIGHT - height:.1f}" '
                f'width="{right - left - 0.8:.1f}" height="{height:.1f}"/>'
            )
    drawn += _axis(float(edges[0]), float(edges[-1]), logarithmic)
    if limit is not None:
        at = (limit - edges[0]) / (edges[-1] - edges[0]) * BARS_WIDTH
        drawn.append(f'<line class=limit x1="{at:.1f}" x2="{at:.1f}" y1="-8" y2="{BARS_HEIGHT}"/>')
    return f'<svg viewBox="-12 -10 {BARS_WIDTH + 24} {BARS_HEIGHT + 32}" role=img>{"".join(drawn)}</svg>'


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
    drawn = [f'<line class=axis x1="0" x2="{BARS_WIDTH}" y1="{BARS_HEIGHT}" y2="{BARS_HEIGHT}"/>']
    for tick in ticks:
        if low <= tick <= high:
            at = (tick - low) / (high - low) * BARS_WIDTH
            text = write_number(10**tick if logarithmic else tick)
            drawn.append(
                f'<line class=axis x1="{at:.1f}" x2="{at:.1f}" y1="{BARS_HEIGHT}" y2="{BARS_HEIGHT + 4}"/>'
            )
            drawn.append(f'<text x="{at:.1f}" y="{BARS_HEIGHT + 18}" text-anchor=middle>{text}</text>')
    return drawn


def write_number(value: float) -> str:
    """A number as people write it: 45,195, 0.25 or 1,300."""
    return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.3g}"


def bars(counts: dict[str, float], total: float) -> str:
    """A table with a bar for each name, as long as its share of the total."""
    rows = "".join(
        f"<tr><th>{html.escape(name)}<td class=bar><i style='width:{count / total:.2%}'></i>"
        f"<td>{write_number(count)}<td class=n>{count / total:.1%}"
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
