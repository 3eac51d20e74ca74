"""Tensor names and layouts of latent diffusion and of diffusers: one table a network, read either way.

LDM names are those inside a network, without a prefix such as `model.diffusion_model.`.
"""

import re

import torch
from einops import rearrange

from ldm.checkpoint import CheckpointError
from ldm.modules.encoders.modules import FrozenCLIPEmbedder, FrozenOpenCLIPEmbedder
from ldm.published_names import PIXEL_WISE

RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
HINT_LAYERS = ("conv_in", *(f"blocks.{i}" for i in range(6)), "conv_out")
VAE_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
# what diffusers before 0.18 wrote, and the published folders of Stable Diffusion 1.5 still have
VAE_ATTENTION_OF_OLD = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
TEXT_LAYER = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
    **{f"attn.{x}_proj": f"self_attn.{x}_proj" for x in "qkv"},
}


def rename(name, table):
    """A name with its longest prefix that the table has exchanged; None if it has none."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        if (prefix := ".".join(parts[:cut])) in table:
            return ".".join([table[prefix], *parts[cut:]])
    return None


def highest(pattern, names):
    """The highest number that a pattern's group finds in names; -1 if none."""
    return max((int(found[1]) for name in names if (found := re.match(pattern, name))), default=-1)


def unet_structure(names):
    """(residual blocks a level, whether each level attends) of a U-Net or control branch in either layout."""
    if "conv_in.weight" in names:
        num_levels = 1 + highest(r"down_blocks\.(\d+)\.", names)
        num_blocks = 1 + highest(r"down_blocks\.0\.resnets\.(\d+)\.", names)
        return num_blocks, [f"down_blocks.{i}.attentions.0.norm.weight" in names for i in range(num_levels)]
    num_inputs = 1 + highest(r"input_blocks\.(\d+)\.", names)
    steps = [i for i in range(num_inputs) if f"input_blocks.{i}.0.op.weight" in names]
    period = steps[0] if steps else num_inputs
    firsts = [1 + level * period for level in range(len(steps) + 1)]
    return period - 1, [f"input_blocks.{first}.1.norm.weight" in names for first in firsts]


def unet_table(num_blocks, attends):
    """LDM prefix -> diffusers prefix, of U-Net and control branch at once."""
    period = num_blocks + 1
    table = {f"middle_block.{i}": f"mid_block.{b}" for i, b in ((0, "resnets.0"), (2, "resnets.1"))}
    for level in range(len(attends)):
        for i in range(num_blocks):
            table[f"input_blocks.{level * period + i + 1}.0"] = f"down_blocks.{level}.resnets.{i}"
        for i in range(period):
            table[f"output_blocks.{level * period + i}.0"] = f"up_blocks.{level}.resnets.{i}"
    table = {f"{a}.{x}": f"{b}.{y}" for a, b in table.items() for x, y in RESNET.items()}
    table |= {
        "time_embed.0": "time_embedding.linear_1",
        "time_embed.2": "time_embedding.linear_2",
        "input_blocks.0.0": "conv_in",
        "middle_block.1": "mid_block.attentions.0",
        "out.0": "conv_norm_out",
        "out.2": "conv_out",
        "middle_block_out.0": "controlnet_mid_block",
    }
    table |= {
        f"input_hint_block.{2 * i}": f"controlnet_cond_embedding.{b}" for i, b in enumerate(HINT_LAYERS)
    }
    table |= {f"zero_convs.{i}.0": f"controlnet_down_blocks.{i}" for i in range(len(attends) * period)}
    for level, attention in enumerate(attends):
        below, first = f"down_blocks.{level}", level * period + 1
        table |= {
            f"input_blocks.{first + i}.1": f"{below}.attentions.{i}" for i in range(num_blocks * attention)
        }
        table[f"input_blocks.{first + num_blocks}.0.op"] = f"{below}.downsamplers.0.conv"
    for level, attention in enumerate(reversed(attends)):
        above, first = f"up_blocks.{level}", level * period
        table |= {
            f"output_blocks.{first + i}.1": f"{above}.attentions.{i}" for i in range(period * attention)
        }
        table[f"output_blocks.{first + num_blocks}.{1 + attention}.conv"] = f"{above}.upsamplers.0.conv"
    return table


