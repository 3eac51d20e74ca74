"""Line charts as SVG that stands in a page: no library, and drawn in milliseconds."""

import html
import math
from dataclasses import dataclass

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
            f'<text x="{LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor=end>{_number(tick)}</text>'
        )
    for tick in _ticks([0, last], 0, None, most=width / 90):
        if tick <= last:
            parts.append(
                f'<text x="{x(tick):.1f}" y="{height - BOTTOM + 16}" text-anchor=middle>{tick:,.0f}</text>'
            )
    parts.append(f'<path d="M{LEFT} {height - BOTTOM}H{width - RIGHT}" stroke="{GREY}"/>')
    parts.append(f'<text x="{width - RIGHT}" y="{height - 4}" text-anchor=end>optimizer steps</text>')
    parts += [_drawn(line, x, y, ticks[0]) for line in lines]
    return f'<svg viewBox="0 0 {width} {height}" role=img>{"".join(parts)}</svg>'


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


def _number(value) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 and value == round(value) else f"{value:.3g}"
