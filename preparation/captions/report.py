"""The report on a folder's captions: one HTML page that compares its columns and shows what to look at."""

import base64
import csv
import html
from collections import Counter
from pathlib import Path

import numpy as np

from jobs.whole_files import write_atomically
from pictures.decoding import DAMAGE
from pictures.regions import find_regions
from preparation.captions.caption_statistics import (
    PROMPT,
    REASONS,
    TOKENS,
    ReportedColumn,
    count_named_regions,
    count_runs,
    count_shared,
    list_agreements,
    read_columns,
)
from preparation.captions.column_files import FOLDER
from preparation.captions.table_columns import Table
from reporting.charts import bars, histogram, write_number
from reporting.contact_sheets import contact_sheet, evenly, overlay, thumbnail
from reporting.html import page

OWN_STYLE = Path(__file__).with_name("report.css")
EXAMPLES, HEIGHT = 8, 176
MOST_WORDS, MOST_SHARED = 12, 8
RUNS = {1: "Words", 2: "Two words", 3: "Three words"}
SHOWN, WORST, LONGEST = 6, 6, 160
LIMITS = (0.3, 0.5, 0.7, 0.9)


def write_report(table: Table) -> Path:
    """Write captions/report.html of a table's folder, and of the captioners' records; returns its path.

    Without any captioner's column it is a report on the captions that the folder came with.
    """
    folder, lines = table.folder, table.items
    columns, regions = read_columns(folder, lines), find_regions(folder)
    if regions and not all(isinstance(line.get("regions"), list) for line in lines):
        # only a prepared folder says which regions a picture shows
        regions = None
    title = folder.resolve().name
    parts = [
        f"<h1>Captions of {html.escape(title)}</h1>",
        _headline(lines, columns),
        _overview(columns),
        _examples(folder, lines, columns),
        *(column_part(folder, column, len(lines), regions) for column in columns),
    ]
    path = folder / FOLDER / "report.html"
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, page(f"{title}: captions", parts, OWN_STYLE.read_text()))
    return path


def _headline(lines: list[dict], columns: list[ReportedColumn]) -> str:
    captions = [column for column in columns if column.name != PROMPT]
    prompts = columns[-1]
    over = sum(tokens > TOKENS for tokens in prompts.tokens)
    tiles = [
        (len(lines), "pictures"),
        (len(captions), "columns of captions" if len(captions) != 1 else "column of captions"),
        (sum(not text for text in prompts.texts), "pictures without a prompt"),
        (over, f"prompts longer than the {TOKENS} tokens that CLIP reads"),
    ]
    text = "".join(f"<div class=tile><b>{number:,}</b>{label}</div>" for number, label in tiles)
    return f"<div class=tiles>{text}</div>"


def _overview(columns: list[ReportedColumn]) -> str:
    rows = []
    for column in columns:
        words = [len(text.split()) for text in column.texts] or [0]
        tokens, total = column.tokens or [0], len(column.texts) or 1
        repeated = sum(count for count in count_shared(column.texts).values())
        agreed = [score for score, _ in list_agreements(column)]
        rows.append(
            f"<tr><td><a href='#{html.escape(column.anchor)}'>{html.escape(column.name)}</a>"
            f"<td>{html.escape(column.origin)}<td class=r>{len(column.texts):,}"
            f"<td class=r>{np.median(words):.0f}<td class=r>{max(words)}"
            f"<td class=r>{np.median(tokens):.0f}<td class=r>{max(tokens)}"
            f"<td class=r>{sum(n > TOKENS for n in tokens) / total:.1%}<td class=r>{repeated / total:.1%}"
            f"<td class=r>{sum(map(bool, column.suspects)):,}"
            f"<td class=r>{write_number(round(float(np.mean(agreed)), 3)) if agreed else '–'}"
        )
    return (
        "<h2>The columns</h2><p class=n>Each is one source of captions. What trains is the prompt: the one "
        "that <code>tool_prepare_data.py --prompt COLUMN</code> chooses. Shared: several pictures have the "
        "same. Agreement says how well the boxes of a captioner's phrases fit the region maps, from 0 to 1."
        "</p><div class=scroll><table class=wide><tr>"
        "<th>column<th>from<th class=r>captions<th class=r>words, median<th class=r>longest"
        f"<th class=r>tokens, median<th class=r>longest<th class=r>over {TOKENS}"
        f"<th class=r>shared<th class=r>suspect<th class=r>agreement{''.join(rows)}</table></div>"
    )


