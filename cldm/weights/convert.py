"""Weights from one format to another: file or folder, whole or control alone, LDM's names or diffusers'."""

import re
from collections import Counter
from pathlib import Path

import torch

from cldm.model import read_config
from cldm.weights.card import write_card
from cldm.weights.diffusers_folder import read_folder, table_of, write_folder
from cldm.weights.diffusers_names import from_diffusers
from cldm.weights.families import Weights, base_of, check_model, config_of, part_of
from cldm.weights.graft import CONTROL
from jobs.whole_files import write_atomically
from ldm.checkpoint import (
    TORCH_SUFFIXES,
    CheckpointError,
    check_writable,
    read_metadata,
    read_state_dict,
    write_state_dict,
)
from ldm.published_names import restore_names

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
# a tensor that tells what a file with its own meaning of ControlNet's names is
SIGNS = {
    "lora_controlnet": "is a control-LoRA, a low-rank change to a U-Net: a whole control branch is wanted",
    "difference": "holds differences to a base's U-Net: a whole control branch is wanted",
}


def read_weights(path, config=None) -> Weights:
    """Weights of a .ckpt, .safetensors or folder of diffusers, in LDM's names.

    A control branch may have the names of this project (`control_model.zero_convs.0.0.weight`), none of the
    prefix, or diffusers' (`controlnet_cond_embedding.conv_in.weight`).
    """
    if Path(path).is_dir():
        return read_folder(path, config)
    state = read_state_dict(path)
    if not state:
        raise CheckpointError(f"{path} holds no tensors")
    for sign, reason in SIGNS.items():
        if sign in state:
            raise CheckpointError(f"{path} {reason}")
    if any("lora_" in name for name in state):
        raise CheckpointError(f"{path} is a LoRA, a low-rank change to a model: whole weights are wanted")
    if "controlnet_cond_embedding.conv_in.weight" in state:
        state = from_diffusers(state, table_of("controlnet", state.keys(), None), path)
    if "input_hint_block.0.weight" in state:
        state = {CONTROL + name: tensor for name, tensor in state.items()}
    state = restore_names(state)
    return Weights(state, read_metadata(path), path, config)


def control_alone(weights):
    """The same weights without everything that is not the control branch."""
    if not weights.has_control:
        raise CheckpointError(f"{weights.source} holds no control branch")
    state = {name: tensor for name, tensor in weights.state.items() if name.startswith(CONTROL)}
    return Weights(state, weights.metadata, weights.source, weights.config)


def lay_over_base(weights, base_path=None):
    """A control branch, and whatever was trained along, laid over its base.

    Args:
        base_path: file or folder of a whole model; None takes what the metadata name.
    """
    if weights.is_whole or not weights.has_control:
        raise CheckpointError(f"{weights.source} is no control branch alone: there is nothing to complete")
    base_path = base_path or base_of(weights)
    if not base_path:
        raise CheckpointError(f"{weights.source} does not say what its base is: give --full BASE")
    try:
        base = read_weights(base_path, weights.config)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"the base {base_path} of {weights.source} is not here: give --full BASE"
        ) from error
    if not base.is_whole:
        raise CheckpointError(f"{base_path} is no base: it holds no U-Net")
    source, config = f"{weights.source} on {base_path}", weights.config or config_of(weights)
    return Weights(base.state | weights.state, weights.metadata, source, config, weights.notes)


def cast(state, dtype):
    """Floating-point tensors in a dtype; the noise schedule's tables, whose names have no dot, stay exact."""
    result = {}
    for name, tensor in state.items():
        changes = tensor.is_floating_point() and tensor.dtype != dtype and "." in name
        result[name] = tensor.to(dtype) if changes else tensor
        if changes and dtype == torch.float16 and not result[name].isfinite().all():
            if not tensor.isfinite().all():
                raise ValueError(f"{name} holds infinite values or no numbers: such weights draw nothing")
            raise ValueError(f"{name} has values that fp16 cannot hold (beyond 65504): take bf16")
    return result


