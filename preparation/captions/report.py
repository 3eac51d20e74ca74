"""The report on a folder's captions: one HTML page that compares its columns and shows what to look at."""

import base64
import html
from dataclasses import replace
from pathlib import Path

import numpy as np

from annotator.caption.folder_lines import regions_of
from jobs.whole_files import write_atomically
from preparation.captions.column_files import FOLDER, Column
from preparation.captions.merge_columns import read_merged
from preparation.captions.report_column import Captions, column_part
from preparation.captions.report_numbers import TOKENS, count_tokens, shared, suspects
from preparation.captions.report_pictures import agreements, small_picture
from preparation.captions.table import Table
from reporting.bars import number
from reporting.contact_sheets import evenly
from reporting.html import DATA_STYLE

OWN_STYLE = Path(__file__).with_name("report.css")
EXAMPLES, HEIGHT = 8, 176
PROMPT = "the prompt"  # no name that a captioner's column can have


def write_report(folder) -> Path:
    """Write FOLDER/captions/report.html from the table and the captioners' records; returns its path.

    Without any captioner's column it is a report on the captions that the folder came with.
    """
    folder = Path(folder)
    lines = Table(folder).items
    columns, regions = read_columns(folder, lines), regions_of(folder)
    if regions and not all(isinstance(line.get("regions"), list) for line in lines):
        # only a prepared folder says which regions a picture shows
        regions = None
    title = html.escape(folder.resolve().name)
    page = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width,initial-scale=1'>",
        f"<title>{title}: captions</title><style>{DATA_STYLE.read_text()}{OWN_STYLE.read_text()}</style>",
        f"<h1>Captions of {title}</h1>",
        _headline(lines, columns),
        _overview(columns),
        _examples(folder, lines, columns),
        *(column_part(folder, column, len(lines), regions) for column in columns),
    ]
    path = folder / FOLDER / "report.html"
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, "\n".join(page).encode())
    return path


def read_columns(folder: Path, lines: list[dict]) -> list[Captions]:
    """The columns of a table, the captioners' after those of the raw data, and the prompts last."""
    merged = read_merged(folder)
    names = dict.fromkeys(name for line in lines for name in line.get("captions", {}))
    found = []
    for name in [*sorted(names, key=lambda name: name in merged), PROMPT]:
        texts = [line["prompt"] if name == PROMPT else line.get("captions", {}).get(name) for line in lines]
        having = [(line, text) for line, text in zip(lines, texts, strict=True) if isinstance(text, str)]
        own, said = [line for line, _ in having], [text for _, text in having]
        settings = Column(folder, name).settings() or merged[name] if name in merged else None
        same = next((c for c in found if name == PROMPT and c.texts == said and len(own) == len(lines)), None)
        if same:
            found.append(replace(same, name=name, settings=None, same_as=same))
        else:
            found.append(Captions(name, own, said, count_tokens(said), suspects(said), settings))
    return found


def _headline(lines: list[dict], columns: list[Captions]) -> str:
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


def _overview(columns: list[Captions]) -> str:
    rows = []
    for column in columns:
        words = [len(text.split()) for text in column.texts] or [0]
        tokens, total = column.tokens or [0], len(column.texts) or 1
        repeated = sum(count for count in shared(column.texts).values())
        agreed = [score for score, _ in agreements(column)]
        rows.append(
            f"<tr><td><a href='#{html.escape(column.anchor)}'>{html.escape(column.name)}</a>"
            f"<td>{html.escape(column.origin)}<td class=r>{len(column.texts):,}"
            f"<td class=r>{np.median(words):.0f}<td class=r>{max(words)}"
            f"<td class=r>{np.median(tokens):.0f}<td class=r>{max(tokens)}"
            f"<td class=r>{sum(n > TOKENS for n in tokens) / total:.1%}<td class=r>{repeated / total:.1%}"
            f"<td class=r>{sum(map(bool, column.suspects)):,}"
            f"<td class=r>{number(round(float(np.mean(agreed)), 3)) if agreed else '–'}"
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


def _examples(folder: Path, lines: list[dict], columns: list[Captions]) -> str:
    """The same pictures, with what each column says of them."""
    by_target = {column.name: dict(zip(column.targets, column.texts, strict=True)) for column in columns}
    cards = []
    for line in evenly(lines, EXAMPLES):
        picture = small_picture(folder / line["target"], HEIGHT)
        image = base64.b64encode(picture).decode() if picture else ""
        texts = {name: of.get(line["target"]) for name, of in by_target.items()}
        said = "".join(_said(name, text, texts) for name, text in texts.items())
        cards.append(
            f"<div class=example title='{html.escape(line['target'])}'>"
            f"<img alt='' src='data:image/jpeg;base64,{image}'><dl>{said}</dl></div>"
        )
    return (
        f"<h2>The same pictures, column by column</h2><p class=n>{len(cards)} of {len(lines):,} pictures, "
        f"evenly spread.</p><div class=examples>{''.join(cards)}</div>"
    )


def _said(name: str, text: str | None, texts: dict) -> str:
    """A column's caption of a picture, marked if it is the prompt; the prompt itself if no column has it."""
    trains = texts[PROMPT] == text
    if name == PROMPT and list(texts.values()).count(text) > 1:
        return ""
    mark = " <b>trains</b>" if trains and name != PROMPT else ""
    return f"<dt>{html.escape(name)}{mark}<dd>{html.escape(text) if text else '<i>nothing</i>'}"