def _examples(folder: Path, lines: list[dict], columns: list[ReportedColumn]) -> str:
    """The same pictures, with what each column says of them."""
    by_target = {column.name: dict(zip(column.targets, column.texts, strict=True)) for column in columns}
    cards = []
    for line in evenly(lines, EXAMPLES):
        picture = make_thumbnail(folder / line["target"], HEIGHT)
        image = base64.b64encode(picture).decode() if picture else ""
        texts = {name: of.get(line["target"]) for name, of in by_target.items()}
        said = "".join(_list_caption(name, text, texts) for name, text in texts.items())
        cards.append(
            f"<div class=example title='{html.escape(line['target'])}'>"
            f"<img alt='' src='data:image/jpeg;base64,{image}'><dl>{said}</dl></div>"
        )
    return (
        f"<h2>The same pictures, column by column</h2><p class=n>{len(cards)} of {len(lines):,} pictures, "
        f"evenly spread.</p><div class=examples>{''.join(cards)}</div>"
    )


def _list_caption(name: str, text: str | None, texts: dict) -> str:
    """A column's caption of a picture, marked if it is the prompt; the prompt itself if no column has it."""
    trains = texts[PROMPT] == text
    if name == PROMPT and list(texts.values()).count(text) > 1:
        return ""
    mark = " <b>trains</b>" if trains and name != PROMPT else ""
    return f"<dt>{html.escape(name)}{mark}<dd>{html.escape(text) if text else '<i>nothing</i>'}"


def column_part(folder: Path, column: ReportedColumn, total: int, regions) -> str:
    """The section of a column; `total` pictures are in the folder, `regions` None where maps are pictures."""
    if column.same_as:
        same = f"The same texts as <a href='#{column.same_as.anchor}'>{html.escape(column.same_as.name)}</a>."
        return f"<article><h2 id='{column.anchor}'>{html.escape(column.name)}</h2><p>{same}</p></article>"
    parts = [f"<h2 id='{column.anchor}'>{html.escape(column.name)}</h2>", _source(folder, column, total)]
    if column.texts:
        parts += [
            "<div class=columns>",
            f"<div>{_lengths(column)}</div><div>{_regions(column, regions)}</div></div>",
            _words(column),
            suspects_part(folder, column),
            _shared(column),
            worst_part(folder, column),
        ]
    return f"<article>{''.join(parts)}</article>"


def _source(folder: Path, column: ReportedColumn, total: int) -> str:
    told = [f"{len(column.texts):,} of {total:,} pictures have one."]
    if column.settings:
        options = column.settings.get("options", {})
        told += [f"<code>{html.escape(f'{key}={value}')}</code>" for key, value in options.items()]
        for file, what in (
            ("failed.csv", "could not be read"),
            ("disagree.csv", "are left out, as they disagree"),
        ):
            number = count_rows(folder / FOLDER / column.name / file)
            if number:
                told.append(f"{number:,} {what}: <code>{FOLDER}/{html.escape(column.name)}/{file}</code>.")
    return f"<p class=n>From {html.escape(column.origin)}. {' '.join(told)}</p>"


def count_rows(path: Path) -> int:
    """Rows of a csv below its header, 0 without the file."""
    if not path.is_file():
        return 0
    with open(path, newline="", encoding="utf-8", errors="replace") as file:
        return max(0, sum(1 for _ in csv.reader(file)) - 1)


def _lengths(column: ReportedColumn) -> str:
    over = sum(n > TOKENS for n in column.tokens)
    cut = (
        f"{over:,} are longer than the {TOKENS} that a text encoder reads: their ends are lost."
        if over
        else ""
    )
    cut = cut or f"None is longer than the {TOKENS} that a text encoder reads."
    limit = TOKENS + 0.5 if over else None
    return f"<h3>Length in CLIP's tokens</h3>{histogram(column.tokens, limit, False)}<p class=n>{cut}</p>"


