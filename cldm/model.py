"""From a yaml and a checkpoint file to a model."""

import torch
from omegaconf import OmegaConf

from ldm.checkpoint import read_state_dict
from ldm.util import instantiate_from_config


def get_state_dict(d):
    """The state dict inside a checkpoint's dict, or the dict itself."""
    return d.get("state_dict", d)


def load_state_dict(path, location="cpu"):
    """The state dict (name -> tensor) of a .ckpt or .safetensors file, on `location`."""
    return {name: tensor.to(location) for name, tensor in read_state_dict(path).items()}


def create_model(config_path):
    """The model that a yaml describes, on the CPU, with fresh weights."""
    return instantiate_from_config(OmegaConf.load(config_path).model)


def load_model(config_path, checkpoint_path):
    """The model of a yaml with a checkpoint's weights in it, in their own dtypes, each held in memory once.

    Raises:
        ValueError: tensors are missing, unknown or of another shape; names the first of them.
    """
    with torch.device("meta"):
        model = create_model(config_path)
    state = read_state_dict(checkpoint_path)
    ours = model.state_dict()
    missing = [k for k, v in ours.items() if k not in state and v.is_meta]
    wrong = [k for k, v in ours.items() if k in state and state[k].shape != v.shape]
    for problem, names in (("has no tensor for", missing), ("has another shape for", wrong)):
        if names:
            listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            raise ValueError(
                f"{checkpoint_path} {problem} {listed}: is {config_path} the yaml that it belongs to?"
            )
    model.load_state_dict({k: state.get(k, v) for k, v in ours.items()}, assign=True)
    model.lock()
    return model.eval()
