"""Weights with what is known about them, and the model that they belong to."""

from dataclasses import dataclass, field
from pathlib import Path

import torch

from cldm.graft import CONTROL, STEM, UNET, check_complete, recognise
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


def require_all(weights, model):
    """Raise if weights lack tensors of their model, or have some in another shape.

    A whole model may lack the control branch; a control branch lacks everything else.
    """
    wanted, source = model.state_dict(), weights.source
    if not weights.is_whole:
        wanted = {name: tensor for name, tensor in wanted.items() if name.startswith(CONTROL)}
        if strange := [name for name in weights.state if not name.startswith(CONTROL)]:
            raise CheckpointError(
                f"{source} has more than a control branch, but no whole U-Net ({strange[0]} is there): "
                "add its base with --full, or leave such tensors with --control-only"
            )
    check_complete({name: weights.state.get(name) for name in wanted}, wanted, source, weights.config)
    missing = [name for name in wanted if name.startswith(CONTROL) and name not in weights.state]
    if missing and weights.has_control:
        raise CheckpointError(
            f"{source} lacks {len(missing)} tensors of the control branch; the first is {missing[0]}"
        )
