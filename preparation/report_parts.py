"""The report's part on cleaning: what each check found, and pictures on both sides of its threshold."""

import html
import re
from collections import Counter
from pathlib import Path

import numpy as np

from preparation.checks import AT_LEAST, CHECKS, Check
from preparation.record import Record
from reporting.charts import bars, histogram
from reporting.contact_sheets import contact_sheet, evenly, thumbnail

SHOWN, NEAREST, GROUPS, COPIES = 24, 6, 10, 3
FACTORS = (1, 0.85, 1.2, 0.7, 1.5, 0.5, 2)  # the nearest to the threshold first
SAME_AS = re.compile(r"near_duplicate: like (the mirror image of )?(.*), which stays: ", re.DOTALL)


def checks_part(out: Path, lines: list[dict], left_out: list[dict], records: dict, thresholds: dict) -> str:
    """A table of all checks, then a section for each with what it measured and left out."""
    rows, sections = [], []
    for name, check in CHECKS.items():
        found = [line for line in left_out if reason_of(name, line)]
        measured = {key: record.measures.get(check.measure) for key, record in records.items()}
        values = {key: value for key, value in measured.items() if value is not None}
        threshold = thresholds[name]
        if not found and any(check.finds(value, threshold) for value in values.values()):
            # cleaning.judge had no use for it, as for a guess where a detector has looked
            threshold = None
        rows.append(_row(check, threshold, found))
        sections.append(_section(out, check, threshold, found, lines, records, values))
    return (
        "<h2 id=checks>What the checks left out</h2><p class=n>Nothing is deleted: these pictures stay in "
        "target/ and are listed with their reasons in left_out.jsonl; training does not read them. To move a "
        "threshold, run the same command again with its option: no picture is made anew for it.</p>"
        "<div class=scroll><table class=wide><tr><th>check<th class=r>left out<th class=r>by this alone"
        f"<th>a good picture has<th>option now{''.join(rows)}</table></div>{''.join(sections)}"
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


def _section(out: Path, check: Check, threshold, found: list[dict], lines, records, values: dict) -> str:
    """A check in words, its histogram, the pictures that it left out and those that it only just kept."""
    off = " It is off." if threshold is None else ""
    meaning = html.escape(check.meaning[0].upper() + check.meaning[1:])
    parts = [f"<h3>{html.escape(check.label)}: {len(found):,} left out</h3><p>{meaning}.{off}</p>"]
    if values:
        parts.append(histogram(list(values.values()), threshold, check.direction == AT_LEAST))
        parts.append(_alternatives(check, threshold, values))
    elif check.measure:
        parts.append("<p class=n>It was not measured.</p>")
    if check.name == "near_duplicate":
        parts.append(_duplicates(out, found, records))
    elif found:
        parts.append(_left_out(out, check, found, values))
        parts.append(_only_just_kept(out, check, threshold, lines, values) if values else "")
    return f"<section id='{check.name}'>{''.join(parts)}</section>"


def _alternatives(check: Check, threshold: float | None, values: dict[str, float]) -> str:
    """How many pictures would lie beyond other thresholds; of those that make no difference, the nearest."""
    counts: dict[int, float] = {}
    for factor in FACTORS if threshold else ():
        other = float(f"{threshold * factor:.2g}") if factor != 1 else threshold
        counts.setdefault(sum(check.finds(value, other) for value in values.values()), other)
    told = [f"{count:,} at {other:g}" for count, other in sorted(counts.items(), key=lambda item: item[1])]
    told = [f"<b>{text}</b>" if text.endswith(f" at {threshold:g}") else text for text in told]
    beyond = f" Left out would be {', '.join(told)}." if len(told) > 1 else ""
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


def _duplicates(out: Path, found: list[dict], records: dict[str, Record]) -> str:
    """Each picture that stays, followed by those that show the same."""
    groups: dict[str, list[tuple[str, dict]]] = {}
    for line in found:
        mirrored, better = SAME_AS.match(reason_of("near_duplicate", line)).groups()
        groups.setdefault(better, []).append(("mirrored, left out" if mirrored else "left out", line))
    sheets = []
    for better in evenly(sorted(groups), GROUPS):
        copies = groups[better]
        more = f", first {COPIES} of {len(copies)}" if len(copies) > COPIES else ""
        figures = [(thumbnail(out / records[better].target), "stays", better)]
        for caption, line in copies[:COPIES]:
            figures.append((thumbnail(out / line["target"]), caption + more, name_of(line)))
        sheets.append(contact_sheet(figures))
    of_all = f": {len(sheets)} of {len(groups):,} groups" if len(sheets) < len(groups) else ""
    return (
        f"<h4>What stays, and its copies{of_all}</h4><div class=groups>{''.join(sheets)}</div>"
        if sheets
        else ""
    )


EXAMPLES, MOST_BUCKETS = 3, 24


def contents_part(lines: list[dict], summary: dict) -> str:
    """Buckets, regions and splits of what will be trained on."""
    total, buckets = len(lines) or 1, dict(list(summary["buckets"].items())[:MOST_BUCKETS])
    rest = len(lines) - sum(buckets.values())
    buckets |= {f"{len(summary['buckets']) - MOST_BUCKETS} others": rest} if rest else {}
    areas = {name: np.mean([line["areas"].get(name, 0) for line in lines]) for name in summary["regions"]}
    covers = ", ".join(f"{html.escape(name)} {area:.1%}" for name, area in areas.items())
    groups = Counter(split for split, _ in {(line["split"], line["group"]) for line in lines})
    told = ", ".join(f"{groups[split]:,} in {split}" for split in summary["splits"])
    none = "None: the maps are pictures." if lines else "No picture was taken."
    regions = (
        f"<h3>Regions: share of the pictures that show them</h3>{bars(summary['regions'], total)}"
        f"<p class=n>Mean share of a picture's area: {covers}.</p>"
        if areas
        else f"<h3>Regions</h3><p>{none}</p>"
    )
    return (
        "<h2>What is in the folder</h2><div class=columns>"
        f"<div><h3>Sizes: height x width</h3>{bars(buckets, total)}</div><div>{regions}</div>"
        f"<div><h3>Splits</h3>{bars(summary['splits'], total)}<p class=n>Drawn by groups of photos "
        f"that show the same, so that nothing is in two of them: {told}.</p></div></div>"
    )


def captions_part(lines: list[dict], summary: dict) -> str:
    """Where captions come from, how long they are, and some of them."""
    sources = sorted({source for line in lines for source in line["captions"]})
    texts = {source: [t for line in lines if (t := line["captions"].get(source))] for source in sources}
    rows, prompts = [], [line["prompt"] for line in lines if line["prompt"]]
    for source, found in [("prompt", prompts), *texts.items()]:
        words = [len(text.split()) for text in found] or [0]
        shown = "<br>".join(html.escape(text) for text in evenly(found, EXAMPLES))
        rows.append(
            f"<tr><td>{html.escape(source)}<td class=r>{len(found):,}<td class=r>{np.median(words):.0f}"
            f"<td class=r>{max(words)}<td class=n>{shown}"
        )
    without = summary["pictures"]["without_prompt"]
    warning = f"<p>{without:,} pictures have no prompt.</p>" if without else ""
    return (
        f"<h2>Captions</h2>{warning}<p class=n>What trains is the prompt: one of each picture's captions.</p>"
        "<div class=scroll><table class=wide><tr><th>source<th class=r>pictures<th class=r>words, median"
        f"<th class=r>longest<th>examples{''.join(rows)}</table></div>"
    )
