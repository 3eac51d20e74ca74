"""The same weights under diffusers' names: an own mapping, to disagree with the project's converter."""

import re

from einops import rearrange

RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
    "nin_shortcut": "conv_shortcut",
}
UNET = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "middle_block.0": "mid_block.resnets.0",
    "middle_block.1": "mid_block.attentions.0",
    "middle_block.2": "mid_block.resnets.1",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
    "input_hint_block.0": "controlnet_cond_embedding.conv_in",
    "input_hint_block.14": "controlnet_cond_embedding.conv_out",
    **{f"input_hint_block.{i}": f"controlnet_cond_embedding.blocks.{i // 2 - 1}" for i in range(2, 14, 2)},
    "middle_block_out.0": "controlnet_mid_block",
}
VAE = {
    "mid.block_1": "mid_block.resnets.0",
    "mid.block_2": "mid_block.resnets.1",
    "mid.attn_1.norm": "mid_block.attentions.0.group_norm",
    "mid.attn_1.proj_out": "mid_block.attentions.0.to_out.0",
    **{f"mid.attn_1.{x}": f"mid_block.attentions.0.to_{x}" for x in "qkv"},
    "norm_out": "conv_norm_out",
}


def to_diffusers_unet(state, num_res_blocks):
    """A U-Net's or a control branch's state dict in diffusers' names."""
    return {_rename(_place(key, num_res_blocks), UNET | RESNET): tensor for key, tensor in state.items()}


def _place(key, num_res_blocks):
    """Blocks counted from one end -> level and index in it."""
    key = re.sub(r"^zero_convs\.(\d+)\.0", r"controlnet_down_blocks.\1", key)
    block = re.match(r"(input|output)_blocks\.(\d+)\.(\d+)\.(?=(op|conv)?)", key)
    if not block or key.startswith("input_blocks.0."):
        return key
    side, number, layer = block[1], int(block[2]), int(block[3])
    rest = key[block.end() :]
    level, index = divmod(number - (side == "input"), num_res_blocks + 1)
    level = f"{'down' if side == 'input' else 'up'}_blocks.{level}"
    if rest.startswith(("op.", "conv.")):
        sampler = "downsamplers" if side == "input" else "upsamplers"
        return f"{level}.{sampler}.0.conv.{rest.split('.', 1)[1]}"
    return f"{level}.{('resnets', 'attentions')[layer]}.{index}.{rest}"


def to_diffusers_vae(state):
    """An autoencoder's state dict in diffusers' names, its attention as linear layers."""
    num_levels = 1 + max(int(key.split(".")[2]) for key in state if key.startswith("decoder.up."))
    renamed = {}
    for key, tensor in state.items():
        key = re.sub(r"encoder\.down\.(\d+)\.block", r"encoder.down_blocks.\1.resnets", key)
        key = re.sub(r"encoder\.down\.(\d+)\.downsample", r"encoder.down_blocks.\1.downsamplers.0", key)
        key = re.sub(
            r"decoder\.up\.(\d+)\.(block|upsample)",
            lambda m: (
                f"decoder.up_blocks.{num_levels - 1 - int(m[1])}."
                + {"block": "resnets", "upsample": "upsamplers.0"}[m[2]]
            ),
            key,
        )
        key = _rename(key, VAE | RESNET)
        linear = "attentions" in key and tensor.ndim == 4
        renamed[key] = rearrange(tensor, "o i 1 1 -> o i") if linear else tensor
    return renamed


def _rename(key, names):
    for ours, theirs in names.items():
        key = re.sub(rf"(?<![\w.]){re.escape(ours)}(?=\.)|(?<=\.){re.escape(ours)}(?=\.)", theirs, key)
    return key
