"""A checkpoint's autoencoder and text encoder without its U-Net, and the hash that a cache is kept by."""

import hashlib
import json
from pathlib import Path

import torch
from omegaconf import OmegaConf
from torch import nn

from cldm.model import read_config
from cldm.weights.graft import (
    CONTROL,
    STEM,
    check_complete,
    recognise,
    refuse_other_files,
    source_of,
    with_text_level,
)
from ldm.checkpoint import CheckpointError, read_metadata, read_state_dict
from ldm.util import instantiate_from_config

STAGES = "first_stage", "cond_stage"


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
    params = read_config(config).params
    configs = {f"{stage}_model": params[f"{stage}_config"] for stage in STAGES}
    with torch.device("meta"):
        encoders = nn.ModuleDict({name: instantiate_from_config(node) for name, node in configs.items()})
    wanted = encoders.state_dict()
    state = {with_text_level(name): tensor for name, tensor in state.items()}
    sources = {name: source_of(name, tensor, state) for name, tensor in wanted.items()}
    check_complete(sources, wanted, checkpoint, config)
    found = {name: tensor for name, tensor in sources.items() if tensor is not None}
    encoders.load_state_dict(found, strict=False, assign=True)
    return encoders.eval().requires_grad_(False), configs


def _config_of(state, checkpoint) -> Path:
    metadata = read_metadata(checkpoint)
    if named := metadata.get("config"):
        return named
    if not any(name.startswith(CONTROL) for name in state):
        refuse_other_files(state, checkpoint)
    elif STEM not in state:
        base = metadata.get("base", "the base that it was trained on")
        raise CheckpointError(f"{checkpoint} is a control branch alone: give {base}")
    return recognise(state, checkpoint)[1]


def _hash(state, configs) -> str:
    digest = hashlib.sha256(json.dumps(configs, sort_keys=True).encode())
    for name, tensor in sorted(state.items()):
        tensor = tensor.float() if tensor.is_floating_point() else tensor
        digest.update(f"{name} {list(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
