"""From a yaml and a checkpoint file to a model."""

import torch
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from jobs.yaml_files import read_yaml
from ldm.checkpoint import read_state_dict
from ldm.published_names import fill_unused, restore_names
from ldm.util import instantiate_from_config

TRYON = "cldm.tryon.model.TryonLDM"
CONTROL = "control_model."  # what the names of a branch's tensors begin with


def get_state_dict(d):
    """The state dict inside a checkpoint's dict, or the dict itself."""
    return d.get("state_dict", d)


def load_state_dict(path, location="cpu"):
    """The state dict (name -> tensor) of a .ckpt or .safetensors file, on `location`."""
    return {name: tensor.to(location) for name, tensor in read_state_dict(path).items()}


def create_model(config_path):
    """The model that a yaml describes, on the CPU, with fresh weights; ValueError names yaml and key."""
    return _build(read_config(config_path), config_path)


def create_on_meta(config_path):
    """As `create_model`, a ControlLDM whose weights have shapes but take no memory."""
    with torch.device("meta"):
        model = create_model(config_path)
    if not hasattr(model, "control_model"):
        raise ValueError(f"{config_path} describes no ControlLDM but a {type(model).__name__}")
    return model


def create_with_branch(config_path):
    """As `create_on_meta`, of a yaml that has a control branch."""
    read_part(config_path, "control_stage_config")
    return create_on_meta(config_path)


def create_part(config_path, name):
    """One part of a yaml's model, such as its `first_stage_config`."""
    return _build(read_part(config_path, name), config_path)


def _build(node, config_path):
    try:
        return instantiate_from_config(node)
    except ValueError as error:
        raise ValueError(f"{config_path}: {error}") from error


def read_part(config_path, name):
    """The node of one part of a yaml's model, with `target` and `params`."""
    part = read_config(config_path).params.get(name)
    if not OmegaConf.is_dict(part):
        raise ValueError(
            f"{config_path} describes no model with a {name}: give one such as models/cldm_v15.yaml"
        )
    return part


def is_tryon(config_path) -> bool:
    """Whether a yaml is a try-on recipe."""
    return read_config(config_path).get("target") == TRYON


def read_config(config_path):
    """The `model` node of a yaml."""
    try:
        content = read_yaml(config_path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{config_path} does not exist: the yaml of a model is wanted") from error
    node = content.get("model") if isinstance(content, dict) else None
    if not isinstance(node, dict) or not isinstance(node.get("params"), dict):
        raise ValueError(f"{config_path} describes no model: it has no key `model` with target and params")
    _refuse_references(node, config_path)
    try:
        return OmegaConf.create(node)
    except OmegaConfBaseException as error:
        raise ValueError(f"{config_path} describes no model: {str(error).splitlines()[0]}") from error


def _refuse_references(value, config_path):
    """What OmegaConf would look up elsewhere: in the yaml, where that multiplies, or in the environment."""
    if isinstance(value, str) and ("${" in value or value == "???"):
        raise ValueError(f"{config_path}: {value:.60} is no value: write down what it stands for")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _refuse_references(part, config_path)


def load_model(config_path, checkpoint_path, without=()):
    """The model of a yaml with a checkpoint's weights in it, in their own dtypes, each held in memory once.

    `without`: names among cldm.parts_present.STAGES, of parts that are left on the disk.

    Raises:
        ValueError: tensors are missing, unknown or of another shape; names the first of them.
    """
    model = create_on_meta(config_path)
    model.leave_out_stages(without)
    state, ours = restore_names(read_state_dict(checkpoint_path)), model.state_dict()
    if "cond_stage_model" not in without:
        state = fill_unused(state, model)
    # a schedule that somebody rounded to 16 bits along with the weights: the yaml's own is exact
    rounded = {k for k, v in ours.items() if k in state and not v.is_meta and state[k].dtype != v.dtype}
    state = {k: v for k, v in state.items() if k not in rounded}
    state = {k: v for k, v in state.items() if k.split(".")[0] not in without}
    misshapen = [k for k, v in ours.items() if k in state and state[k].shape != v.shape]
    coarse = [
        k for k, v in ours.items() if k in state and v.is_floating_point() > state[k].is_floating_point()
    ]
    missing = unknown = []
    if not misshapen and not coarse:
        missing, unknown = model.load_state_dict(state, strict=False, assign=True)
        missing = [k for k in missing if ours[k].is_meta]
    problems = {
        "has another shape for": misshapen,
        "has whole numbers for": coarse,
        "has no tensor for": missing,
        "has, beyond it,": unknown,
    }
    for problem, names in problems.items():
        if names:
            listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            remedy = _remedy(state, checkpoint_path, config_path, misshapen)
            raise ValueError(f"{checkpoint_path} {problem} {listed}: {remedy}")
    model.lock()
    return model.to("cpu").eval()  # no tensor moves, but Lightning still takes meta for the model's device


def shape_remedy(name, tensor) -> str:
    """What to do where a tensor of a file has another shape than its yaml says."""
    if name == f"{CONTROL}input_hint_block.0.weight" and tensor.ndim == 4:
        num = tensor.shape[1]
        return f"its hints have {num} channels: give --config with a yaml of hint_channels: {num}"
    return "--config gives another yaml"


def _remedy(state, path, config_path, misshapen) -> str:
    """What to do with weights that are not a yaml's model."""
    if misshapen:
        return f"{config_path} is not its yaml; {shape_remedy(misshapen[0], state[misshapen[0]])}"
    parts = {name.split(".")[0] for name in state}
    if "model" in parts and "control_model" not in parts:
        return f"graft it first, python tool_add_control.py {path} OUTPUT"
    if parts == {"control_model"}:
        return f"join it to its base, python tool_convert.py {path} OUTPUT --full"
    return f"is {config_path} the yaml that it belongs to? --config gives another, model= in training"
