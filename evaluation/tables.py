"""The results of an evaluation as text: JSON, CSV, a Markdown table."""

import json
import math

from evaluation.comparison import Result
from evaluation.protocol import check_alike, flatten
from jobs.json_files import read_json
from jobs.whole_files import write_atomically
from reporting.tables import write_rows

FEW = "FID of {count} pictures, fewer than {enough}, comes out too high: compare equal counts only"


def format_number(value) -> str:
    """As many digits as a table wants."""
    if value is None or math.isnan(value):
        return "n/a"
    size = abs(value)
    return f"{value:.2f}" if size >= 10 else f"{value:.3f}" if size >= 0.01 or value == 0 else f"{value:.2g}"


def format_value(value, held) -> str:
    """A number with its interval, if there is one."""
    between = f" [{format_number(held[0])}, {format_number(held[1])}]" if held else ""
    return f"{format_number(value)}{between}"


def format_difference(difference, better) -> str:
    sign = "+" if difference.value > 0 else ""
    return f"{sign}{format_value(difference.value, difference.interval)}: {difference.verdict(better)}"


def make_rows(results: list[Result], missing: dict) -> list[dict]:
    """A row of texts for each metric, and for those that are not measured, all of the same columns."""
    sets = list(dict.fromkeys(label for result in results for label in result.values))
    rows = []
    for result in results:
        metric, arrow = result.metric, dict(higher="↑", lower="↓")[result.metric.better]
        row = {"metric": f"{metric.name} {arrow}"}
        values, held = result.values, result.intervals
        row |= {name: format_value(values[name], held.get(name)) if name in values else "" for name in sets}
        rows.append(row | {d.name: format_difference(d, metric.better) for d in result.differences})
    rows += [{"metric": name, sets[0]: "n/a"} for name in missing]
    columns = max(rows, key=len)
    return [dict.fromkeys(columns, "") | row for row in rows]


def list_notes(results, missing, count, notes) -> list[str]:
    """What must be said beside the numbers; `notes` are those of the items."""
    found = list(notes)
    enough = max((r.metric.enough for r in results), default=0)
    if count < enough:
        found.append(FEW.format(count=count, enough=f"{enough:,}") + ".")
    found += [f"{name}: n/a, {reason}." for name, reason in missing.items()]
    return found


def format_markdown(results, missing, protocol, notes) -> str:
    lines = format_table(make_rows(results, missing))
    count = protocol["pictures"]["count_per_set"]
    legend = [f"{label}: {facts['file']}" for label, facts in protocol["checkpoints"].items()]
    lines += ["", *legend, "", *list_notes(results, missing, count, notes), "", "Protocol:", ""]
    lines += [f"- {name}: {value}" for name, value in flatten(protocol).items()]
    return "\n".join(lines) + "\n"


def write_tables(out, results, missing, protocol, notes):
    """results.json, results.csv and results.md; the protocol stands in each, in every row of the csv."""
    metrics = []
    for result in results:
        metric = result.metric
        told = dict(name=metric.name, better=metric.better, meaning=metric.meaning)
        told |= dict(resamples=metric.num_resamples, values=keep_finite(result.values))
        told |= dict(intervals=result.intervals)
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
            low, high = told["intervals"].get(name) or (None, None)
            rows.append(dict(metric=told["name"], of=name, value=value, low=low, high=high))
            rows[-1] |= dict(better=told["better"])
        for d in told["differences"]:
            low, high = d["interval"] or (None, None)
            rows.append(dict(metric=told["name"], of=d["name"], value=d["value"], low=low, high=high))
            rows[-1] |= dict(better=told["better"])
    rows += [dict(metric=name, missing=reason) for name, reason in missing.items()]
    columns = ["metric", "of", "value", "low", "high", "better", "missing", *beside]
    write_rows(out / "results.csv", [row | beside for row in rows], columns)
    write_atomically(out / "results.md", format_markdown(results, missing, protocol, notes).encode())


def keep_finite(values) -> dict:
    """Values by name, None where there is no number, as JSON knows none such."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def compare_results(paths) -> str:
    """Two results.json side by side as a table; ValueError for unlike protocols, or other files."""
    contents = [read_json(path) for path in paths]
    try:
        check_alike(*(content["protocol"] for content in contents))
        rows = {}
        for letter, content in zip("AB", contents, strict=True):
            for metric in content["metrics"]:
                row = rows.setdefault(metric["name"], {"metric": metric["name"]})
                for label, value in metric["values"].items():
                    held = metric.get("intervals", {}).get(label)
                    row[f"{letter}: {label}"] = format_value(float("nan") if value is None else value, held)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{' or '.join(map(str, paths))} is no result of tool_evaluate.py") from error
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    legend = [f"{letter}: {path}" for letter, path in zip("AB", paths, strict=True)]
    table = format_table([dict.fromkeys(columns, "") | row for row in rows.values()])
    paired = "Differences with their intervals: measure both checkpoints in one command."
    return "\n".join([*table, "", *legend, "", paired]) + "\n"


def format_table(rows) -> list[str]:
    """Rows of texts by column as lines of Markdown."""
    columns = list(rows[0])
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return lines + ["| " + " | ".join(row.values()) + " |" for row in rows]
