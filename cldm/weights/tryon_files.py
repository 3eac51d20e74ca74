"""Published try-on weights: recognised by their tensors' names, read into a recipe's, written back.

Formats as their projects publish them; docs/formats.md says what could not be run here. Our names are those
of a TryonLDM's state dict: `model.diffusion_model.` the person's U-Net, `garment_model.` the garment's,
`image_proj.`, `garment_encoder.` and `garment_proj.` image tokens, `control_model.` a control branch.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from cldm.weights.diffusers_names import from_diffusers, to_diffusers, unet_structure, unet_table
from ldm.checkpoint import CheckpointError, read_pickle, read_state_dict, write_state_dict
from ldm.safe_pickle import Placeholder

PERSON, GARMENT = "model.diffusion_model.", "garment_model."
ATTENTION = re.compile(r"(\d+)\.(to_[qkv]\.weight|to_out\.0\.(?:weight|bias))")
ADAPTER = re.compile(r"ip_adapter\.(\d+)\.(to_[kv]_ip\.weight)")
FOLDERS = {"unet_garm": GARMENT, "unet_vton": PERSON}
FILES = "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"
PROJECTORS = {
    "image_proj.latents": "resampler, IP-Adapter Plus",
    "image_proj.proj.0.weight": "mlp, IP-Adapter Full",
    "image_proj.proj.weight": "linear, IP-Adapter",
}


@dataclass
class TryonWeights:
    """Tensors by our names, the format that they came in, and what a reader should know."""

    format: str
    state: dict[str, torch.Tensor]
    notes: list[str]


@dataclass(frozen=True)
class Format:
    """A published layout: how to know it, and the way of its names to ours and back."""

    recognises: Callable
    to_ours: Callable
    to_theirs: Callable
    suggestion: str


def transformer_sites() -> list[str]:
    """The U-Net's transformers in diffusers' order: encoder, decoder, and the middle block last."""
    table = unet_table(2, [True, True, True, False])  # of Stable Diffusion 1.5
    theirs = {there: ours for ours, there in table.items() if ".attentions." in there}
    order = {"down_blocks": 0, "up_blocks": 1, "mid_block": 2}

    def place(name):
        part, *numbers = name.split(".")[0], *map(int, re.findall(r"\d+", name))
        return order[part], *numbers

    return [theirs[name] for name in sorted(theirs, key=place)]


def sites_for(count: int, what: str) -> list[str]:
    """The sites of Stable Diffusion 1.5 and 2.1; another number of layers belongs to another network."""
    sites = transformer_sites()
    if count != len(sites):
        raise CheckpointError(f"{what} has {count} attention layers, Stable Diffusion 1.5 has {len(sites)}")
    return sites


def _adapter_to_ours(state):
    numbers = sorted({int(found[1]) for name in state if (found := ADAPTER.fullmatch(name))})
    sites = dict(zip(numbers, sites_for(len(numbers), "the adapter"), strict=True))
    ours = {}
    for name, tensor in state.items():
        found = ADAPTER.fullmatch(name)
        if not found and not name.startswith("image_proj."):
            raise CheckpointError(f"an IP-Adapter has no place for {name}")
        ours[f"{PERSON}{sites[int(found[1])]}.transformer_blocks.0.attn2.{found[2]}" if found else name] = (
            tensor
        )
    return ours


def _adapter_to_theirs(state):
    # diffusers counts self-attentions, too: cross-attentions have the odd numbers
    numbers = {site: 2 * i + 1 for i, site in enumerate(transformer_sites())}
    theirs = {}
    for name, tensor in state.items():
        site, _, layer = name.removeprefix(PERSON).partition(".transformer_blocks.0.attn2.")
        theirs[f"ip_adapter.{numbers[site]}.{layer}" if layer else name] = tensor
    return theirs


def _attention_to_ours(state):
    numbers = sorted({int(ATTENTION.fullmatch(name)[1]) for name in state})
    sites = dict(zip(numbers, sites_for(len(numbers), "the attention file"), strict=True))
    found = {name: ATTENTION.fullmatch(name) for name in state}
    return {
        f"{PERSON}{sites[int(found[name][1])]}.transformer_blocks.0.attn1.{found[name][2]}": tensor
        for name, tensor in state.items()
    }


def _attention_to_theirs(state):
    numbers = {site: i for i, site in enumerate(transformer_sites())}
    theirs = {}
    for name, tensor in state.items():
        site, _, layer = name.removeprefix(PERSON).partition(".transformer_blocks.0.attn1.")
        theirs[f"{numbers[site]}.{layer}"] = tensor
    return theirs


def _unet_to_ours(state):
    named = from_diffusers(state, unet_table(*unet_structure(state.keys())), "the garment's U-Net")
    return {GARMENT + name: tensor for name, tensor in named.items()}


def _unet_to_theirs(state):
    bare = {name.removeprefix(GARMENT): tensor for name, tensor in state.items()}
    return to_diffusers(bare, unet_table(*unet_structure(bare.keys())))[0]


ANYDOOR = {"cond_stage_model.model.": "garment_encoder.", "cond_stage_model.projector.": "garment_proj."}


def _exchange(prefixes):
    def exchange(state):
        ours = {}
        for name, tensor in state.items():
            prefix = next((p for p in prefixes if name.startswith(p)), None)
            ours[prefixes[prefix] + name.removeprefix(prefix) if prefix else name] = tensor
        return ours

    return exchange


FORMATS = {
    "IP-Adapter": Format(
        lambda names: any(map(ADAPTER.fullmatch, names)),
        _adapter_to_ours,
        _adapter_to_theirs,
        "a recipe with a decoupled condition named image, and a U-Net with context: text+image",
    ),
    "CatVTON": Format(
        lambda names: all(map(ATTENTION.fullmatch, names)),
        _attention_to_ours,
        _attention_to_theirs,
        "models/tryon_catvton.yaml, over Stable Diffusion 1.5 inpainting",
    ),
    "Magic Clothing": Format(
        lambda names: "conv_in.weight" in names and any(n.startswith("down_blocks.") for n in names),
        _unet_to_ours,
        _unet_to_theirs,
        "models/tryon_magic.yaml, over Stable Diffusion 1.5",
    ),
    "AnyDoor": Format(
        lambda names: "cond_stage_model.projector.weight" in names,
        _exchange(ANYDOOR),
        _exchange({ours: theirs for theirs, ours in ANYDOOR.items()}),
        "models/tryon_anydoor21.yaml, over Stable Diffusion 2.1",
    ),
}
OOTD = "OOTDiffusion"


def read_tryon_weights(path) -> TryonWeights:
    """A published file, or OOTDiffusion's folder of two U-Nets, as tensors by our names.

    Raises:
        FileNotFoundError: nothing is there, or a folder without its U-Nets; says what is wanted.
        CheckpointError: a file of another kind.
    """
    path = Path(path)
    if path.is_dir():
        return _read_ootd(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: a file or folder of published try-on weights is wanted"
        )
    state = read_nested(path)
    for name, known in FORMATS.items():
        if known.recognises(state.keys()):
            ours, notes = known.to_ours(state), [f"{path} is {name}'s: for {known.suggestion}"]
            if name == "IP-Adapter":
                notes += [f"its projector is {kind}" for key, kind in PROJECTORS.items() if key in state][:1]
            return TryonWeights(name, ours, notes)
    listed = ", ".join([OOTD + "'s folder", *FORMATS])
    raise CheckpointError(f"{path} is none of {listed}: its first tensor is {next(iter(state), 'none')}")


def write_tryon_weights(weights: TryonWeights, path, overwrite=False) -> None:
    """Write tensors by our names in the format that `weights` says: a file, or OOTDiffusion's folder."""
    if weights.format != OOTD:
        write_state_dict(FORMATS[weights.format].to_theirs(weights.state), path, overwrite=overwrite)
        return
    for folder, prefix in FOLDERS.items():
        state = {name.removeprefix(prefix): t for name, t in weights.state.items() if name.startswith(prefix)}
        (Path(path) / folder).mkdir(parents=True, exist_ok=True)
        named, _ = to_diffusers(state, unet_table(*unet_structure(state.keys())))
        write_state_dict(named, Path(path) / folder / FILES[0], overwrite=overwrite)


