"""Captions from annotations: "a double breasted striped jacket, wide leg pants"."""

from collections import Counter
from functools import cache
from pathlib import Path

import yaml

from .annotations import Row

WORDS_FILE = Path(__file__).with_name("words.yaml")
NUMBERS = "two three four five six seven eight nine ten".split()
PRINTED = 49


@cache
def read_words() -> dict:
    """The content of words.yaml: categories and attributes."""
    return yaml.safe_load(WORDS_FILE.read_text(encoding="utf-8"))


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
