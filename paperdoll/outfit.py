"""What a doll wears: real iMaterialist categories and attributes, one colour each, and its caption."""

from dataclasses import dataclass

from paperdoll.canvas import COLOURS

PLAIN, STRIPE, DOT = 61, 72, 67
PATTERN_WORDS = {PLAIN: "", STRIPE: "striped", DOT: "dotted"}
NO_OPENING, SYMMETRICAL = 18, 20


@dataclass(frozen=True)
class Garment:
    """One garment: its class, its look, and how the caption calls it.

    `length` is a word of the tables below, `silhouette` an attribute id, `sleeve` none, short or long.
    """

    category: int
    attributes: tuple[int, ...]
    region: str | None
    colour: str
    pattern: int
    noun: str
    kind: str
    length: str = ""
    silhouette: int = 0
    sleeve: str = "none"

    def phrase(self) -> str:
        """The words of the caption, with the article."""
        words = " ".join(filter(None, [PATTERN_WORDS[self.pattern], self.colour, self.noun]))
        if self.kind in ("pants", "shorts", "sunglasses", "shoes"):
            return words
        return ("an " if words[0] in "aeiou" else "a ") + words


# kind: (category, opening attribute, sleeves it comes with)
TOPS = {
    "top": (1, NO_OPENING, ("none", "short", "short", "long")),
    "shirt": (0, 10, ("short", "long")),
    "sweater": (2, NO_OPENING, ("long",)),
    "jacket": (4, 14, ("long",)),
    "vest": (5, 10, ("none",)),
}
TOP_LENGTHS = {"crop": 0, "hip": 1, "tunic": 3}
LENGTHS = {"mini": 3, "knee": 5, "maxi": 8, "short": 2, "cropped": 6, "full": 9}
SLEEVE_WORDS = {"none": "sleeveless", "short": "short sleeve", "long": "long sleeve"}
STRAIGHT, A_LINE, FLARE, FIT_AND_FLARE, WIDE_LEG, TIGHT, REGULAR = 33, 34, 23, 24, 37, 40, 41


def _pick(rng, options, weights=None):
    total = sum(weights) if weights else 0
    return options[int(rng.choice(len(options), p=[w / total for w in weights] if weights else None))]


def _top(rng, colour, pattern, longest: bool):
    kind = _pick(rng, list(TOPS), [50, 18, 14, 10, 8])
    category, opening, sleeves = TOPS[kind]
    sleeve, length = _pick(rng, sleeves), _pick(rng, list(TOP_LENGTHS), [30, 45, 25 * longest])
    silhouette = _pick(rng, [TIGHT, REGULAR, A_LINE])
    noun = f"{SLEEVE_WORDS[sleeve]} {kind}" if kind in ("top", "shirt") else kind
    attributes = (TOP_LENGTHS[length], opening, SYMMETRICAL, silhouette, pattern)
    return Garment(
        category, tuple(sorted(attributes)), "top", colour, pattern, noun, kind, length, silhouette, sleeve
    )


def _bottom(rng, colour, pattern):
    kind = _pick(rng, ["pants", "shorts", "skirt"], [35, 20, 45])
    if kind == "skirt":
        length = _pick(rng, ["mini", "knee", "maxi"])
        silhouette = _pick(rng, [STRAIGHT, A_LINE, FLARE])
        category, noun = 8, f"{length} skirt"
    elif kind == "shorts":
        category, noun, length, silhouette = 7, "shorts", "short", _pick(rng, [STRAIGHT, WIDE_LEG])
    else:
        length, silhouette = (
            _pick(rng, ["cropped", "full"], [30, 70]),
            _pick(rng, [TIGHT, STRAIGHT, WIDE_LEG]),
        )
        category, noun = 6, "wide pants" if silhouette == WIDE_LEG else "pants"
    attributes = (LENGTHS[length], SYMMETRICAL, silhouette, pattern, 88)
    return Garment(
        category, tuple(sorted(attributes)), "bottom", colour, pattern, noun, kind, length, silhouette
    )


def _whole(rng, colour, pattern):
    kind = _pick(rng, ["dress", "coat", "jumpsuit"], [55, 25, 20])
    sleeve = "long" if kind == "coat" else _pick(rng, ["none", "short", "long"])
    if kind == "jumpsuit":
        category, length, noun = 11, _pick(rng, ["short", "full"], [30, 70]), "jumpsuit"
        silhouette = _pick(rng, [STRAIGHT, WIDE_LEG])
    elif kind == "coat":
        category, length, noun = 9, _pick(rng, ["mini", "knee", "maxi"], [25, 50, 25]), "coat"
        silhouette = _pick(rng, [STRAIGHT, A_LINE])
    else:
        category, length = 10, _pick(rng, ["mini", "knee", "maxi"])
        silhouette, noun = _pick(rng, [STRAIGHT, A_LINE, FIT_AND_FLARE]), f"{length} dress"
    opening = 11 if kind == "coat" else NO_OPENING
    attributes = (LENGTHS[length], opening, SYMMETRICAL, silhouette, pattern)
    return Garment(
        category, tuple(sorted(attributes)), "whole", colour, pattern, noun, kind, length, silhouette, sleeve
    )


def _head(rng, colour):
    kind = _pick(rng, ["beanie", "hat", "headband", "sunglasses"], [28, 32, 15, 25])
    category = {"beanie": 14, "hat": 14, "headband": 15, "sunglasses": 13}[kind]
    return Garment(category, (), "head", colour, PLAIN, kind, kind)


def dress(rng) -> list[Garment]:
    """An outfit in the caption's order: whole or top and bottom, head, shoes, bag; no colour twice."""
    colours = [list(COLOURS)[i] for i in rng.permutation(len(COLOURS))]
    pattern = _pick(rng, [PLAIN, STRIPE, DOT], [72, 16, 12])
    if rng.random() < 0.4:
        outfit = [_whole(rng, colours.pop(), pattern)]
    else:
        patterns = (pattern, PLAIN) if rng.random() < 0.5 else (PLAIN, pattern)
        bottom = _bottom(rng, colours.pop(), patterns[1])
        # a tunic would hide the whole of a short garment below it
        outfit = [_top(rng, colours.pop(), patterns[0], bottom.length in ("full", "maxi", "knee")), bottom]
    if rng.random() < 0.65:
        outfit.append(_head(rng, colours.pop()))
    if rng.random() < 0.5:
        outfit.append(Garment(23, (), None, colours.pop(), PLAIN, "shoes", "shoes"))
    if rng.random() < 0.15:
        outfit.append(Garment(24, (), None, colours.pop(), PLAIN, "bag", "bag"))
    return outfit


def caption(outfit: list[Garment]) -> str:
    """One lower-case sentence that names every garment with its colour."""
    phrases = [garment.phrase() for garment in outfit]
    if len(phrases) == 1:
        return f"a person in {phrases[0]}"
    return f"a person in {', '.join(phrases[:-1])} and {phrases[-1]}"
