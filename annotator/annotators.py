"""The annotators by name, and the options of each; imports nothing heavy, as `--help` prints them.

A new annotator is a module with a function `load_as_annotator(weights, options, device)`, which gives an
Annotator (annotator/interface.py), and an entry here.
"""

import importlib
from dataclasses import Field, dataclass, fields, replace

from jobs.options import option


@dataclass(frozen=True)
class NoOptions:
    """Of an annotator that has none."""


@dataclass(frozen=True)
class CannyOptions:
    low_threshold: float = option(
        100.0, "The gradient that an edge needs where it goes on from a stronger one."
    )
    high_threshold: float = option(200.0, "The gradient that an edge needs by itself.")


@dataclass(frozen=True)
class PoseOptions:
    hands: bool = option(False, "Look for hands, too. This needs hand_pose_model.pth.")


@dataclass(frozen=True)
class AgnosticOptions:
    mask_style: str = option("body_part", "The rule of what may be repainted; docs/tryon.md lists them.")
    category: str = option("upper", "What is tried on, upper, lower or dress.")
    pose_weights: str = option("models/annotators", "The pose network's weights, as --weights of pose.")


@dataclass(frozen=True)
class AnnotatorEntry:
    """Where an annotator is found.

    Args:
        module: has its `load_as_annotator`.
        options: the dataclass of its options.
        weights: what they are, for --help; "" for an annotator without a network.
    """

    module: str
    options: type
    weights: str = ""


ANNOTATORS = {
    "agnostic": AnnotatorEntry(
        module="annotator.agnostic.photos",
        options=AgnosticOptions,
        weights="as of garments, models/annotators with mediapipe's wheel by itself",
    ),
    "canny": AnnotatorEntry(module="annotator.canny", options=CannyOptions),
    "garments": AnnotatorEntry(
        module="annotator.segment",
        options=NoOptions,
        weights="a .safetensors or .pth file, a SegFormer's folder, or mediapipe's wheel",
    ),
    "pose": AnnotatorEntry(
        module="annotator.openpose",
        options=PoseOptions,
        weights="the folder of body_pose_model.pth or mediapipe's wheel, models/annotators by itself",
    ),
}


def list_options() -> dict[str, dict[str, Field]]:
    """The options of all annotators by name: the field of each annotator that has one of that name."""
    found: dict[str, dict[str, Field]] = {}
    for name, entry in ANNOTATORS.items():
        for field in fields(entry.options):
            found.setdefault(field.name, {})[name] = field
    return found


def load_annotator(name: str, weights=None, device="cpu", **options):
    """The Annotator of a name of ANNOTATORS; of its options those that are None have their defaults.

    Raises:
        FileNotFoundError, ValueError: weights are missing or something else, or an option is another
            annotator's.
    """
    if name not in ANNOTATORS:
        raise ValueError(f"--annotator must be one of {', '.join(ANNOTATORS)}, got {name!r}")
    entry, given = ANNOTATORS[name], {key: value for key, value in options.items() if value is not None}
    for key in given:
        if name not in (owners := list_options().get(key, {})):
            whose = f"an option of --annotator {' and '.join(owners)}" if owners else "no option"
            raise ValueError(f"--{key.replace('_', '-')} is {whose}: {name} has none of that name")
    if weights is not None and not entry.weights:
        raise ValueError(f"--weights are for annotators that are networks: {name} has none")
    module = importlib.import_module(entry.module)
    annotator = module.load_as_annotator(weights, entry.options(**given), device)
    return replace(annotator, settings=dict(annotator=name) | annotator.settings)
