"""Folders of diffusers, a ControlNetModel or a whole pipeline: written and read without diffusers itself."""

import json
from pathlib import Path

from cldm.model import create_with_branch, read_config
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
from ldm.published_names import fill_unused

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
# settings that change what the tensors compute, with the value that ours have
FIXED = dict(
    act_fn="silu",
    norm_num_groups=32,
    norm_eps=1e-5,
    flip_sin_to_cos=True,
    freq_shift=0,
    global_pool_conditions=False,
    class_embed_type=None,
    addition_embed_type=None,
    encoder_hid_dim_type=None,
    resnet_time_scale_shift="default",
    center_input_sample=False,
    shift_factor=None,
    latents_mean=None,
    latents_std=None,
)
# that change nothing, or are seen to elsewhere
FREE = """_class_name sample_size architectures model_type projection_dim bos_token_id eos_token_id
pad_token_id controlnet_conditioning_channel_order""".split()
SCHEDULE = "beta_schedule beta_start beta_end num_train_timesteps prediction_type".split()
# what has no place in diffusers: schedule tables, the layer that SD2 does not run; the way back needs it
EXTRA = "ldm_extra.safetensors"


def table_of(part, names, encoder):
    """The table of a part whose names in either layout are given; `encoder` is the model's text encoder."""
    if part == "text_encoder":
        return text_table(encoder)
    return vae_table(names) if part == "vae" else unet_table(*unet_structure(names))


def write_folder(weights, path, model, card=""):
    """Write a control branch as a ControlNetModel, or a whole model with or without one as a pipeline.

    `model` is what `check_model` made of them; `card` becomes README.md.
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
        if card:
            (folder / "README.md").write_text(card, encoding="utf-8")
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
    zero_terminal_snr = weights.recorded("zero_terminal_snr", bool) or False
    params = read_config(weights.config).params
    scheduler = diffusers_configs.scheduler_config(model, params, zero_terminal_snr)
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
    except (ValueError, RecursionError) as error:  # the latter of brackets without end
        raise CheckpointError(f"{path} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds no settings by name, as diffusers writes them")
    return content


def read_folder(path, config=None):
    """The Weights in a folder of diffusers, today's or an older version's; `config` overrules their yaml."""
    path = Path(path)
    if (path / "unet").is_dir():
        return read_pipeline(path, config)
    if (path / "controlnet").is_dir():  # what train_controlnet.py saves on its way
        path = path / "controlnet"
    kind = read_json(path / "config.json").get("_class_name")
    if kind != "ControlNetModel":
        saved = sorted(path.glob("checkpoint-*"), key=lambda folder: (len(folder.name), folder.name))
        found = f"that of a {kind}" if kind else "none of either"
        raise CheckpointError(
            f"{path} is no folder of diffusers that can be read: a pipeline's has a folder `unet`, "
            f"a ControlNet's a config.json with the class ControlNetModel, here is {found}"
            + "".join(f"; give one of its checkpoints, such as {newest}" for newest in saved[-1:])
        )
    state, metadata = read_part(path, "controlnet", None)
    weights = Weights(state, metadata, path)
    weights.config = config or config_of(weights)
    check_settings(path, "controlnet", create_with_branch(weights.config), weights)
    return weights


def read_pipeline(path, config):
    parts = [part for part in PREFIXES if part != "controlnet" or (path / part).is_dir()]
    state, metadata = read_part(path / "unet", "unet", None)
    if "controlnet" in parts:
        control, metadata = read_part(path / "controlnet", "controlnet", None)
        state |= control
    scheduler = read_json(path / "scheduler" / "scheduler_config.json")
    weights = Weights(state, metadata, path)
    weights.config = config or config_of(weights, scheduler.get("prediction_type"))
    model = create_with_branch(weights.config)
    for part in parts:
        check_settings(path / part, part, model, weights)
    params = read_config(weights.config).params
    zero_terminal_snr = scheduler.get("rescale_betas_zero_snr") is True
    wanted = diffusers_configs.scheduler_config(model, params, zero_terminal_snr)
    wanted = {name: wanted[name] for name in SCHEDULE}
    check_equal(scheduler, wanted, path / "scheduler" / "scheduler_config.json", weights.config)
    if zero_terminal_snr:
        weights.metadata["zero_terminal_snr"] = "true"
    for part in ("vae", "text_encoder"):
        state |= read_part(path / part, part, model.cond_stage_model)[0]
    if (path / EXTRA).exists():
        state |= read_state_dict(path / EXTRA)
    else:
        fill(weights, model)
    return weights


def check_settings(folder, part, model, weights):
    """Raise where a network's config.json says that it computes otherwise than ours, with the same tensors.

    The colours of a hint may be in reverse order: then the first convolution reads them so.
    """
    path, wanted = folder / "config.json", CONFIGS[part](model)
    settings = read_json(path)
    check_equal(settings, FIXED | {k: v for k, v in wanted.items() if k not in FREE}, path, weights.config)
    order = settings.get("controlnet_conditioning_channel_order", "rgb")
    if part != "controlnet" or order == "rgb":
        return
    if order != "bgr":
        raise CheckpointError(f"{path}: controlnet_conditioning_channel_order is {order!r}, not rgb or bgr")
    first = f"{CONTROL}input_hint_block.0.weight"
    if first in weights.state:
        weights.state[first] = weights.state[first].flip(1)
    weights.notes.append(
        "its hints were BGR and are RGB now: the first convolution of the hint is turned round"
    )


def check_equal(settings, wanted, path, config):
    for name, ours in wanted.items():
        theirs = settings.get(name, ours)
        if _one(theirs) != _one(ours):
            raise CheckpointError(
                f"{path}: {name} is {theirs!s:.60}, the model of {config} has {ours}: it would compute "
                "otherwise; --config gives another yaml"
            )


def _one(value):
    """A value; of a list whose values are all one, that."""
    if not isinstance(value, list | tuple):
        return value
    return value[0] if value and all(v == value[0] for v in value) else list(value)


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
    weights.state = fill_unused(state, model)
    if num := len(weights.state) - len(state):
        weights.notes.append(f"{num} tensors of the text encoder that are never used are zeros")
