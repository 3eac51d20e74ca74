"""What iMaterialist (Fashion) 2019's files hold: labels, annotated things, and what is wrong with some."""

from collections import Counter
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from annotator.imaterialist.rle import rle_runs
from jobs.json_files import read_json
from jobs.yaml_files import read_yaml
from pictures.regions import NUM_ATTRIBUTES, NUM_CATEGORIES
from pictures.unusable import Rejection

LABELS_FILE = Path(__file__).with_name("label_descriptions.json")  # those of 2019


@dataclass(frozen=True)
class Row:
    """One annotated thing: its mask as RLE text for height x width, its category and attributes."""

    image: str
    rle: str
    height: int
    width: int
    category: int
    attributes: tuple[int, ...]

    @cached_property
    def runs(self):
        """The mask as runs (starts, ends), see rle.py; ValueError for a wrong text."""
        return rle_runs(self.rle, self.height, self.width)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row of train.csv lies, its line and that line's offset in bytes, and all but image and mask."""

    line: int
    offset: int
    height: int
    width: int
    category: int
    attributes: tuple[int, ...]


@dataclass
class Index:
    """Names of categories and attributes by id; places by image, in the file's order; rows that are wrong."""

    categories: list[str]
    attributes: list[str]
    places: dict[str, list[Place]] = field(default_factory=dict)
    rejected: list[Rejection] = field(default_factory=list)
    total_rows: int = 0


def read_labels(path) -> tuple[list[str], list[str]]:
    """The 46 category names and 92 attribute names of a label_descriptions.json, each at its id."""
    content, names = read_json(path), []
    for key, count in (("categories", NUM_CATEGORIES), ("attributes", NUM_ATTRIBUTES)):
        entries = content.get(key)
        entries = [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []
        if [entry.get("id") for entry in entries if "name" in entry] != list(range(count)):
            raise ValueError(
                f"{path} must list {count} {key} with ids 0 to {count - 1}, it lists {len(entries)}: "
                "take the complete file of iMaterialist (Fashion) 2019"
            )
        if wrong := [entry["name"] for entry in entries if not isinstance(entry["name"], str)]:
            raise ValueError(f"{path}: names of {key} must be texts, got {wrong[0]!r}")
        names.append([entry["name"] for entry in entries])
    return names[0], names[1]


WORDS_FILE = Path(__file__).with_name("words.yaml")
NUMBERS = "two three four five six seven eight nine ten".split()
PRINTED = 49


@cache
def read_words() -> dict:
    """The content of words.yaml: categories and attributes; ValueError names an entry that is wrong."""
    content = read_yaml(WORDS_FILE)
    try:
        _check_words(content)
    except ValueError as error:
        raise ValueError(f"{WORDS_FILE}: {error}") from error
    return content


def _check_words(content) -> None:
    for key in ("categories", "attributes"):
        if not isinstance(content, dict) or not isinstance(content.get(key), dict):
            raise ValueError(f"{key} are missing, or no lists by name")
        unsaid = content[key].get("unsaid")
        if not isinstance(unsaid, list) or not all(type(number) is int for number in unsaid):
            raise ValueError(f"{key}: unsaid must list ids, got {unsaid!r}")
        for name, words in content[key].items():
            if name != "unsaid":
                _check_entries(words, f"{key}, {name}", forms=2 if name == "counted" else 1)
    nouns = content["categories"]
    if lacking := [name for name in ("counted", "pairs", "halves") if name not in nouns]:
        raise ValueError(f"categories: {lacking[0]} is missing")
    said = {*nouns["unsaid"], *nouns["counted"], *nouns["pairs"], *nouns["halves"]}
    if lacking := sorted(set(range(NUM_CATEGORIES)) - said):
        raise ValueError(f"categories: there is no word for category {lacking[0]}")


def _check_entries(words, where: str, forms: int) -> None:
    """Raise ValueError unless words are a text by each id, or a list of several forms."""
    if not isinstance(words, dict):
        raise ValueError(f"{where} must give ids their words, got {words!r}")
    for number, entry in words.items():
        texts = entry if forms > 1 and isinstance(entry, list) else [entry]
        if type(number) is not int or len(texts) != forms or not all(_is_word(text) for text in texts):
            raise ValueError(f"{where}, {number}: wanted {'a word' if forms == 1 else 'two'}, got {entry!r}")


def _is_word(text) -> bool:
    return isinstance(text, str) and bool(text.strip())


def garment_words(rows: list[Row]) -> str:
    """The garments of a picture (no parts, closures, decorations) with their attributes, by category.

    Different garments of one category are phrases of their own, equal ones are counted; "" without garments.
    """
    unsaid = read_words()["categories"]["unsaid"]
    garments = sorted((row for row in rows if row.category not in unsaid), key=lambda row: row.category)
    counts = Counter((row.category, attribute_words(row.attributes)) for row in garments)
    return ", ".join(_phrase(category, words, count) for (category, words), count in counts.items())


def attribute_words(attributes) -> str:
    """What is said of attribute ids, in the order of words.yaml: "loose maxi floral"."""
    lists = [words for name, words in read_words()["attributes"].items() if name != "unsaid"]
    said = [(a, words[a]) for words in lists for a in sorted(set(attributes)) if a in words]
    if any(words.endswith("print") for _, words in said):
        # "printed leopard print" would stammer
        said = [(a, words) for a, words in said if a != PRINTED]
    return " ".join(words for _, words in said)


def _phrase(category: int, words: str, count: int) -> str:
    """So many equal garments, for example "two striped shirts"."""
    nouns = read_words()["categories"]
    number = NUMBERS[count - 2] if 2 <= count < len(NUMBERS) + 2 else "many"
    if category in nouns["halves"]:
        return f"{words} {nouns['halves'][category]}".lstrip()
    if category in nouns["pairs"]:
        phrase = f"{words} {nouns['pairs'][category]}".lstrip()
        return phrase if count == 1 else f"{number} pairs of {phrase}"
    one, many = nouns["counted"][category]
    phrase = f"{words} {one if count == 1 else many}".lstrip()
    article = "an" if phrase[0] in "aeiou" else "a"
    return f"{article if count == 1 else number} {phrase}"