def vae_table(names):
    """LDM prefix -> diffusers prefix of an autoencoder, whose names in either layout are given."""
    num_levels = 1 + highest(r"encoder\.down(?:_blocks)?\.(\d+)\.", names)
    num_blocks = 1 + highest(r"decoder\.up(?:_blocks)?\.\d+\.(?:block|resnets)\.(\d+)\.", names)
    table = {name: name for name in ("quant_conv", "post_quant_conv")}
    for half in ("encoder", "decoder"):
        table |= {f"{half}.{conv}": f"{half}.{conv}" for conv in ("conv_in", "conv_out")}
        table[f"{half}.norm_out"] = f"{half}.conv_norm_out"
        table |= {f"{half}.mid.block_{i + 1}": f"{half}.mid_block.resnets.{i}" for i in range(2)}
        attention = f"{half}.mid_block.attentions.0"
        table |= {f"{half}.mid.attn_1.{a}": f"{attention}.{b}" for a, b in VAE_ATTENTION.items()}
    for level in range(num_levels):
        down, up = f"encoder.down_blocks.{level}", f"decoder.up_blocks.{num_levels - 1 - level}"
        for ours, theirs in ((f"encoder.down.{level}", down), (f"decoder.up.{level}", up)):
            for i in range(num_blocks):
                table[f"{ours}.block.{i}"] = f"{theirs}.resnets.{i}"
                table[f"{ours}.block.{i}.nin_shortcut"] = f"{theirs}.resnets.{i}.conv_shortcut"
        table[f"encoder.down.{level}.downsample"] = f"{down}.downsamplers.0"
        table[f"decoder.up.{level}.upsample"] = f"{up}.upsamplers.0"
    return table


def text_table(encoder):
    """LDM prefix -> transformers prefix of a text encoder; layers that it does not run have no place."""
    if isinstance(encoder, FrozenCLIPEmbedder) and encoder.layer == "last":
        return {"transformer.text_model": "text_model"}
    if not isinstance(encoder, FrozenOpenCLIPEmbedder):
        kind = f"{type(encoder).__name__}{f' with layer {encoder.layer}' * hasattr(encoder, 'layer')}"
        raise ValueError(f"the text encoder {kind} has no counterpart in diffusers")
    table = {
        "positional_embedding": "text_model.embeddings.position_embedding.weight",
        "token_embedding": "text_model.embeddings.token_embedding",
        "ln_final": "text_model.final_layer_norm",
    }
    for i in range(len(encoder.model.transformer.resblocks) - encoder.num_skipped):
        layer = f"text_model.encoder.layers.{i}"
        table |= {f"transformer.resblocks.{i}.{a}": f"{layer}.{b}" for a, b in TEXT_LAYER.items()}
    return {f"model.{a}": b for a, b in table.items()}


def to_diffusers(state, table):
    """Tensors by LDM name -> (the same by diffusers name, those without a place there by LDM name)."""
    placed, rest = {}, {}
    for name, tensor in state.items():
        for part, values in split_projections(name, tensor):
            theirs = None if part.endswith(".position_ids") else rename(part, table)
            if theirs is None:
                rest[name] = tensor
            else:
                placed[theirs] = rearrange(values, "o i 1 1 -> o i") if PIXEL_WISE.search(part) else values
    return placed, rest


def from_diffusers(state, table, path):
    """The inverse: tensors by diffusers name -> by LDM name; one without a place there is an error."""
    inverse = {theirs: ours for ours, theirs in table.items()}
    for old, today in VAE_ATTENTION_OF_OLD.items():
        ends = [name for name in inverse if name.endswith(f"mid_block.attentions.0.{today}")]
        inverse |= {name.removesuffix(today) + old: inverse[name] for name in ends}
    ours = {}
    for name, tensor in state.items():
        if name.endswith("embeddings.position_ids"):
            continue  # written by some versions of transformers only; always 0..76
        place = rename(name, inverse)
        if place is None:
            raise CheckpointError(f"{path} is no Stable Diffusion 1 or 2: there is no place for its {name}")
        convolves = PIXEL_WISE.search(place) and tensor.ndim == 2
        ours[place] = rearrange(tensor, "o i -> o i 1 1") if convolves else tensor
    return join_projections(ours)


def split_projections(name, tensor):
    """open_clip's stacked projection of an attention as three (name, tensor); any other tensor as it is."""
    if not (found := re.search(r"\.attn\.in_proj_(weight|bias)$", name)):
        return [(name, tensor)]
    parts = rearrange(tensor, "(three d) ... -> three d ...", three=3)
    return [
        (f"{name[: found.start()]}.attn.{x}_proj.{found[1]}", t) for x, t in zip("qkv", parts, strict=True)
    ]


def join_projections(state):
    """The inverse of split_projections, on a whole state dict."""
    joined, stacks = {}, {}
    for name, tensor in state.items():
        if found := re.search(r"\.attn\.([qkv])_proj\.(weight|bias)$", name):
            stacks.setdefault(f"{name[: found.start()]}.attn.in_proj_{found[2]}", {})[found[1]] = tensor
        else:
            joined[name] = tensor
    return joined | {
        name: torch.cat([stack[x] for x in "qkv" if x in stack]) for name, stack in stacks.items()
    }
