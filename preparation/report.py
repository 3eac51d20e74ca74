"""The report of a prepared folder: one HTML page on what will be trained on, and what will not."""

import html
import json
import re
from pathlib import Path

from jobs.whole_files import write_atomically
from pictures.regions import find_regions
from pictures.unusable import Rejection
from preparation.record import Record
from preparation.report_parts import captions_part, checks_part, contents_part, name_of
from reporting.charts import parts
from reporting.contact_sheets import contact_sheet, evenly, overlay
from reporting.html import page

OVERLAYS, EXAMPLES = 12, 3


def write_report(
    out: Path,
    lines: list[dict],
    left_out: list[dict],
    records: dict[str, Record],
    rejected: list[Rejection],
    summary: dict,
    thresholds: dict,
) -> None:
    """Write OUT/report.html: what was made of the photos, what was not, why, and pictures of either.

    Args:
        lines, left_out: of prompt.json and left_out.jsonl; `summary`: of summary.json.
        records: by the picture's name; their measures are drawn as histograms.
        thresholds: by the check's name, None for checks that are off.
    """
    out = Path(out)
    title = out.resolve().name
    pieces = [
        f"<h1>What will be trained on: {html.escape(title)}</h1>",
        _headline(summary),
        _sample(out, lines),
        checks_part(out, lines, left_out, records, thresholds),
        _rejections(rejected),
        contents_part(lines, summary),
        captions_part(lines, summary),
        _settings(out),
    ]
    write_atomically(out / "report.html", page(f"{title}: what will be trained on", pieces))


def _headline(summary: dict) -> str:
    photos, rows, pictures = summary["photos"], summary["rows"], summary["pictures"]
    splits = ", ".join(f"{number:,} {split}" for split, number in summary["splits"].items() if number)
    tiles = [
        (photos["total"], "photos read"),
        (pictures["kept"], f"pictures to train on: {splits}" if splits else "pictures to train on"),
        (pictures["left_out"], "pictures left out by checks"),
        (photos["rejected"], "photos rejected"),
    ]
    shares = {"kept": pictures["kept"], "out": pictures["left_out"], "rejected": photos["rejected"]}
    text = "".join(f"<div class=tile><b>{number:,}</b>{label}</div>" for number, label in tiles)
    key = "<i class=kept></i>to train on<i class=out></i>left out<i class=rejected></i>rejected"
    lines = [f"<div class=tiles>{text}</div>", parts(shares), f"<p class='n key'>{key}</p>"]
    second = pictures["total"] - photos["used"]
    crops = f", {second:,} of them second crops" if second else ""
    lines.append(
        f"<p>{photos['used']:,} of {photos['total']:,} photos gave {pictures['total']:,} pictures{crops}.</p>"
    )
    if rows["total"]:
        lines.append(
            f"<p>{rows['total']:,} rows of masks: {rows['painted']:,} painted, {rows['words_only']:,} only "
            f"give words to captions, {rows['rejected']:,} rejected.</p>"
        )
    return "\n".join(lines)


def _sample(out: Path, lines: list[dict]) -> str:
    """Pictures that will be trained on, their maps over them and their prompts below."""
    figures = [
        (
            overlay(out / line["target"], out / line["source"]),
            line["prompt"],
            f"{name_of(line)}, {line['bucket']}",
        )
        for line in evenly(lines, OVERLAYS)
    ]
    if not figures:
        return "<h2>What training sees</h2><p>Nothing: every picture was left out or rejected.</p>"
    return (
        f"<h2>What training sees</h2><p class=n>{len(figures)} of {len(lines):,} pictures, evenly spread, "
        f"with the colours of their maps and their prompts.</p>{_legend(out)}"
        + contact_sheet(figures, "pairs")
    )


def _legend(out: Path) -> str:
    """Names and colours of the regions, nothing where maps are pictures."""
    regions = find_regions(out)
    if regions is None:
        return ""
    chips = "".join(
        f"<i style='background:rgb({red},{green},{blue})'></i>{html.escape(name)}"
        for name, (red, green, blue) in list(zip(regions.names, regions.colours, strict=True))[1:]
    )
    return f"<p class='n key'>{chips}</p>"


def _rejections(rejected: list[Rejection]) -> str:
    if not rejected:
        return "<h2 id=rejected>What could not be used</h2><p>Nothing: every row and photo could be used.</p>"
    kinds: dict[str, list[Rejection]] = {}
    for rejection in rejected:
        kinds.setdefault(kind_of(rejection.reason), []).append(rejection)
    rows = []
    for kind, members in sorted(kinds.items(), key=lambda item: -len(item[1])):
        # the first of each photo: a missing photo rejects all of its rows alike
        photos = {rejection.image: rejection for rejection in reversed(members)}
        first = [photos[image] for image in sorted(photos)[:EXAMPLES]]
        shown = "<br>".join(html.escape(_example(rejection, kind)) for rejection in first)
        rows.append(
            f"<tr><td class=r>{len(members):,}<td class=r>{len(photos):,}<td>{html.escape(kind)}"
            f"<td class=n>{shown}"
        )
    return (
        "<h2 id=rejected>What could not be used</h2><p class=n>Rows of masks and whole photos, all listed in "
        "rejected.csv. A picture that lost a garment to a rejected row is left out as incomplete.</p>"
        "<div class=scroll><table class=wide><tr><th class=r>entries<th class=r>photos<th>reason"
        f"<th>first examples</tr>{''.join(rows)}</table></div>"
    )


def _example(rejection: Rejection, kind: str) -> str:
    """Where a rejection is found, and its reason if it says more than its kind."""
    place = rejection.image + (f", line {rejection.line}" if rejection.line else "")
    return place if rejection.reason == kind else f"{place}: {rejection.reason}"


def kind_of(reason: str) -> str:
    """A reason without what differs from case to case: numbers and quoted texts become an ellipsis."""
    return re.sub(r"'[^']*'|\"[^\"]*\"|[-+]?\d+(?:[.,]\d+)*", "…", reason)


def _settings(out: Path) -> str:
    settings = json.loads((out / "settings.json").read_text())
    rows = "".join(
        f"<tr><th>{html.escape(key)}<td>{html.escape(value if isinstance(value, str) else json.dumps(value))}"
        for key, value in settings.items()
    )
    return f"<h2>Settings</h2><p class=n>Of the files, as in settings.json.</p><table>{rows}</table>"
