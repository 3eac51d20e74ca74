"""From a yaml and a checkpoint file to a model."""

import torch
from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

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
    return instantiate_from_config(read_config(config_path))


def read_config(config_path):
    """The `model` node of a yaml."""
    try:
        config = OmegaConf.load(config_path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{config_path} does not exist: the yaml of a model is wanted") from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{config_path} is no yaml: {' '.join(str(error).split())}") from error
    if not isinstance(config, DictConfig) or not isinstance(config.get("model"), DictConfig):
        raise ValueError(f"{config_path} describes no model: it has no key `model` with target and params")
    return config.model


def load_model(config_path, checkpoint_path, without=()):
    """The model of a yaml with a checkpoint's weights in it, in their own dtypes, each held in memory once.

    `without`: names among cldm.parts_present.STAGES, of parts that are left on the disk.

    Raises:
        ValueError: tensors are missing, unknown or of another shape; names the first of them.
    """
    with torch.device("meta"):
        model = create_model(config_path)
    model.leave_out_stages(without)
    state, ours = read_state_dict(checkpoint_path), model.state_dict()
    # a schedule that somebody rounded to 16 bits along with the weights: the yaml's own is exact
    rounded = {k for k, v in ours.items() if k in state and not v.is_meta and state[k].dtype != v.dtype}
    state = {k: v for k, v in state.items() if k not in rounded}
    state = {k: v for k, v in state.items() if k.split(".")[0] not in without}
    misshapen = [k for k, v in ours.items() if k in state and state[k].shape != v.shape]
    missing = unknown = []
    if not misshapen:
        missing, unknown = model.load_state_dict(state, strict=False, assign=True)
        missing = [k for k in missing if ours[k].is_meta]
    problems = {"has another shape for": misshapen, "has no tensor for": missing, "has, beyond it,": unknown}
    for problem, names in problems.items():
        if names:
            listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            raise ValueError(
                f"{checkpoint_path} {problem} {listed}: {_remedy(state, checkpoint_path, config_path)}"
            )
    model.lock()
    return model.to("cpu").eval()  # no tensor moves, but Lightning still takes meta for the model's device


def _remedy(state, path, config_path) -> str:
    """What to do with weights that are not a yaml's model."""
    parts = {name.split(".")[0] for name in state}
    if "model" in parts and "control_model" not in parts:
        return f"graft it first, python tool_add_control.py {path} OUTPUT"
    if parts == {"control_model"}:
        return f"join it to its base, python tool_convert.py {path} OUTPUT --full"
    return f"is {config_path} the yaml that it belongs to?"
