"""The report's part on cleaning: what each check found, and pictures on both sides of its threshold."""

import html
import re
from pathlib import Path

from .charts import histogram
from .checks import AT_LEAST, CHECKS, Check
from .sheets import contact_sheet, evenly, thumbnail

SHOWN, NEAREST, GROUPS, COPIES = 24, 6, 10, 3
FACTORS = (0.5, 0.7, 0.85, 1, 1.2, 1.5, 2)
SAME_AS = re.compile(r"shows the same as (?:the mirror image of )?(.*), which is better$", re.DOTALL)


def checks_part(out: Path, lines: list[dict], left_out: list[dict], records: dict, thresholds: dict) -> str:
    """A table of all checks, then a section for each that measured or left out something."""
    found = {name: [line for line in left_out if reason_of(name, line)] for name in CHECKS}
    rows = "".join(_row(check, thresholds[name], found[name]) for name, check in CHECKS.items())
    sections = "".join(
        _section(out, check, thresholds[name], found[name], lines, records) for name, check in CHECKS.items()
    )
    return (
        "<h2 id=checks>What the checks left out</h2><p class=n>Nothing is deleted: these pictures stay in "
        "target/ and are listed with their reasons in left_out.jsonl; training does not read them. To move a "
        "threshold, run the same command again with its option: no picture is made anew for it.</p>"
        "<div class=scroll><table class=wide><tr><th>check<th class=r>left out<th class=r>by this alone"
        f"<th>a good picture has<th>option{rows}</table></div>{sections}"
    )


def reason_of(name: str, line: dict) -> str:
    """What a check has against a line of left_out.jsonl, "" for nothing."""
    return next((reason for reason in line["out"] if reason.startswith(name + ":")), "")


def name_of(line: dict) -> str:
    """The name of a line's picture, by which its record is found."""
    return Path(line["target"]).stem


def _row(check: Check, threshold: float | None, found: list[dict]) -> str:
    alone = sum(len(line["out"]) == 1 for line in found)
    wanted = "anything: it is off" if threshold is None else _wanted(check, threshold)
    return (
        f"<tr><td><a href='#{check.name}'>{html.escape(check.label)}</a><td class=r>{len(found):,}"
        f"<td class=r>{alone:,}<td>{html.escape(wanted)}<td><code>{_option(check, threshold)}</code>"
    )


def _wanted(check: Check, threshold: float) -> str:
    """What a picture needs to pass: "edges at most 2 px wide", or that nothing is wrong."""
    return check.reading.format(check.wanted(threshold)) if "{}" in check.reading else "no such fault"


def _option(check: Check, threshold: float | None) -> str:
    return f"--threshold {check.name}={'off' if threshold is None else format(threshold, 'g')}"


def _section(out: Path, check: Check, threshold, found: list[dict], lines: list[dict], records: dict) -> str:
    """A check in words, its histogram, the pictures that it left out and those that it only just kept."""
    values = {name: record["measures"].get(check.measure) for name, record in records.items()}
    values = {name: value for name, value in values.items() if value is not None}
    off = " This check is off." if threshold is None else ""
    meaning = html.escape(check.meaning[0].upper() + check.meaning[1:])
    part = f"<section id='{check.name}'><h3>{html.escape(check.label)}: {len(found):,} left out</h3>"
    part += f"<p>{meaning}.{off}</p>"
    if values:
        part += histogram(list(values.values()), threshold, check.direction == AT_LEAST)
        part += _alternatives(check, threshold, values)
    elif not found:
        return (
            part + "<p class=n>Nothing was measured for it.</p></section>"
            if check.measure
            else part + "</section>"
        )
    if check.name == "near_duplicate":
        return part + _duplicates(out, found, records) + "</section>"
    part += _left_out(out, check, found, values)
    if found and values and threshold is not None:
        part += _only_just_kept(out, check, threshold, lines, values)
    return part + "</section>"


def _alternatives(check: Check, threshold: float | None, values: dict[str, float]) -> str:
    """How many pictures would lie beyond other thresholds."""
    told = []
    for factor in FACTORS if threshold else ():
        other = float(f"{threshold * factor:.2g}") if factor != 1 else threshold
        text = f"{sum(check.finds(value, other) for value in values.values()):,} at {other:g}"
        told.append(f"<b>{text}</b>" if factor == 1 else text)
    beyond = f" Left out would be {', '.join(told)}." if told else ""
    return f"<p class=n>Measured on {len(values):,} pictures.{beyond}</p>"


def _left_out(out: Path, check: Check, found: list[dict], values: dict[str, float]) -> str:
    """Examples of what a check left out, from one end of the measured values to the other."""
    ordered = sorted(found, key=lambda line: (values.get(name_of(line), 0), name_of(line)))
    some = evenly(ordered, SHOWN)
    figures = []
    for line in some:
        reading = reason_of(check.name, line).removeprefix(check.name + ": ").split(", wanted ")[0]
        figures.append((thumbnail(out / line["target"]), reading, name_of(line)))
    of_all = f": {len(some)} of {len(found):,}, evenly spread" if len(some) < len(found) else ""
    return f"<h4>Left out{of_all}</h4>{contact_sheet(figures)}" if figures else ""


def _only_just_kept(out: Path, check: Check, threshold: float, lines: list[dict], values: dict) -> str:
    """The kept pictures whose values are nearest to the threshold, to judge whether it lies well."""
    kept = [line for line in lines if name_of(line) in values]
    kept.sort(key=lambda line: (abs(values[name_of(line)] - threshold), name_of(line)))
    figures = [
        (thumbnail(out / line["target"]), check.reading.format(f"{values[name_of(line)]:g}"), name_of(line))
        for line in kept[:NEAREST]
    ]
    return f"<h4>Kept, nearest to the threshold</h4>{contact_sheet(figures)}" if figures else ""


def _duplicates(out: Path, found: list[dict], records: dict[str, dict]) -> str:
    """Each better picture, followed by those that show the same."""
    groups: dict[str, list[dict]] = {}
    for line in found:
        better = SAME_AS.search(reason_of("near_duplicate", line))
        groups.setdefault(better[1], []).append(line)
    sheets = []
    for better in evenly(sorted(groups), GROUPS):
        copies = groups[better]
        more = f" and {len(copies) - COPIES} more" if len(copies) > COPIES else ""
        figures = [
            (thumbnail(out / records[better]["target"]), f"the better one of {len(copies) + 1}", better)
        ]
        for line in copies[:COPIES]:
            mirrored = "mirrored copy" if "mirror image" in reason_of("near_duplicate", line) else "copy"
            figures.append((thumbnail(out / line["target"]), f"{mirrored}, left out", name_of(line)))
        sheets.append(contact_sheet(figures) + (f"<p class=n>{more}</p>" if more else ""))
    of_all = f": {len(sheets)} of {len(groups):,} groups" if len(sheets) < len(groups) else ""
    return (
        f"<h4>Better picture and copies{of_all}</h4><div class=groups>{''.join(sheets)}</div>"
        if sheets
        else ""
    )
