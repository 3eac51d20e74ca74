"""Give a Stable Diffusion checkpoint its trainable copy: the control branch of a yaml, as an offline step."""

from collections import Counter
from dataclasses import dataclass

import torch

from cldm.model import CONTROL, create_on_meta, create_with_branch, is_tryon, read_part, shape_remedy
from cldm.tryon.record import TryonRecord
from cldm.weights.graft_tryon import graft_recipe, read_repainting
from jobs.shipped import MODELS, OWN_MODELS, find_shipped
from ldm.checkpoint import CheckpointError, check_finite, check_writable, read_state_dict, write_state_dict
from ldm.modules.diffusionmodules.util import zero_module
from ldm.published_names import fill_unused, restore_names

FAMILIES = {"SD1.5": "cldm_v15.yaml", "SD2.1": "cldm_v21.yaml", "the tiny base": "cldm_tiny.yaml"}
NOTES = {
    "SD2.1": "taken as the 512 model; the 768 one has its shapes: give --config models/cldm_v21_768.yaml"
}
UNET = "model.diffusion_model."
STEM, LEAF = UNET + "input_blocks.0.0.weight", UNET + "out.2.weight"
CONTEXT = UNET + "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
# what a part of a name says about a file that cannot be grafted, the surest sign first
SIGNS = {
    "lora_A.": "is a LoRA, a change to a base: merge it into its base first",
    "lora_down.": "is a LoRA, a change to a base: merge it into its base first",
    "conditioner.embedders.": "is SDXL, another architecture: SD1.5 or SD2.1 is wanted",
    UNET + "label_emb.": "is SDXL or an unCLIP model, another architecture: SD1.5 or SD2.1 is wanted",
    "input_hint_block.": "holds a control branch already: train it as it is, or graft the base it came from",
    "controlnet_cond_embedding.": "is a ControlNet in diffusers' layout, not a base: graft a base",
    "down_blocks.0.": "is in diffusers' layout, not LDM's: convert its whole folder by tool_convert.py",
}
CHANNELS = {9: "an inpainting model", 8: "an instruct-pix2pix model", 5: "a depth model"}


@dataclass
class Report:
    """What became of the tensors of a graft."""

    kept: int  # from the base, under their names and in their dtype
    copied: int  # from the base's U-Net into the control branch, float32
    new: int  # zero convolutions, hint block, schedule
    dropped: Counter  # tensors of the base that the yaml has no place for, by the first part of their name

    def __str__(self):
        dropped = ", ".join(f"{count} of {name}" for name, count in self.dropped.items()) or "none"
        return (
            f"{self.kept} tensors kept, {self.copied} copied into the control branch, {self.new} new, "
            f"dropped: {dropped}"
        )


def read_numbers(config_path):
    """(input channels, width, context width) of the U-Net in a yaml: what tells the families apart."""
    params = read_part(config_path, "unet_config").get("params") or {}
    return tuple(params.get(name) for name in ("in_channels", "model_channels", "context_dim"))


def refuse_other_files(state, path, in_channels=None):
    """Raise with the reason if a state dict is visibly something else than a base in LDM's layout.

    Its U-Net takes `in_channels`, by default as many as it gives: others are told more than noisy latents.
    """
    for sign, reason in SIGNS.items():
        if any(sign in name for name in state):
            raise CheckpointError(f"{path} {reason}")
    if STEM not in state:
        raise CheckpointError(f"{path} holds no U-Net (no tensor {STEM}): a whole base is wanted")
    if state[STEM].ndim != 4 or (CONTEXT in state and state[CONTEXT].ndim != 2):
        raise CheckpointError(f"{path} is no Stable Diffusion: {STEM} is {list(state[STEM].shape)}")
    channels = state[STEM].shape[1]
    in_channels = in_channels or (len(state[LEAF]) if LEAF in state else 4)
    if channels != in_channels:
        problem = f"its U-Net takes {channels} channels, a base with {in_channels} is wanted"
        raise CheckpointError(f"{path} is {CHANNELS.get(channels, 'another model')}: {problem}")


def recognise(state, path):
    """(name, yaml path) of the family of a base, by the shapes of its U-Net."""
    known = {name: MODELS / yaml for name, yaml in FAMILIES.items()}
    found = (
        (state[STEM].shape[1], state[STEM].shape[0], state[CONTEXT].shape[1]) if CONTEXT in state else None
    )
    for name, yaml in known.items():
        if found == read_numbers(yaml):
            return name, yaml
    raise CheckpointError(
        f"{path} fits no known family ({', '.join(known)}): its U-Net has "
        f"(input channels, width, context width) {found}; give --config with its yaml"
    )


