"""The report's part on one column: how long its captions are, what they name, and which look wrong."""

import csv
import html
from dataclasses import dataclass
from pathlib import Path

from preparation.captions.column_files import FOLDER
from preparation.captions.report_numbers import TOKENS, frequent, naming, shared
from preparation.captions.report_pictures import suspects_part, worst_part
from reporting.bars import bars, histogram

MOST_WORDS, MOST_SHARED = 12, 8
RUNS = {1: "Words", 2: "Two words", 3: "Three words"}


@dataclass(frozen=True)
class Captions:
    """A column as the report reads it; the lists are of the pictures that have a caption there.

    Args:
        tokens: CLIP's, of each text.
        suspects: a key of report_suspects.REASONS or an empty string.
        settings: of the captioner that wrote it, None for what the folder came with.
        same_as: another column with these very texts.
    """

    name: str
    lines: list[dict]
    texts: list[str]
    tokens: list[int]
    suspects: list[str]
    settings: dict | None
    same_as: "Captions | None" = None

    @property
    def targets(self) -> list[str]:
        return [line["target"] for line in self.lines]

    @property
    def anchor(self) -> str:
        return html.escape(f"column-{self.name.replace(' ', '-')}")

    @property
    def origin(self) -> str:
        return self.settings["captioner"] if self.settings else "the folder"


def column_part(folder: Path, column: Captions, total: int, regions) -> str:
    """The section of a column; `total` pictures are in the folder, `regions` None where maps are pictures."""
    if column.same_as:
        same = f"The same texts as <a href='#{column.same_as.anchor}'>{html.escape(column.same_as.name)}</a>."
        return f"<article><h2 id='{column.anchor}'>{html.escape(column.name)}</h2><p>{same}</p></article>"
    parts = [f"<h2 id='{column.anchor}'>{html.escape(column.name)}</h2>", _origin(folder, column, total)]
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


def _origin(folder: Path, column: Captions, total: int) -> str:
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
    with open(path, newline="", encoding="utf-8") as file:
        return max(0, sum(1 for _ in csv.reader(file)) - 1)


def _lengths(column: Captions) -> str:
    over = sum(n > TOKENS for n in column.tokens)
    cut = (
        f"{over:,} are longer than the {TOKENS} that a text encoder reads: their ends are lost."
        if over
        else ""
    )
    cut = cut or f"None is longer than the {TOKENS} that a text encoder reads."
    limit = TOKENS + 0.5 if over else None
    return f"<h3>Length in CLIP's tokens</h3>{histogram(column.tokens, limit, False)}<p class=n>{cut}</p>"


def _regions(column: Captions, regions) -> str:
    """How many captions name what the map shows, and what it does not."""
    if regions is None or not regions.region_of:
        return ""
    rows = [
        f"<tr><td>{html.escape(name)}<td class=r>{there:,}<td class=r>{named / there:.1%}"
        f"<td class=r>{wrong / absent if absent else 0:.1%}"
        for name, there, named, absent, wrong in naming(column.lines, column.texts, regions)
    ]
    return (
        "<h3>Garments that are named</h3><table><tr><th>region<th class=r>pictures<th class=r>named"
        f"<th class=r>elsewhere{''.join(rows)}</table><p class=n>Named: of the pictures whose map shows the "
        "region, captions with a garment of it. Elsewhere: the same of the other pictures; a map may lack "
        "what nobody annotated.</p>"
    )


def _words(column: Captions) -> str:
    found = zip(RUNS.values(), frequent(column.texts, tuple(RUNS), MOST_WORDS), strict=True)
    total = len(column.texts)
    tables = [f"<div><h4>{title}</h4>{bars(counts, total)}</div>" for title, counts in found if counts]
    return f"<h3>Most frequent: share of the captions</h3><div class=three>{''.join(tables)}</div>"


def _shared(column: Captions) -> str:
    found = shared(column.texts)
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
