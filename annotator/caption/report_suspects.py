"""Captions that look wrong, and why: what to read first."""

import re
import unicodedata
from collections import Counter

from .report_numbers import words_of

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


def suspects(texts: list[str]) -> list[str]:
    """For each text the key of REASONS that speaks against it, the first that does, or an empty string."""
    counts = Counter(word for text in texts for word in words_of(text))
    stems = {word[:length] for word, n in counts.items() if n >= 5 for length in range(3, len(word))}
    reasons = {text: _reason(text, counts, stems) for text in set(texts)}
    return [reasons[text] for text in texts]


def _reason(text: str, counts: Counter, stems: set[str]) -> str:
    words = words_of(text)
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
