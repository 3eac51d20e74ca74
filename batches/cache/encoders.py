"""A checkpoint's encoders without its U-Net, and the hashes that a cache is kept by."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from omegaconf import OmegaConf
from torch import nn

from cldm.model import create_part, is_tryon, read_config, read_part
from cldm.tryon.conditions import Condition, ImageTokens
from cldm.tryon.model import build_condition
from cldm.weights.families import Weights, base_of, own_config
from cldm.weights.graft import (
    CONTROL,
    STEM,
    check_complete,
    recognise,
    refuse_other_files,
    source_of,
)
from ldm.checkpoint import CheckpointError, read_metadata, read_state_dict
from ldm.published_names import fill_unused, restore_names

STAGES = "first_stage", "cond_stage"


@dataclass(frozen=True)
class Encoders:
    """All that encodes a model's pictures and prompts, once for all steps.

    modules: by name, on the CPU. weights: hash of autoencoder and text encoder; hashes: by the name of a
    module. conditions, flow_weight: of a try-on recipe, the conditions' own networks on meta.
    """

    modules: nn.ModuleDict
    weights: str
    hashes: dict[str, str]
    conditions: dict[str, Condition] = field(default_factory=dict)
    flow_weight: float = 0.0


def load_all_encoders(checkpoint, config=None) -> Encoders:
    """As `load_encoders`, and a try-on recipe's image encoders with it."""
    state = read_state_dict(checkpoint)
    config = config or _config_of(state, checkpoint)
    modules, weights = load_encoders(checkpoint, config)
    hashes = dict.fromkeys(modules, weights)
    params = read_config(config).params
    described = params.get("conditions") or {}
    with torch.device("meta"):
        conditions = {name: build_condition(name, entry) for name, entry in described.items()}
    for name, condition in conditions.items():
        if isinstance(condition, ImageTokens):
            encoder = condition.encoder
            found = {key: state.get(f"{name}_encoder.{key}") for key in encoder.state_dict()}
            check_complete(found, encoder.state_dict(), checkpoint, config)
            encoder.load_state_dict(found, assign=True)
            modules[f"{name}_encoder"] = encoder.eval().requires_grad_(False)
            entry = OmegaConf.to_container(described[name].params.encoder, resolve=True)
            hashes[f"{name}_encoder"] = _hash(encoder.state_dict(), entry)
    return Encoders(modules, weights, hashes, conditions, params.get("flow_weight", 0.0))


def is_recipe(checkpoint, config=None) -> bool:
    """Whether a checkpoint's model, of `config` or of the yaml that it names, puts garments on."""
    config = config or _config_of(read_state_dict(checkpoint), checkpoint)
    return is_tryon(config)


def load_encoders(checkpoint, config=None) -> tuple[nn.ModuleDict, str]:
    """(what `read_encoders` returns first, its hash).

    The hash is of the names, shapes and values (as float32) of the tensors and of the yaml's two configs, so
    it is the same for a base, for what was grafted on it, and for a model trained on that.
    """
    encoders, configs = read_encoders(checkpoint, config)
    configs = {name: OmegaConf.to_container(node, resolve=True) for name, node in configs.items()}
    return encoders, _hash(encoders.state_dict(), configs)


def read_encoders(checkpoint, config=None) -> tuple[nn.ModuleDict, dict]:
    """(modules `first_stage_model` and `cond_stage_model` on the CPU, their configs) of any whole checkpoint.

    The tensors are the file's, in its dtypes and memory-mapped; no others are read.

    Args:
        checkpoint: a base, a grafted checkpoint or a whole trained model.
        config: its yaml; None takes the one that the checkpoint names, else its family's.
    """
    state = read_state_dict(checkpoint)
    config = config or _config_of(state, checkpoint)
    configs = {f"{stage}_model": read_part(config, f"{stage}_config") for stage in STAGES}
    with torch.device("meta"):
        parts = {f"{stage}_model": create_part(config, f"{stage}_config") for stage in STAGES}
    encoders = nn.ModuleDict(parts)
    wanted = encoders.state_dict()
    state = fill_unused(restore_names(state), encoders)
    sources = {name: source_of(name, tensor, state) for name, tensor in wanted.items()}
    check_complete(sources, wanted, checkpoint, config)
    found = {name: tensor for name, tensor in sources.items() if tensor is not None}
    encoders.load_state_dict(found, strict=False, assign=True)
    return encoders.eval().requires_grad_(False), configs


def _config_of(state, checkpoint) -> Path:
    weights = Weights(state, read_metadata(checkpoint), checkpoint)
    if found := own_config(weights):
        return found
    if not any(name.startswith(CONTROL) for name in state):
        refuse_other_files(state, checkpoint)
    elif STEM not in state:
        base = base_of(weights) or "the base that it was trained on"
        raise CheckpointError(f"{checkpoint} is a control branch alone: give {base}")
    return recognise(state, checkpoint)[1]


def _hash(state, configs) -> str:
    digest = hashlib.sha256(json.dumps(configs, sort_keys=True).encode())
    for name, tensor in sorted(state.items()):
        tensor = tensor.float() if tensor.is_floating_point() else tensor
        digest.update(f"{name} {list(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
