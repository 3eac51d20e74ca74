"""Weights with what is known about them, and the model that they belong to."""

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import torch

from cldm.model import create_with_branch, read_config
from cldm.weights.graft import CONTROL, STEM, UNET, check_complete, recognise
from jobs.shipped import MODELS
from ldm.checkpoint import CheckpointError, check_finite
from ldm.published_names import fill_unused

MAX_TEXT = 1000  # letters of a path in metadata


@dataclass
class Weights:
    """Tensors by LDM name, with all that is known about them."""

    state: dict[str, torch.Tensor]
    metadata: dict
    source: Path | str  # where they come from, for messages
    config: Path | str | None = None  # yaml of their model
    notes: list[str] = field(default_factory=list)  # what was done to them, for the user

    @property
    def is_whole(self) -> bool:
        return STEM in self.state

    @property
    def has_control(self) -> bool:
        return any(name.startswith(CONTROL) for name in self.state)

    def recorded(self, key, kind=str):
        """What the metadata say, on their own or in the options of the training that wrote them; or None.

        CheckpointError if that is nothing of `kind`, str or bool, or a text too long for a path.
        """
        options = self.metadata.get("options")
        value = self.metadata.get(key) or (options.get(key) if isinstance(options, dict) else None)
        value = {"true": True, "false": False}.get(str(value).lower(), value) if kind is bool else value
        if value is not None and not isinstance(value, kind):
            wanted = "neither true nor false" if kind is bool else "no text"
            raise CheckpointError(f"{self.source}: {key} of its metadata is {wanted}: {value!r:.60}")
        if kind is str and len(value or "") > MAX_TEXT:
            raise CheckpointError(
                f"{self.source}: {key} of its metadata is a text of {len(value):,} letters, {MAX_TEXT:,} at "
                f"most are read: {value!r:.60}"
            )
        return value


def named_config(weights) -> str | None:
    """The yaml that the metadata name, wherever it may be."""
    return weights.recorded("config") or weights.recorded("model")


def own_config(weights) -> Path | None:
    """The yaml of a model in `models/` that the metadata name; None where they name none, or another file.

    Files of others say what they like, also the path on the machine that they come from: the last part of it
    counts, and of other yamls nothing is read.
    """
    *folders, name = re.split(r"[/\\]", named_config(weights) or "")
    own = {path.name: path for path in MODELS.glob("*.yaml") if not path.is_symlink()}
    found = own.get(name) if folders[-1:] in ([], ["models"]) else None
    return found if found and describes_model(found) else None


def describes_model(path) -> bool:
    """Whether a yaml is one of a model, and not of a training."""
    try:
        read_config(path)
    except ValueError:
        return False
    return True


def base_of(weights) -> Path | None:
    """The base that the metadata name: there, or of that name in `models/`; None if they name none."""
    named = weights.recorded("base")
    if named is None:
        return None
    name = re.split(r"[/\\]", named)[-1]
    # Windows would ask another machine for a path that begins with two of these, with the user's password
    paths = [] if re.match(r"[/\\]{2}", named) else [named, named.replace("\\", "/")]
    return next((path for path in map(Path, (*paths, MODELS / name)) if os.path.exists(path)), Path(name))


def config_of(weights, prediction=None):
    """The yaml of a model that the metadata name, else that of the family that the shapes belong to.

    Args:
        prediction: diffusers' prediction_type, which alone tells SD2.1's 768 model from its 512 one.
    """
    if found := own_config(weights):
        return found
    named = named_config(weights)
    unet = {n.replace(CONTROL, UNET, 1): t for n, t in weights.state.items() if n.startswith(CONTROL)}
    unet |= {n: t for n, t in weights.state.items() if n.startswith(UNET)}
    if STEM not in unet:
        raise CheckpointError(f"{weights.source} holds neither a U-Net nor a control branch")
    try:
        family, config = recognise(unet, weights.source)
    except CheckpointError as error:
        raise CheckpointError(f"{error}" + f" (its metadata name {named})" * bool(named)) from error
    if named:
        weights.notes.append(
            f"its yaml {named} is no model's of models/: taken for {family} ({config.name}) by its shapes; "
            "if it is another, give --config YAML"
        )
    if config.name == "cldm_v21.yaml" and prediction == "v_prediction":
        config = config.with_name("cldm_v21_768.yaml")
        weights.metadata["config"] = f"models/{config.name}"
        weights.notes.append(f"predicts v: {config.name} is its yaml")
    return config


def check_model(weights):
    """The model, on meta, that weights belong to; notes tensors that it has no place for.

    A whole model may lack the control branch, and a control branch everything else.

    Raises:
        CheckpointError: tensors are missing or of another shape, or U-Net or control branch has others.
    """
    weights.config = weights.config or config_of(weights)
    model = create_with_branch(weights.config)
    weights.state = fill_unused(weights.state, model)
    wanted, state, source = model.state_dict(), weights.state, weights.source
    unknown = [name for name in state if name not in wanted]
    if foreign := [name for name in unknown if name.startswith((UNET, CONTROL))]:
        raise CheckpointError(
            f"{source} is another model than that of {weights.config}, which has no place for "
            f"{len(foreign)} of its tensors; the first is {foreign[0]}"
        )
    if not weights.is_whole:
        wanted = {name: t for name, t in wanted.items() if name.startswith(CONTROL) or name in state}
    known = {name: state.get(name) for name in wanted}
    check_complete(known, wanted, source, weights.config)
    check_finite(known, source)
    missing = [name for name in wanted if name.startswith(CONTROL) and name not in state]
    if missing and weights.has_control:
        raise CheckpointError(
            f"{source} lacks {len(missing)} tensors of the control branch; the first is {missing[0]}"
        )
    if unknown:
        parts = ", ".join(f"{count} of {part}" for part, count in Counter(map(part_of, unknown)).items())
        weights.notes.append(
            f"kept, although {weights.config} has no place for them: {parts}; the first is {unknown[0]}"
        )
    return model


def part_of(name):
    return name.split(".")[0] if "." in name else "the noise schedule"
