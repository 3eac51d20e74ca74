"""Garment words from categories and attributes, for prompts where no caption is at hand."""

import re

from .annotations import Annotations, Row

# "no opening", "no special manufacturing technique", "no waistline", and what goes without saying:
# symmetrical, normal waist, plain
UNSAID = {18, 60, 91, 20, 88, 61}
FIRST_PART = 27


def attribute_words(name: str) -> str:
    """An attribute's name as a prompt says it: without "(length)" and the like, its first synonym."""
    name = name.replace("(wasitline)", "(waistline)")
    name = re.sub(r" \((length|fit|pattern|opening)\)$", "", name)
    return name.replace("(", "").replace(")", "").split(",")[0]


def garment_phrase(row: Row, labels: Annotations) -> str:
    """For example "maxi a-line floral dress"."""
    words = [attribute_words(labels.attributes[a]) for a in sorted(row.attributes) if a not in UNSAID]
    return " ".join([*words, labels.categories[row.category].split(",")[0]])


def garment_words(rows: list[Row], labels: Annotations) -> str:
    """The phrases of all garments (no parts, closures, decorations), by category, each once, with commas."""
    garments = sorted((row for row in rows if row.category < FIRST_PART), key=lambda row: row.category)
    return ", ".join(dict.fromkeys(garment_phrase(row, labels) for row in garments))
