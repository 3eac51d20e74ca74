"""Weights with what is known about them, and the model that they belong to."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import torch

from cldm.model import create_model
from cldm.weights.graft import CONTROL, STEM, UNET, check_complete, recognise
from ldm.checkpoint import CheckpointError


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

    def recorded(self, key):
        """What the metadata say, on their own or in the options of the training that wrote them; or None."""
        options = self.metadata.get("options")
        return self.metadata.get(key) or (options.get(key) if isinstance(options, dict) else None)


def config_of(weights, prediction=None):
    """The yaml that the metadata name, if it is here, else that of the family that the shapes belong to.

    Args:
        prediction: diffusers' prediction_type, which alone tells SD2.1's 768 model from its 512 one.
    """
    named = weights.recorded("config") or weights.recorded("model")
    if named and Path(named).is_file():
        return named
    unet = {n.replace(CONTROL, UNET, 1): t for n, t in weights.state.items() if n.startswith(CONTROL)}
    unet |= {n: t for n, t in weights.state.items() if n.startswith(UNET)}
    if STEM not in unet:
        raise CheckpointError(f"{weights.source} holds neither a U-Net nor a control branch")
    config = recognise(unet, weights.source)[1]
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
    with torch.device("meta"):
        model = create_model(weights.config)
    wanted, state, source = model.state_dict(), weights.state, weights.source
    unknown = [name for name in state if name not in wanted]
    if foreign := [name for name in unknown if name.startswith((UNET, CONTROL))]:
        raise CheckpointError(
            f"{source} is another model than that of {weights.config}, which has no place for "
            f"{len(foreign)} of its tensors; the first is {foreign[0]}"
        )
    if not weights.is_whole:
        wanted = {name: t for name, t in wanted.items() if name.startswith(CONTROL) or name in state}
    check_complete({name: state.get(name) for name in wanted}, wanted, source, weights.config)
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
