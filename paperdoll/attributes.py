"""iMaterialist's ids of what garments are made of, and the words of captions."""

import numpy as np

COLLAR, SLEEVE, POCKET, NECKLINE = 28, 31, 32, 33
NO_OPENING, SYMMETRICAL = 18, 20
STRAIGHT, A_LINE, FLARE, WIDE_LEG, TIGHT, REGULAR = 33, 34, 23, 37, 40, 41
TOP_LENGTHS = {"crop": 0, "hip": 1, "tunic": 3}
LENGTHS = {"mini": 3, "knee": 5, "maxi": 8, "short": 2, "cropped": 6, "full": 9}
SLEEVE_WORDS = {"none": "sleeveless", "short": "short sleeve", "long": "long sleeve"}
PLURAL = ("pants", "shorts", "sunglasses", "shoes")


def pick(rng, options, weights=None):
    """One of the options, by weights."""
    shares = None if weights is None else np.divide(weights, np.sum(weights))
    return options[int(rng.choice(len(options), p=shares))]


def add_article(words: str, kind: str) -> str:
    """A garment's words as a phrase of the caption."""
    return words if kind in PLURAL else ("an " if words[0] in "aeiou" else "a ") + words


def describe(garments) -> str:
    """One lower-case sentence that names the garments with their colours."""
    phrases = [garment.phrase() for garment in garments]
    if len(phrases) == 1:
        return f"a person in {phrases[0]}"
    return f"a person in {', '.join(phrases[:-1])} and {phrases[-1]}"
