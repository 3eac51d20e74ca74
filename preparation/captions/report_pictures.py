"""The report's pictures of one column: captions that look wrong, and those that fit their maps least."""

import html
from collections import Counter
from pathlib import Path

from pictures.photo import DAMAGE
from preparation.captions.record import AGREEMENT
from preparation.captions.report_numbers import REASONS
from reporting.bars import histogram
from reporting.contact_sheets import contact_sheet, overlay, thumbnail

SHOWN, WORST, LONGEST = 6, 6, 160
LIMITS = (0.3, 0.5, 0.7, 0.9)


def suspects_part(folder: Path, column) -> str:
    """What looks wrong, by reason, with some of each."""
    counts = Counter(reason for reason in column.suspects if reason)
    if not counts:
        return "<h3>Suspect captions</h3><p>None.</p>"
    parts = [f"<h3>Suspect captions: {sum(counts.values()):,}</h3>"]
    for reason, meaning in REASONS.items():
        if counts[reason]:
            found = [
                (line, text)
                for line, text, why in zip(column.lines, column.texts, column.suspects, strict=True)
                if why == reason
            ]
            shown = f", first {SHOWN}" if len(found) > SHOWN else ""
            parts.append(
                f"<h4>{counts[reason]:,}: {html.escape(meaning)}{shown}</h4>"
                f"{_sheet(folder, [(line, text or '(empty)') for line, text in found[:SHOWN]])}"
            )
    return "".join(parts)


def agreements(column) -> list[tuple[float, dict]]:
    """(how well its caption agrees with its map, line) of those of which that is known."""
    found = [(line.get("scores", {}).get(column.name, {}).get(AGREEMENT), line) for line in column.lines]
    return [(score, line) for score, line in found if score is not None]


def worst_part(folder: Path, column) -> str:
    """The captions whose boxes fit their maps least."""
    scored = agreements(column)
    if not scored:
        return ""
    scored.sort(key=lambda item: (item[0], item[1]["target"]))
    texts = dict(zip(column.targets, column.texts, strict=True))
    figures = []
    for score, line in scored[:WORST]:
        boxes = [box for _, found in line["phrases"][column.name] for box in found]
        try:
            picture = overlay(folder / line["target"], folder / line["source"], boxes)
        except DAMAGE:
            continue
        figures.append((picture, f"{score:.2f}: {texts[line['target']]}", Path(line["target"]).stem))
    return (
        f"<h3>Agreement with the map</h3>{_spread([score for score, _ in scored])}"
        f"<h4>The {len(figures)} that agree least</h4><p class=n>Boxes of the phrases, and the map's "
        "colours. <code>--min-agreement X</code> leaves captions below X out, without captioning anew.</p>"
        f"{contact_sheet(figures, 'pairs')}"
    )


def _spread(scores: list[float]) -> str:
    """A histogram, if there is something to see, and how many captions some thresholds would leave out."""
    below = [f"{sum(score < limit for score in scores):,} below {limit}" for limit in LIMITS]
    mean = sum(scores) / len(scores)
    drawn = histogram(scores, None, True) if min(scores) < LIMITS[-1] else ""
    return f"{drawn}<p class=n>Of {len(scores):,} captions, {mean:.2f} on average; {', '.join(below)}.</p>"


def _sheet(folder: Path, found: list[tuple[dict, str]]) -> str:
    figures = []
    for line, text in found:
        picture = small_picture(folder / line["target"])
        said = text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
        if picture:
            figures.append((picture, said, Path(line["target"]).stem))
    return contact_sheet(figures)


def small_picture(path: Path, height: int = 120) -> bytes | None:
    """A JPEG of so many pixels in height, None of a file that can't be read."""
    try:
        return thumbnail(path, height)
    except DAMAGE:
        return None