def check_output(path):
    """(path, whether it is to be a folder); raises what would stop writing, before the work."""
    path = Path(path)
    if path.suffix in (*TORCH_SUFFIXES, ".safetensors"):
        return check_writable(path), False
    if re.fullmatch(r"\.[A-Za-z]+", path.suffix):
        raise ValueError(
            f"{path}: a file's name ends in .ckpt or .safetensors, that of a folder of diffusers in no suffix"
        )
    if path.exists():
        raise FileExistsError(f"{path} exists already: choose another name or delete it first")
    check_writable(path.with_name(path.name + ".safetensors"), overwrite=True)
    return path, True


def convert(
    source, output, dtype=None, control_only=False, full=False, base=None, config=None, card=False
) -> str:
    """Read, change and write weights; returns what was done, a line each.

    Args:
        output: .ckpt or .safetensors for a file in LDM's layout, any other name for a folder of diffusers.
        dtype: fp32, fp16 or bf16; None keeps each tensor's.
        full: lay a control branch over `base`, or over the base that its metadata name.
        config: yaml of the model; None takes the one that the metadata name, else the family's.
        card: write a model card into the folder, which of a try-on model holds its file instead.
    """
    output, to_folder = check_output(output)
    if card and not to_folder:
        raise ValueError(f"--card describes a folder: give OUTPUT a name without {output.suffix}")
    if config:
        read_config(config)  # it goes into the metadata, so it must be one
    weights = read_weights(source, config)
    weights.metadata |= {"config": str(config)} if config else {}
    before, lines = set(weights.state), [f"{source}: {describe(weights)}"]
    if card and "tryon" in weights.metadata:
        write_tryon_folder(weights, output, dtype)
        return "\n".join([*lines, f"{output}: tryon.safetensors, and README.md to be filled in"])
    if card and not weights.has_control:
        raise ValueError(f"--card describes what was trained, and {source} holds neither control nor try-on")
    weights = control_alone(weights) if control_only else lay_over_base(weights, base) if full else weights
    if to_folder or full:  # averages of a training that is over
        weights.state = {n: t for n, t in weights.state.items() if not n.startswith("model_ema.")}
    if dropped := Counter(map(part_of, before - set(weights.state))):
        lines.append("dropped: " + ", ".join(f"{count} of {part}" for part, count in sorted(dropped.items())))
    model = check_model(weights)
    if dtype:
        weights.state = cast(weights.state, DTYPES[dtype])
    if to_folder:
        write_folder(weights, output, model, write_card(weights, output.name) if card else "")
        weights.notes += [f"{output / 'README.md'}: complete what it marks *to be filled in*"] if card else []
    else:
        write_state_dict(weights.state, output, weights.metadata)
        if weights.metadata and output.suffix != ".safetensors":
            weights.notes.append(
                "dropped: the metadata, which a .ckpt has no place for and a .safetensors has"
            )
    return "\n".join([*lines, *weights.notes, f"{output}: {describe(weights)}"])


def write_tryon_folder(weights, path, dtype=None):
    """A try-on model as it was trained, with its card, for a hub."""
    state = cast(weights.state, DTYPES[dtype]) if dtype else weights.state

    def write(folder):
        folder.mkdir()
        (folder / "README.md").write_text(write_card(weights, path.name), encoding="utf-8")
        write_state_dict(state, folder / "tryon.safetensors", weights.metadata)

    write_atomically(path, write)


def describe(weights) -> str:
    """What there is, its dtypes and its size."""
    state = weights.state
    kind = "whole model" if weights.is_whole else "tensors"
    if weights.has_control:
        kind = "whole model with control branch" if weights.is_whole else "control branch"
    dtypes = Counter(str(tensor.dtype).removeprefix("torch.") for tensor in state.values())
    counts = ", ".join(f"{count} {dtype}" for dtype, count in dtypes.most_common())
    return f"{kind}, {counts}, {sum(tensor.nbytes for tensor in state.values()) / 2**20:,.1f} MiB"