def _regions(column: ReportedColumn, regions) -> str:
    """How many captions name what the map shows, and what it does not."""
    if regions is None or not regions.region_of:
        return ""
    rows = [
        f"<tr><td>{html.escape(name)}<td class=r>{there:,}<td class=r>{named / there:.1%}"
        f"<td class=r>{wrong / absent if absent else 0:.1%}"
        for name, there, named, absent, wrong in count_named_regions(column.lines, column.texts, regions)
    ]
    return (
        "<h3>Garments that are named</h3><table><tr><th>region<th class=r>pictures<th class=r>named"
        f"<th class=r>elsewhere{''.join(rows)}</table><p class=n>Named: of the pictures whose map shows the "
        "region, captions with a garment of it. Elsewhere: the same of the other pictures; a map may lack "
        "what nobody annotated.</p>"
    )


def _words(column: ReportedColumn) -> str:
    found = zip(RUNS.values(), count_runs(column.texts, tuple(RUNS), MOST_WORDS), strict=True)
    total = len(column.texts)
    tables = [f"<div><h4>{title}</h4>{bars(counts, total)}</div>" for title, counts in found if counts]
    return f"<h3>Most frequent: share of the captions</h3><div class=three>{''.join(tables)}</div>"


def _shared(column: ReportedColumn) -> str:
    found = count_shared(column.texts)
    if not found:
        return "<h3>Captions shared by several pictures</h3><p>None.</p>"
    rows = [
        f"<tr><td class=r>{number:,}<td>{html.escape(text)}"
        for text, number in list(found.items())[:MOST_SHARED]
    ]
    pictures = sum(found.values())
    return (
        f"<h3>Captions shared by several pictures: {len(found):,}</h3><p class=n>{pictures:,} pictures "
        f"({pictures / len(column.texts):.1%}) have a caption that another one has too, but for capitals and "
        "punctuation. The most frequent:</p><table><tr><th class=r>pictures<th>caption"
        f"{''.join(rows)}</table>"
    )


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


def worst_part(folder: Path, column) -> str:
    """The captions whose boxes fit their maps least."""
    scored = list_agreements(column)
    if not scored:
        return ""
    scored.sort(key=lambda item: (item[0], item[1]["target"]))
    texts = dict(zip(column.targets, column.texts, strict=True))
    figures = []
    for score, line in scored[:WORST]:
        try:
            boxes = [box for _, found in line["phrases"][column.name] for box in found]
            picture = overlay(folder / line["target"], folder / line["source"], boxes)
        except (*DAMAGE, LookupError, TypeError):
            continue
        figures.append((picture, f"{score:.2f}: {texts[line['target']]}", Path(line["target"]).stem))
    return (
        f"<h3>Agreement with the map</h3>{_histogram_scores([score for score, _ in scored])}"
        f"<h4>The {len(figures)} that agree least</h4><p class=n>Boxes of the phrases, and the map's "
        "colours. <code>--min-agreement X</code> leaves captions below X out, without captioning anew.</p>"
        f"{contact_sheet(figures, 'pairs')}"
    )


def _histogram_scores(scores: list[float]) -> str:
    """A histogram, if there is something to see, and how many captions some thresholds would leave out."""
    below = [f"{sum(score < limit for score in scores):,} below {limit}" for limit in LIMITS]
    mean = sum(scores) / len(scores)
    drawn = histogram(scores, None, True) if min(scores) < LIMITS[-1] else ""
    return f"{drawn}<p class=n>Of {len(scores):,} captions, {mean:.2f} on average; {', '.join(below)}.</p>"


def _sheet(folder: Path, found: list[tuple[dict, str]]) -> str:
    figures = []
    for line, text in found:
        picture = make_thumbnail(folder / line["target"])
        said = text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
        if picture:
            figures.append((picture, said, Path(line["target"]).stem))
    return contact_sheet(figures)


def make_thumbnail(path: Path, height: int = 120) -> bytes | None:
    """A JPEG of so many pixels in height, None of a file that can't be read."""
    try:
        return thumbnail(path, height)
    except DAMAGE:
        return None
