"""Folders of diffusers, a ControlNetModel or a whole pipeline: written and read without diffusers itself."""

import json
from pathlib import Path

import torch

from cldm.model import create_model, read_config
from cldm.weights import diffusers_configs
from cldm.weights.diffusers_names import (
    from_diffusers,
    text_table,
    to_diffusers,
    unet_structure,
    unet_table,
    vae_table,
)
from cldm.weights.families import Weights, config_of
from cldm.weights.graft import CONTROL, UNET
from jobs.whole_files import write_atomically
from ldm.checkpoint import CheckpointError, read_metadata, read_state_dict, write_state_dict

PREFIXES = {
    "unet": UNET,
    "controlnet": CONTROL,
    "vae": "first_stage_model.",
    "text_encoder": "cond_stage_model.",
}
WEIGHTS = dict.fromkeys(PREFIXES, "diffusion_pytorch_model") | {"text_encoder": "model"}
CONFIGS = {
    "unet": diffusers_configs.unet_config,
    "controlnet": diffusers_configs.control_config,
    "vae": diffusers_configs.vae_config,
    "text_encoder": diffusers_configs.text_config,
}
# what has no place in diffusers: schedule tables, the layer that SD2 does not run; the way back needs it
EXTRA = "ldm_extra.safetensors"


def table_of(part, names, encoder):
    """The table of a part whose names in either layout are given; `encoder` is the model's text encoder."""
    if part == "text_encoder":
        return text_table(encoder)
    return vae_table(names) if part == "vae" else unet_table(*unet_structure(names))


def write_folder(weights, path, model):
    """Write a control branch as a ControlNetModel, or a whole model with or without one as a pipeline.

    `model` is what `check_model` made of them.
    """
    path, parts, extra = Path(path), {}, dict(weights.state)
    others = [name for name in extra if not name.startswith(CONTROL)]
    if others and not weights.is_whole:
        raise CheckpointError(
            f"{weights.source} has more than a control branch, but no whole U-Net ({others[0]} is there): "
            "add its base with --full, or leave such tensors with --control-only"
        )
    for part, prefix in PREFIXES.items():
        tensors = {n.removeprefix(prefix): extra.pop(n) for n in list(extra) if n.startswith(prefix)}
        if tensors:
            table = table_of(part, tensors.keys(), model.cond_stage_model)
            parts[part], unplaced = to_diffusers(tensors, table)
            extra |= {prefix + name: tensor for name, tensor in unplaced.items()}

    def write(folder):
        folder.mkdir()
        if parts.keys() == {"controlnet"}:
            write_part(folder, "controlnet", parts["controlnet"], model, weights.metadata)
            return
        for part, tensors in parts.items():
            (folder / part).mkdir()
            write_part(folder / part, part, tensors, model, weights.metadata)
        write_state_dict(extra, folder / EXTRA, weights.metadata)
        write_texts(folder, model, weights, [*parts, "scheduler", "tokenizer"])

    write_atomically(path, write)


def write_part(folder, part, tensors, model, metadata):
    write_json(folder / "config.json", CONFIGS[part](model))
    write_state_dict(tensors, folder / f"{WEIGHTS[part]}.safetensors", metadata)


def write_texts(folder, model, weights, parts):
    """A pipeline's index, scheduler and tokenizer."""
    write_json(folder / "model_index.json", diffusers_configs.pipeline_index(parts))
    options = weights.metadata.get("options")
    zero_terminal_snr = isinstance(options, dict) and bool(options.get("zero_terminal_snr"))
    scheduler = diffusers_configs.scheduler_config(
        model, read_config(weights.config).params, zero_terminal_snr
    )
    files = {"scheduler/scheduler_config.json": scheduler}
    tokenizer = diffusers_configs.tokenizer_files(model.cond_stage_model.tokenizer)
    files |= {f"tokenizer/{name}": content for name, content in tokenizer.items()}
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        if isinstance(content, str):
            (folder / name).write_text(content, encoding="utf-8")
        else:
            write_json(folder / name, content)


def write_json(path, content):
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_json(path):
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise CheckpointError(f"{path} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds no settings by name, as diffusers writes them")
    return content


def read_folder(path, config=None):
    """The Weights in a folder of diffusers, today's or an older version's; `config` overrules their yaml."""
    path = Path(path)
    if (path / "unet").is_dir():
        return read_pipeline(path, config)
    kind = read_json(path / "config.json").get("_class_name")
    if kind != "ControlNetModel":
        found = f"that of a {kind}" if kind else "none of either"
        raise CheckpointError(
            f"{path} is no folder of diffusers that can be read: a pipeline's has a folder `unet`, "
            f"a ControlNet's a config.json with the class ControlNetModel, here is {found}"
        )
    state, metadata = read_part(path, "controlnet", None)
    weights = Weights(state, metadata, path)
    weights.config = config or config_of(weights)
    return weights


def read_pipeline(path, config):
    parts = [part for part in PREFIXES if part != "controlnet" or (path / part).is_dir()]
    state, metadata = read_part(path / "unet", "unet", None)
    if "controlnet" in parts:
        control, metadata = read_part(path / "controlnet", "controlnet", None)
        state |= control
    prediction = read_json(path / "scheduler" / "scheduler_config.json").get("prediction_type")
    weights = Weights(state, metadata, path)
    weights.config = config or config_of(weights, prediction)
    with torch.device("meta"):
        model = create_model(weights.config)
    for part in ("vae", "text_encoder"):
        state |= read_part(path / part, part, model.cond_stage_model)[0]
    if (path / EXTRA).exists():
        state |= read_state_dict(path / EXTRA)
    else:
        fill(weights, model)
    return weights


def read_part(folder, part, encoder):
    """(tensors by full LDM name, metadata) of one network."""
    file = weights_file(folder, part)
    state = read_state_dict(file)
    if part == "text_encoder":  # transformers 5 writes no `text_model.` level
        state = {f"text_model.{name.removeprefix('text_model.')}": tensor for name, tensor in state.items()}
    named = from_diffusers(state, table_of(part, state.keys(), encoder), file)
    return {PREFIXES[part] + name: tensor for name, tensor in named.items()}, read_metadata(file)


def weights_file(folder, part):
    stems = {WEIGHTS[part], "pytorch_model" if part == "text_encoder" else WEIGHTS[part]}
    for suffix in ("safetensors", "bin", "fp16.safetensors", "fp16.bin"):
        for stem in stems:
            if (folder / f"{stem}.{suffix}").exists():
                return folder / f"{stem}.{suffix}"
    raise FileNotFoundError(f"{folder} has no weights: {WEIGHTS[part]}.safetensors (or .bin) is wanted")


def fill(weights, model):
    """Give weights that come from diffusers what LDM's have too: schedule tables, layers that do not run."""
    wanted, state = model.state_dict(), weights.state
    state |= {name: tensor for name, tensor in wanted.items() if name not in state and not tensor.is_meta}
    if not hasattr(model.cond_stage_model, "num_skipped"):
        return
    tower = "cond_stage_model.model."
    blocks = model.cond_stage_model.model.transformer.resblocks
    unused = [
        f"transformer.resblocks.{len(blocks) - 1 - i}." for i in range(model.cond_stage_model.num_skipped)
    ]
    unused = tuple(tower + name for name in (*unused, "text_projection", "logit_scale"))
    dtype = state[f"{tower}ln_final.weight"].dtype
    names = [name for name in wanted if name.startswith(unused) and name not in state]
    state |= {name: torch.zeros(wanted[name].shape, dtype=dtype) for name in names}
    weights.notes.append(f"{len(names)} tensors of the text encoder that are never used are zeros")
