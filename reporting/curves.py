"""The curves of a run's report as SVG texts, all of them over optimizer steps."""

import numpy as np

from reporting.svg import GREY, INK, Line, chart
from reporting.tables import column

BLUE, LIGHT_BLUE, RED, LIGHT_RED = "#2f6fde", "#b6cdf5", "#cf4257", "#f0bcc4"
MOST_POINTS = 300
WIDE = (1040, 320)


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
    return chart("IoU of what was drawn with the mask", [*lines, mean], WIDE, found, 0, 1)


def validation_charts(rows, found=None) -> list[str]:
    """The gap between the losses without and with control, and both in each band of timesteps."""
    steps = column(rows, "step")
    gap = Line("gap", steps, column(rows, "gap"), dots=True)
    zero = Line("", [0, steps[-1]], [0, 0], GREY, 1)
    charts = [chart("Gap: loss without the map less loss with it", [zero, gap], found=found)]
    for name in (name.removeprefix("loss_") for name in rows[-1] if name.startswith("loss_")):
        without = Line("without the map", steps, column(rows, "without_" + name), GREY, 1.4, "5 3")
        lines = [without, Line("with it", steps, column(rows, "loss_" + name), dots=True)]
        charts.append(chart(f"Loss at timesteps {name.replace('_', ' to ')}", lines, found=found))
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
