"""The results of an evaluation as text: JSON, CSV, a Markdown table."""

import json
import math

from evaluation.comparison import FLOOR, PHOTOS, Result
from evaluation.protocol import flatten
from jobs.whole_files import write_atomically
from reporting.tables import write_rows

LIKENESS = (
    "SSIM, PSNR and LPIPS compare a picture with the photo behind its map. Another person in other clothes "
    "that follows map and prompt is as right, so low values are no fault: they are for comparing controls."
)
FEW = "FID of {count} pictures, fewer than {enough}, comes out too high: compare equal counts only"


def format_number(value) -> str:
    """As many digits as a table wants."""
    if value is None or math.isnan(value):
        return "n/a"
    size = abs(value)
    return f"{value:.2f}" if size >= 10 else f"{value:.3f}" if size >= 0.01 or value == 0 else f"{value:.2g}"


def format_difference(difference, better) -> str:
    held = difference.interval
    between = f" [{format_number(held[0])}, {format_number(held[1])}]" if held else ""
    sign = "+" if difference.value > 0 else ""
    return f"{sign}{format_number(difference.value)}{between}: {difference.verdict(better)}"


def make_rows(results: list[Result], missing: dict) -> list[dict]:
    """A row of texts for each metric, and for those that are not measured, all of the same columns."""
    sets = list(dict.fromkeys(label for result in results for label in result.values))
    sets = sorted(sets, key=lambda label: (label == PHOTOS, not label.startswith(FLOOR)))
    rows = []
    for result in results:
        metric, arrow = result.metric, dict(higher="↑", lower="↓")[result.metric.better]
        row = {"metric": f"{metric.name} {arrow}"}
        values = result.values
        row |= {label: format_number(values[label]) if label in values else "" for label in sets}
        rows.append(row | {d.name: format_difference(d, metric.better) for d in result.differences})
    rows += [{"metric": name, sets[0]: "n/a"} for name in missing]
    columns = max(rows, key=len)
    return [dict.fromkeys(columns, "") | row for row in rows]


def list_notes(results, missing, count) -> list[str]:
    """What must be said beside the numbers."""
    found = [LIKENESS]
    enough = max((r.metric.enough for r in results), default=0)
    if count < enough:
        found.append(FEW.format(count=count, enough=f"{enough:,}") + ".")
    found += [f"{name}: n/a, {reason}." for name, reason in missing.items()]
    return found


def format_markdown(results, missing, protocol) -> str:
    rows = make_rows(results, missing)
    columns = list(rows[0])
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(row.values()) + " |" for row in rows]
    count = protocol["pictures"]["count_per_set"]
    legend = [f"{label}: {facts['file']}" for label, facts in protocol["checkpoints"].items()]
    lines += ["", *legend, "", *list_notes(results, missing, count), "", "Protocol:", ""]
    lines += [f"- {name}: {value}" for name, value in flatten(protocol).items()]
    return "\n".join(lines) + "\n"


def write_tables(out, results, missing, protocol):
    """results.json, results.csv and results.md; the protocol stands in each, in every row of the csv."""
    metrics = []
    for result in results:
        metric = result.metric
        told = dict(name=metric.name, better=metric.better, meaning=metric.meaning)
        told |= dict(resamples=metric.num_resamples, values=keep_finite(result.values))
        few = metric.enough > protocol["pictures"]["count_per_set"]
        told |= (
            dict(note=FEW.format(count=protocol["pictures"]["count_per_set"], enough=metric.enough))
            if few
            else {}
        )
        told["differences"] = [
            dict(name=d.name, value=d.value, interval=d.interval, verdict=d.verdict(metric.better))
            for d in result.differences
        ]
        metrics.append(told)
    content = dict(protocol=protocol, metrics=metrics, missing=missing)
    write_atomically(out / "results.json", json.dumps(content, indent=1, ensure_ascii=False).encode())
    beside, rows = flatten(protocol), []
    for told in metrics:
        for name, value in told["values"].items():
            rows.append(dict(metric=told["name"], of=name, value=value, better=told["better"]))
        for d in told["differences"]:
            low, high = d["interval"] or (None, None)
            rows.append(dict(metric=told["name"], of=d["name"], value=d["value"], low=low, high=high))
            rows[-1] |= dict(better=told["better"])
    rows += [dict(metric=name, missing=reason) for name, reason in missing.items()]
    columns = ["metric", "of", "value", "low", "high", "better", "missing", *beside]
    write_rows(out / "results.csv", [row | beside for row in rows], columns)
    write_atomically(out / "results.md", format_markdown(results, missing, protocol).encode())


def keep_finite(values) -> dict:
    """Values by name, None where there is no number, as JSON knows none such."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
