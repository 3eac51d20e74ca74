"""What a doll wears: real iMaterialist categories and attributes, free colours, patterns, and its caption."""

from dataclasses import dataclass, replace

from paperdoll.attributes import (
    A_LINE,
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
from paperdoll.colours import COLOURS, mix_colour, mix_second_colour
from paperdoll.fabric import LOGOS, PATTERNS, Fabric

PATTERN_ATTRIBUTES = dict(plain=61, stripes=72, bars=72, checks=66, dots=67, halves=70, sides=70)
WAIST = 88
# kind: (category, opening attribute, sleeves, necks)
TOPS = {
    "top": (1, NO_OPENING, ("none", "short", "short", "long"), ("round", "v", "square")),
    "shirt": (0, 10, ("short", "long"), ("collar",)),
    "sweater": (2, NO_OPENING, ("long",), ("high", "round")),
    "jacket": (4, 14, ("long",), ("lapel",)),
    "vest": (5, 10, ("none",), ("v",)),
}
HEADWEAR = {"beanie": 14, "hat": 14, "cap": 14, "headband": 15, "sunglasses": 13}
NECKS = ("round", "v", "square")


@dataclass(frozen=True)
class Garment:
    """One garment: its class, its look, and how the caption calls it.

    `region` is top, bottom, whole, head or None; `length` a word of TOP_LENGTHS or LENGTHS, `silhouette`
    an attribute id, `sleeve` none, short or long.
    """

    kind: str
    category: int
    region: str | None
    colour: str
    fabric: Fabric
    noun: str
    length: str = ""
    silhouette: int = 0
    sleeve: str = "none"
    neck: str = "round"
    opening: int = 0

    @property
    def attributes(self) -> tuple[int, ...]:
        """iMaterialist's attribute ids."""
        if self.region not in ("top", "bottom", "whole"):
            return ()
        length = (TOP_LENGTHS if self.region == "top" else LENGTHS)[self.length]
        ids = [length, SYMMETRICAL, self.silhouette, PATTERN_ATTRIBUTES[self.fabric.pattern]]
        return tuple(sorted(ids + [self.opening or WAIST]))

    def phrase(self) -> str:
        """The words of the caption, with the article; patterns and second colours are not told."""
        return add_article(f"{self.colour} {self.noun}", self.kind)


def weave(rng, colour: str, patterned: float, logos: float = 0.0, half_y: float = 1.76) -> Fabric:
    """A fabric whose main colour has this name; a share is patterned, a share of the others has a logo."""
    first = mix_colour(rng, colour)
    pattern = pick(rng, PATTERNS[1:]) if rng.random() < patterned else "plain"
    logo = pick(rng, LOGOS[1:]) if pattern == "plain" and rng.random() < logos else "none"
    second, phase = mix_second_colour(rng, first), rng.uniform()
    return Fabric(first, second, pattern, logo, second, phase, half_y=half_y)


def imagine_top(rng, colour: str, longest: bool, patterned: float = 0.4, kinds=tuple(TOPS)) -> Garment:
    """A top, shirt, sweater, jacket or vest; `longest` allows tunics."""
    shares = dict(zip(TOPS, (46, 18, 16, 11, 9), strict=True))
    kind = pick(rng, kinds, [shares[k] for k in kinds])
    category, opening, sleeves, necks = TOPS[kind]
    sleeve, length = pick(rng, sleeves), pick(rng, list(TOP_LENGTHS), [20, 55, 25 * longest])
    noun = f"{SLEEVE_WORDS[sleeve]} {kind}" if kind in ("top", "shirt") else kind
    fabric = weave(rng, colour, patterned, logos=0.35 if kind in ("top", "sweater") else 0.0)
    silhouette, neck = pick(rng, [TIGHT, REGULAR, A_LINE]), pick(rng, necks)
    return Garment(kind, category, "top", colour, fabric, noun, length, silhouette, sleeve, neck, opening)


def imagine_bottom(rng, colour: str, patterned: float = 0.25) -> Garment:
    """Pants, shorts or a skirt."""
    kind = pick(rng, ["pants", "shorts", "skirt"], [38, 20, 42])
    fabric = weave(rng, colour, patterned, half_y=2.75)
    if kind == "skirt":
        length, silhouette = pick(rng, ["mini", "knee", "maxi"]), pick(rng, [STRAIGHT, A_LINE, FLARE])
        return Garment(kind, 8, "bottom", colour, fabric, f"{length} skirt", length, silhouette)
    if kind == "shorts":
        return Garment(kind, 7, "bottom", colour, fabric, kind, "short", pick(rng, [STRAIGHT, WIDE_LEG]))
    length, silhouette = pick(rng, ["cropped", "full"], [30, 70]), pick(rng, [TIGHT, STRAIGHT, WIDE_LEG])
    noun = "wide pants" if silhouette == WIDE_LEG else "pants"
    return Garment(kind, 6, "bottom", colour, fabric, noun, length, silhouette)


def imagine_whole(rng, colour: str, patterned: float = 0.4) -> Garment:
    """A dress, a coat or a jumpsuit."""
    kind = pick(rng, ["dress", "coat", "jumpsuit"], [55, 25, 20])
    fabric = weave(rng, colour, patterned, logos=0.1 if kind == "dress" else 0.0, half_y=2.3)
    if kind == "coat":
        length, silhouette = pick(rng, ["mini", "knee", "maxi"], [25, 55, 20]), pick(rng, [STRAIGHT, A_LINE])
        return Garment(kind, 9, "whole", colour, fabric, kind, length, silhouette, "long", "lapel", 11)
    sleeve, neck = pick(rng, ["none", "short", "long"]), pick(rng, NECKS)
    if kind == "jumpsuit":
        length, silhouette = pick(rng, ["short", "full"], [30, 70]), pick(rng, [STRAIGHT, WIDE_LEG])
        return Garment(kind, 11, "whole", colour, fabric, kind, length, silhouette, sleeve, neck, NO_OPENING)
    length, silhouette = pick(rng, ["mini", "knee", "maxi"]), pick(rng, [STRAIGHT, A_LINE, FLARE])
    noun = f"{length} dress"
    return Garment(kind, 10, "whole", colour, fabric, noun, length, silhouette, sleeve, neck, NO_OPENING)


def imagine_headwear(rng, colour: str) -> Garment:
    """A beanie, a wide-brimmed hat, a cap, a headband with a bow, or sunglasses; always plain."""
    kind = pick(rng, list(HEADWEAR), [24, 28, 18, 10, 20])
    fabric = Fabric(mix_colour(rng, colour), (250, 249, 246))
    return Garment(kind, HEADWEAR[kind], "head", colour, fabric, kind)


def dress_up(rng, headwear: float = 0.5, whole: float = 0.38) -> list[Garment]:
    """An outfit in the caption's order: whole or top and bottom, headwear, shoes, bag; no colour twice."""
    colours = [list(COLOURS)[i] for i in rng.permutation(len(COLOURS))]
    if rng.random() < whole:
        outfit = [imagine_whole(rng, colours.pop())]
    else:
        bottom = imagine_bottom(rng, colours.pop())
        # a tunic would hide the whole of a short garment below it
        outfit = [imagine_top(rng, colours.pop(), bottom.length in ("full", "maxi", "knee")), bottom]
    if rng.random() < headwear:
        outfit.append(imagine_headwear(rng, colours.pop()))
    for kind, category, share in (("shoes", 23, 1.0), ("bag", 24, 0.12)):
        if rng.random() < share:
            colour = colours.pop()
            fabric = Fabric(mix_colour(rng, colour), (250, 249, 246))
            outfit.append(Garment(kind, category, None, colour, fabric, kind))
    return outfit


def recolour(garment: Garment, **changes) -> Garment:
    """The garment with other values of its fabric, such as `pattern` or `second`."""
    return replace(garment, fabric=replace(garment.fabric, **changes))


def describe_product(garment: Garment) -> str:
    """The caption of a picture that shows a garment alone."""
    return f"a product photo of {garment.phrase()}"
