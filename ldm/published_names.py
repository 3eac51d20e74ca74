"""What files of others call or shape otherwise than Stable Diffusion's checkpoints do, and what they lack."""

import re

import torch
from einops import rearrange

TOWER = "cond_stage_model.transformer."
# diffusers' scripts write files in LDM's layout whose autoencoder keeps diffusers' names, new or old
ATTENTION = {
    **dict(to_q="q", to_k="k", to_v="v", group_norm="norm"),
    **dict(query="q", key="k", value="v", proj_attn="proj_out"),
    "to_out.0": "proj_out",
}
# it projects by 1 x 1 convolutions in LDM, by linear layers in diffusers
PIXEL_WISE = re.compile(r"\.mid\.attn_1\.(q|k|v|proj_out)\.weight$")


def restore_names(state):
    """Tensors by name -> the same with the names and shapes that Stable Diffusion's own files have."""
    restored = {}
    for name, tensor in state.items():
        name = _with_own_attention(_with_text_level(name))
        flat = PIXEL_WISE.search(name) and tensor.ndim == 2
        restored[name] = rearrange(tensor, "o i -> o i 1 1") if flat else tensor
    return restored


def _with_text_level(name):
    """Today's transformers write no `text_model.` level; the checkpoints have it."""
    if name.startswith(TOWER) and not name.startswith(f"{TOWER}text_model."):
        return name.replace(TOWER, f"{TOWER}text_model.", 1)
    return name


def _with_own_attention(name):
    before, found, after = name.partition(".mid.attn_1.")
    part, _, kind = after.rpartition(".")
    return f"{before}{found}{ATTENTION[part]}.{kind}" if found and part in ATTENTION else name


def fill_unused(state, model):
    """The tensors with zeros for those that a model's text encoder has, never reads, and files may leave out.

    SD2 stops a block before the last one of its text encoder, and takes neither of its projections.
    """
    encoder, tower = model.cond_stage_model, "cond_stage_model."
    lacking = [name for name in getattr(encoder, "unused_tensors", list)() if tower + name not in state]
    # of what the file has of the encoder; without that, it lacks the encoder
    dtype = next((tensor.dtype for name, tensor in state.items() if name.startswith(tower)), None)
    if dtype is None or not lacking:
        return state
    shapes = {name: tensor.shape for name, tensor in encoder.state_dict().items()}
    return state | {tower + name: torch.zeros(shapes[name], dtype=dtype) for name in lacking}
