"""A column of captions as the report reads it, and what can be counted about it: lengths, words, garments."""

import html
import importlib.util
import re
import sys
import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from annotator.caption.agreement import ENDS, region_of_phrase
from preparation.captions.column_files import AGREEMENT, Column
from preparation.captions.table_columns import read_merged

PROMPT = "the prompt"  # no name that a captioner's column can have
TOKENS = 75  # what CLIP's text encoder reads of a prompt, besides its start and end
STOP_WORDS = set(
    "a an the and or of in on at to with is are his her its their this that it as by for from".split()
)
WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
PARTS = re.compile(r"[^\w\s'’-]+")
PHRASES = re.compile(r"[^\w\s'’-]+|\b(?:and|" + "|".join(ENDS) + r")\b", re.IGNORECASE)


def split_words(text: str) -> list[str]:
    return WORD.findall(text.lower())


@cache
def load_tokenizer():
    """CLIP's, from open_clip's wheel; without the import of open_clip itself, which takes many seconds."""
    if "open_clip.tokenizer" in sys.modules:
        return sys.modules["open_clip.tokenizer"].SimpleTokenizer()
    package = importlib.util.find_spec("open_clip")
    if package is None:
        raise ModuleNotFoundError("to count tokens takes open_clip's vocabulary: pip install open_clip_torch")
    path = Path(package.submodule_search_locations[0]) / "tokenizer.py"
    spec = importlib.util.spec_from_file_location("open_clip_tokenizer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SimpleTokenizer()


def count_tokens(texts: list[str]) -> list[int]:
    """Tokens of each text for CLIP, start and end not counted."""
    known: dict[str, int] = {}
    for text in texts:
        if text not in known:
            known[text] = len(load_tokenizer().encode(text))
    return [known[text] for text in texts]


def count_runs(texts: list[str], sizes: tuple[int, ...], most: int) -> list[dict[str, int]]:
    """For each size the most frequent runs of so many words, with the number of texts that have them.

    No run goes across a comma or the like, or begins or ends with an article and the like.
    """
    counts: list[Counter] = [Counter() for _ in sizes]
    for text, number in Counter(texts).items():
        parts = [split_words(part) for part in PARTS.split(text)]
        for size, counter in zip(sizes, counts, strict=True):
            runs = (run for words in parts for run in zip(*(words[i:] for i in range(size)), strict=False))
            for run in {run for run in runs if STOP_WORDS.isdisjoint((run[0], run[-1]))}:
                counter[run] += number
    ordered = [sorted(counter.items(), key=lambda item: (-item[1], item[0]))[:most] for counter in counts]
    return [{" ".join(run): number for run, number in found} for found in ordered]


def count_shared(texts: list[str]) -> dict[str, int]:
    """Captions that several pictures share, with how many: equal but for capitals and punctuation."""
    first: dict[str, str] = {}
    counts: Counter = Counter()
    for text in texts:
        key = " ".join(split_words(text))
        first.setdefault(key, text)
        counts[key] += 1
    return {first[key]: number for key, number in counts.most_common() if number > 1 and key}


def find_named_regions(text: str, regions) -> set[str]:
    """The regions of the garments that a caption names."""
    parts = (part.strip() for part in PHRASES.split(text))
    return {region for part in parts if part and (region := _region_of(part.lower(), regions))}


_KNOWN: dict[tuple, str | None] = {}


def _region_of(part: str, regions) -> str | None:
    key = regions.names, regions.table, part
    if key not in _KNOWN:
        _KNOWN[key] = region_of_phrase(part, regions)
    return _KNOWN[key]


def count_named_regions(lines: list[dict], texts: list[str], regions) -> list[tuple[str, int, int, int, int]]:
    """How truly captions name regions, for each region that some picture shows.

    Returns:
        (name, pictures that show it, captions among them that name it, pictures that do not show it,
        captions among these that name it all the same).
    """
    named = [find_named_regions(text, regions) for text in texts]
    found = []
    for name in regions.names[1:]:
        there = [name in says for line, says in zip(lines, named, strict=True) if name in line["regions"]]
        others = [
            name in says for line, says in zip(lines, named, strict=True) if name not in line["regions"]
        ]
        if there:
            found.append((name, len(there), sum(there), len(others), sum(others)))
    return found


FEWEST_WORDS = 3
REPEATED = re.compile(r"\b(\w+(?:\W+\w+){0,3}?)(?:\W+\1\b){2,}", re.IGNORECASE)
# what no caption ends with; a cut one does
OPEN_ENDS = set("a an the and or with of in on at to her his their its very wearing holding".split())
NOISE = re.compile(
    r"trending on|artstation|deviantart|cgsociety|pinterest|shutterstock|getty|stock (?:photo|image)"
    r"|watermark|unreal engine|octane render|highly detailed|award[- ]winning|in the style of|\b[48]k\b"
    r"|\bphoto by\b|\bportrait by\b|\baraf\w*|#\w|https?:|www\.",
    re.IGNORECASE,
)
CHATTER = re.compile(
    r"\bas an ai\b|\bi(?:'m| am) (?:sorry|unable)|\bi can(?:no|')t\b|\bsorry,|here is|here are|<\w+>",
    re.IGNORECASE,
)
# control characters, halves of pairs, private and unassigned ones
JUNK = {"Cc", "Cs", "Co", "Cn"}
FOREIGN = 0.3  # share of letters that are not Latin

REASONS = {
    "empty": "says nothing",
    "short": f"fewer than {FEWEST_WORDS} words",
    "repeats": "says the same words three times in a row",
    "cut": "ends amid a phrase or a word, as at a limit of its length",
    "noise": "names artists, sites or picture qualities instead of what is seen",
    "chatter": "talks to the reader, or of tasks",
    "letters": "has broken or foreign characters",
}


def find_suspects(texts: list[str]) -> list[str]:
    """For each text the key of REASONS that speaks against it, the first that does, or an empty string."""
    counts = Counter(word for text in texts for word in split_words(text))
    stems = {word[:length] for word, n in counts.items() if n >= 5 for length in range(3, len(word))}
    reasons = {text: _reason(text, counts, stems) for text in set(texts)}
    return [reasons[text] for text in texts]


def _reason(text: str, counts: Counter, stems: set[str]) -> str:
    words = split_words(text)
    found = {
        "empty": not text.strip(),
        "letters": _is_strange(text),
        "chatter": CHATTER.search(text),
        "short": len(words) < FEWEST_WORDS,
        "repeats": REPEATED.search(text),
        "noise": NOISE.search(text),
        "cut": words and _is_cut(text, words[-1], counts, stems),
    }
    return next((reason for reason, is_so in found.items() if is_so), "")


def _is_cut(text: str, last: str, counts: Counter, stems: set[str]) -> bool:
    """Whether a text ends amid a phrase, or with the beginning of a word that others have whole."""
    if text.rstrip()[-1:] in ",;:-(":
        return True
    return text.rstrip()[-1:] not in ".!?" and (last in OPEN_ENDS or (counts[last] == 1 and last in stems))


def _is_strange(text: str) -> bool:
    if text.isascii() and text.isprintable():
        # as nearly all are
        return False
    letters = [character for character in text if character.isalpha()]
    foreign = sum("LATIN" not in unicodedata.name(character, "") for character in letters)
    broken = any(c == "\ufffd" or (unicodedata.category(c) in JUNK and not c.isspace()) for c in text)
    return broken or foreign > FOREIGN * len(letters)


@dataclass(frozen=True)
class ReportedColumn:
    """A column as the report reads it; the lists are of the pictures that have a caption there.

    Args:
        tokens: CLIP's, of each text.
        suspects: a key of REASONS or an empty string.
        settings: of the captioner that wrote it, None for what the folder came with.
        same_as: another column with these very texts.
    """

    name: str
    lines: list[dict]
    texts: list[str]
    tokens: list[int]
    suspects: list[str]
    settings: dict | None
    same_as: "ReportedColumn | None" = None

    @property
    def targets(self) -> list[str]:
        return [line["target"] for line in self.lines]

    @property
    def anchor(self) -> str:
        return html.escape(f"column-{self.name.replace(' ', '-')}")

    @property
    def origin(self) -> str:
        return self.settings["captioner"] if self.settings else "the folder"


def read_columns(folder: Path, lines: list[dict]) -> list[ReportedColumn]:
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
            found.append(
                ReportedColumn(
                    name=name,
                    lines=own,
                    texts=said,
                    tokens=count_tokens(said),
                    suspects=find_suspects(said),
                    settings=settings,
                )
            )
    return found


def list_agreements(column) -> list[tuple[float, dict]]:
    """(how well its caption agrees with its map, line) of those of which that is known."""
    found = []
    for line in column.lines:
        scores = line.get("scores", {}).get(column.name)
        score = scores.get(AGREEMENT) if isinstance(scores, dict) else None
        # a table of others may call something else so
        if isinstance(score, (int, float)):
            found.append((score, line))
    return found
