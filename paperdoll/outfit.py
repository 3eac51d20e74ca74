"""What a doll wears: real iMaterialist categories and attributes, one colour each, and its caption."""

from dataclasses import dataclass

from paperdoll.attributes import (
    A_LINE,
    FIT_AND_FLARE,
    FLARE,
    LENGTHS,
    NO_OPENING,
    REGULAR,
    SLEEVE_WORDS,
    STRAIGHT,
    SYMMETRICAL,
    TIGHT,
    TOP_LENGTHS,
    WIDE_LEG,
    add_article,
    pick,
)
from paperdoll.canvas import COLOURS

PLAIN, STRIPE, DOT = 61, 72, 67
PATTERN_WORDS = {PLAIN: "", STRIPE: "striped", DOT: "dotted"}


@dataclass(frozen=True)
class Garment:
    """One garment: its class, its look, and how the caption calls it.

    `length` is a word of TOP_LENGTHS or LENGTHS, `silhouette` an attribute id, `sleeve` none, short or long.
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
        return add_article(words, self.kind)


# kind: (category, opening attribute, sleeves it comes with)
TOPS = {
    "top": (1, NO_OPENING, ("none", "short", "short", "long")),
    "shirt": (0, 10, ("short", "long")),
    "sweater": (2, NO_OPENING, ("long",)),
    "jacket": (4, 14, ("long",)),
    "vest": (5, 10, ("none",)),
}


def _top(rng, colour, pattern, longest: bool):
    kind = pick(rng, list(TOPS), [50, 18, 14, 10, 8])
    category, opening, sleeves = TOPS[kind]
    sleeve, length = pick(rng, sleeves), pick(rng, list(TOP_LENGTHS), [30, 45, 25 * longest])
    silhouette = pick(rng, [TIGHT, REGULAR, A_LINE])
    noun = f"{SLEEVE_WORDS[sleeve]} {kind}" if kind in ("top", "shirt") else kind
    attributes = (TOP_LENGTHS[length], opening, SYMMETRICAL, silhouette, pattern)
    return Garment(
        category, tuple(sorted(attributes)), "top", colour, pattern, noun, kind, length, silhouette, sleeve
    )


def _bottom(rng, colour, pattern):
    kind = pick(rng, ["pants", "shorts", "skirt"], [35, 20, 45])
    if kind == "skirt":
        length = pick(rng, ["mini", "knee", "maxi"])
        silhouette = pick(rng, [STRAIGHT, A_LINE, FLARE])
        category, noun = 8, f"{length} skirt"
    elif kind == "shorts":
        category, noun, length, silhouette = 7, "shorts", "short", pick(rng, [STRAIGHT, WIDE_LEG])
    else:
        length, silhouette = (
            pick(rng, ["cropped", "full"], [30, 70]),
            pick(rng, [TIGHT, STRAIGHT, WIDE_LEG]),
        )
        category, noun = 6, "wide pants" if silhouette == WIDE_LEG else "pants"
    attributes = (LENGTHS[length], SYMMETRICAL, silhouette, pattern, 88)
    return Garment(
        category, tuple(sorted(attributes)), "bottom", colour, pattern, noun, kind, length, silhouette
    )


def _whole(rng, colour, pattern):
    kind = pick(rng, ["dress", "coat", "jumpsuit"], [55, 25, 20])
    sleeve = "long" if kind == "coat" else pick(rng, ["none", "short", "long"])
    if kind == "jumpsuit":
        category, length, noun = 11, pick(rng, ["short", "full"], [30, 70]), "jumpsuit"
        silhouette = pick(rng, [STRAIGHT, WIDE_LEG])
    elif kind == "coat":
        category, length, noun = 9, pick(rng, ["mini", "knee", "maxi"], [25, 50, 25]), "coat"
        silhouette = pick(rng, [STRAIGHT, A_LINE])
    else:
        category, length = 10, pick(rng, ["mini", "knee", "maxi"])
        silhouette, noun = pick(rng, [STRAIGHT, A_LINE, FIT_AND_FLARE]), f"{length} dress"
    opening = 11 if kind == "coat" else NO_OPENING
    attributes = (LENGTHS[length], opening, SYMMETRICAL, silhouette, pattern)
    return Garment(
        category, tuple(sorted(attributes)), "whole", colour, pattern, noun, kind, length, silhouette, sleeve
    )


def _head(rng, colour):
    kind = pick(rng, ["beanie", "hat", "headband", "sunglasses"], [28, 32, 15, 25])
    category = {"beanie": 14, "hat": 14, "headband": 15, "sunglasses": 13}[kind]
    return Garment(category, (), "head", colour, PLAIN, kind, kind)


def dress(rng) -> list[Garment]:
    """An outfit in the caption's order: whole or top and bottom, head, shoes, bag; no colour twice."""
    colours = [list(COLOURS)[i] for i in rng.permutation(len(COLOURS))]
    pattern = pick(rng, [PLAIN, STRIPE, DOT], [72, 16, 12])
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
