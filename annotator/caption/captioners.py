"""The captioners by name, and the options of each; imports nothing heavy, as `--help` prints them.

A new captioner is a module with a subclass of Captioner (interface.py), its options here, and an entry.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path

from jobs.options import option


class Options:
    """What the options of all captioners are."""

    def check(self, folder: Path) -> None:
        """Raise ValueError for what does not fit a training folder."""


@dataclass(frozen=True)
class AttributesOptions(Options):
    source: str = option(
        "garments", "The column with the annotation's words, as tool_prepare_data.py writes it."
    )


@dataclass(frozen=True)
class InterrogatorOptions(Options):
    mode: str = option("classic", "How labels are chosen: fast, classic, best or negative.")
    words: str = option(
        "garments", "The lists of labels: garments, published (the package's own), or a yaml file."
    )
    start: str = option("", "The column whose caption the labels follow. Without one they stand alone.")
    max_flavors: int = option(32, "How many labels are added at most. In mode classic it is 3.")
    min_flavors: int = option(8, "How many rounds of mode best may lower the similarity.")
    candidates: int = option(2048, "How many labels the modes best and negative choose from.")
    resize: str = option(
        "longest", "How pictures become squares: longest pads, shortest crops as published, squash distorts."
    )

    def check(self, folder):
        from annotator.caption.clip_labels import check_regions, read_word_lists
        from pictures.regions import find_regions

        words, regions = read_word_lists(self.words), find_regions(folder)
        if regions is None:
            return
        try:
            check_regions(words, regions.names[1:], Path(folder, "regions.yaml"))
        except ValueError as error:
            raise ValueError(f"words={self.words}: {error}") from error


@dataclass(frozen=True)
class Kosmos2Options(Options):
    prompt: str = option("<grounding>An image of", "What the caption goes on from. It is not repeated.")
    max_new_tokens: int = option(64, "How many tokens a caption has at most.")
    num_beams: int = option(1, "How many beams the search has.")


@dataclass(frozen=True)
class GroundingDinoOptions(Options):
    phrases: str = option("", "The phrases to find, with ; between them. Without any, those of a column.")
    source: str = option("garments", "The column whose phrases are looked for.")
    box_threshold: float = option(0.35, "The score that a box needs, from 0 to 1.")


@dataclass(frozen=True)
class BlipOptions(Options):
    prompt: str = option("", "What the caption goes on from. It is not repeated.")
    max_new_tokens: int = option(32, "How many tokens a caption has at most.")
    num_beams: int = option(1, "How many beams the search has.")


@dataclass(frozen=True)
class VlmOptions(Options):
    prompt: str = option(
        "Name each garment in the picture with its colour, pattern, cut and length. Only the clothes, "
        "as a comma-separated list.",
        "The question. For Florence-2, one of its tasks, such as <MORE_DETAILED_CAPTION>.",
    )
    source: str = option(
        "", "The column whose caption follows the question, for Florence-2's <CAPTION_TO_PHRASE_GROUNDING>."
    )
    max_new_tokens: int = option(96, "How many tokens a caption has at most.")
    num_beams: int = option(1, "How many beams the search has.")


@dataclass(frozen=True)
class CaptionerEntry:
    """Where a captioner is found.

    Args:
        module: of this folder.
        captioner: the name of its class there.
        options: the dataclass of its options.
        needs_weights: whether it reads a model from a folder.
    """

    module: str
    captioner: str
    options: type[Options]
    needs_weights: bool = True


CAPTIONERS = {
    "attributes": CaptionerEntry(
        module="attributes",
        captioner="AttributesCaptioner",
        options=AttributesOptions,
        needs_weights=False,
    ),
    "clip_interrogator": CaptionerEntry(
        module="clip_interrogator", captioner="Interrogator", options=InterrogatorOptions
    ),
    "kosmos2": CaptionerEntry(module="kosmos2", captioner="Kosmos2Captioner", options=Kosmos2Options),
    "grounding_dino": CaptionerEntry(
        module="grounding_dino", captioner="GroundingDino", options=GroundingDinoOptions
    ),
    "blip": CaptionerEntry(module="blip", captioner="BlipCaptioner", options=BlipOptions),
    "vlm": CaptionerEntry(module="vlm", captioner="VlmCaptioner", options=VlmOptions),
}


def load_captioner(name: str, weights=None, options=None, device="cpu", dtype=None):
    """The captioner of a name of CAPTIONERS, its model read from the folder `weights`.

    `options` are of its options class, the defaults if None. ValueError for another name or no folder.
    """
    if name not in CAPTIONERS:
        raise ValueError(f"there is no captioner {name!r}; there are {', '.join(CAPTIONERS)}")
    entry = CAPTIONERS[name]
    if entry.needs_weights and weights is None:
        raise ValueError(f"{name} needs a folder of weights")
    captioner = getattr(importlib.import_module(f"annotator.caption.{entry.module}"), entry.captioner)
    return captioner.load(weights, options or entry.options(), device, dtype)
