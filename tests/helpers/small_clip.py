"""A random CLIP in open_clip's folder layout, small, but with texts and pictures far enough apart to rank."""

import json

import torch

CONFIG = dict(
    embed_dim=32,
    vision_cfg=dict(image_size=32, layers=2, width=32, head_width=16, patch_size=8),
    text_cfg=dict(context_length=77, vocab_size=49408, width=32, heads=2, layers=3),
    quick_gelu=True,
)
PREPROCESS = dict(mean=[0.48, 0.46, 0.41], std=[0.27, 0.26, 0.28], interpolation="bicubic")


def small_clip(seed=0):
    """A random open_clip CLIP."""
    from open_clip.model import CLIP

    torch.manual_seed(seed)
    model = CLIP(**CONFIG).eval()
    with torch.no_grad():
        # as initialised, all texts would be almost alike
        model.token_embedding.weight *= 30
        model.positional_embedding *= 30
        for block in model.transformer.resblocks:
            # values only: with keys and queries as sharp, most words would not be looked at
            block.attn.in_proj_weight[2 * len(block.attn.in_proj_weight) // 3 :] *= 8
            block.attn.out_proj.weight *= 4
            torch.nn.init.normal_(block.attn.in_proj_bias, std=0.3)
            torch.nn.init.normal_(block.ln_1.bias, std=0.3)
    return model


def save_small_clip(folder, seed=0):
    """Write one as open_clip's published folders are: configuration and weights."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config = dict(model_cfg=CONFIG, preprocess_cfg=PREPROCESS)
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    state = {name: value.contiguous() for name, value in small_clip(seed).state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return folder