def _read_ootd(path: Path) -> TryonWeights:
    state = {}
    for folder, prefix in FOLDERS.items():
        file = next((path / folder / name for name in FILES if (path / folder / name).is_file()), None)
        if file is None:
            raise FileNotFoundError(
                f"{path} is no folder of OOTDiffusion: {folder}/{FILES[0]} is wanted, beside "
                f"{' and '.join(other for other in FOLDERS if other != folder)}"
            )
        theirs = read_state_dict(file)
        named = from_diffusers(theirs, unet_table(*unet_structure(theirs.keys())), file)
        state |= {prefix + name: tensor for name, tensor in named.items()}
    channels = state[PERSON + "input_blocks.0.0.weight"].shape[1]
    notes = [f"{path} is {OOTD}'s, with {channels} input channels: for models/tryon_ootd.yaml"]
    return TryonWeights(OOTD, state, notes)


def read_nested(path) -> dict[str, torch.Tensor]:
    """The tensors of a file by name; dicts within dicts, as IP-Adapter's .bin has them, by dotted names."""
    try:
        return read_state_dict(path)
    except CheckpointError:
        content = read_pickle(path)
        state = dict(_flatten(content)) if isinstance(content, dict) else {}
        if not state:
            raise
        return state


def _flatten(content, prefix=""):
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        elif isinstance(value, torch.Tensor) and not isinstance(value, Placeholder):
            yield f"{prefix}{name}", value