def graft(base, config_path, path="the base", seed=0):
    """A base's tensors by name -> (those of a yaml's model, a Report); `path` names the base in errors.

    The locked parts are the base's own tensors; the control branch is a float32 copy of its own.
    """
    model = create_with_branch(config_path)
    wanted = model.state_dict()
    base = fill_unused(restore_names(base), model)
    sources = {name: source_of(name, tensor, base) for name, tensor in wanted.items()}
    check_complete(sources, wanted, path, config_path)
    check_finite(sources, path)
    if foreign := [name for name in base if name.startswith(UNET) and name not in wanted]:
        raise CheckpointError(
            f"{path} has a larger U-Net than {config_path}: no place for {len(foreign)} of its tensors, "
            f"the first is {foreign[0]}"
        )
    control = {name for name in wanted if name.startswith(CONTROL)}
    found = {name for name, source in sources.items() if source is not None}
    kept = {name: sources[name] for name in found - control}
    copies = {name: sources[name].to(torch.float32, copy=True) for name in found & control}
    state = wanted | fresh_control(model.control_model, seed) | kept | copies
    dropped = Counter(name.split(".")[0] for name in base if name not in wanted)
    return state, Report(len(kept), len(copies), len(wanted.keys() - found), dropped)


def source_of(name, tensor, base):
    """The base's tensor that a tensor of the model is taken from, or None for the model's own."""
    source = base.get(name.replace(CONTROL, UNET, 1) if name.startswith(CONTROL) else name)
    if source is not None and not tensor.is_meta and source.dtype != tensor.dtype:
        return None  # a schedule or position_ids rounded to 16 bits: the yaml's own is exact
    return source


def check_complete(sources, wanted, path, config_path):
    """Raise if tensors of the locked parts are missing, or any has another shape than the model's."""
    for name, source in sources.items():
        if source is not None and source.shape != wanted[name].shape:
            raise CheckpointError(
                f"{path} does not fit {config_path}: {name} is {list(source.shape)} in the file, "
                f"{list(wanted[name].shape)} in the yaml; {shape_remedy(name, source)}"
            )
    whole = [
        name for name, source in sources.items() if source is not None and not source.is_floating_point()
    ]
    if quantised := [name for name in whole if wanted[name].is_floating_point()]:
        kind = str(sources[quantised[0]].dtype).removeprefix("torch.")
        raise CheckpointError(f"{path} is quantised ({quantised[0]} is {kind}): one in floats is wanted")
    needed = (name for name, tensor in wanted.items() if tensor.is_meta and not name.startswith(CONTROL))
    missing = [name for name in needed if sources[name] is None]
    if missing:
        parts = Counter(name.split(".")[0] for name in missing)
        counts = ", ".join(f"{count} of {part}" for part, count in parts.items())
        raise CheckpointError(f"{path} lacks tensors of {config_path}: {counts}; the first is {missing[0]}")


def fresh_control(control, seed):
    """The tensors only a control branch has, by full name, from a seed: zero convolutions and hint block.

    The branch may be on the meta device; these parts of it become real.
    """
    parts = {"zero_convs": control.zero_convs, "middle_block_out": control.middle_block_out}
    parts["input_hint_block"] = control.input_hint_block
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for part in parts.values():
            part.to_empty(device="cpu")
            for layer in part.modules():
                if hasattr(layer, "reset_parameters"):
                    layer.reset_parameters()
    for part in (control.zero_convs, control.middle_block_out, control.input_hint_block[-1]):
        zero_module(part)
    return {f"{CONTROL}{part}.{name}": t for part in parts for name, t in parts[part].state_dict().items()}


def add_control(base_path, output_path, config_path=None, seed=0, parts=None):
    """Graft a file and write the result; returns (family or yaml, what came from where).

    Without a yaml, the family's with a control branch; `parts` are files for parts of a try-on recipe. One
    that repaints begins with the first convolution that lies beside the base, see `read_repainting`.
    """
    check_writable(output_path)
    base_path = find_shipped(base_path)
    base = read_state_dict(base_path)
    if config_path and is_tryon(config_path):
        refuse_other_files(base, base_path, base[STEM].shape[1] if STEM in base else None)
        repainting = read_repainting(base, base_path)
        state, report = graft_recipe(base, config_path, base_path, seed, parts, repainting)
        record = TryonRecord.of(create_on_meta(config_path))
        metadata = dict(config=str(config_path), tryon=record.metadata())
        write_state_dict(state, output_path, metadata)
        return config_path, report
    if parts:
        raise ValueError(f"--part is of try-on recipes, {config_path or 'this graft'} has no such parts")
    refuse_other_files(base, base_path, read_numbers(config_path)[0] if config_path else None)
    family, config_path = (config_path, config_path) if config_path else recognise(base, base_path)
    state, report = graft(base, config_path, base_path, seed)
    write_state_dict(state, output_path)
    return family, report


def default_files(models=OWN_MODELS):
    """(base, output, what to tell the user): SD1.5 if it lies in `models`, else the tiny base."""
    found = [path for suffix in ("safetensors", "ckpt") for path in models.glob(f"v1-5-pruned*.{suffix}")]
    if found:
        base = min(found, key=lambda path: len(path.stem))
        return base, models / "control_sd15_ini.ckpt", f"found {base}"
    where = f"{find_shipped(models / 'README.md')} says where to get SD1.5"
    hint = f"no v1-5-pruned*.ckpt or .safetensors in {models}, taking the tiny base; {where}"
    return find_shipped(models / "tiny" / "base.safetensors"), models / "control_tiny_ini.ckpt", hint
