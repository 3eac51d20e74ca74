"""Text encoders of Stable Diffusion 1.x and 2.x: prompts to context (b, 77, width). Nothing is downloaded:
the weights are part of the checkpoints, the vocabulary comes with open_clip."""

from typing import Annotated

import torch
from torch import nn

from ldm.modules.encoders.clip_text import NUM_POSITIONS, CLIPTextModel
from ldm.modules.encoders.tokenizer import CLIP_VOCAB_SIZE, PromptTokenizer
from ldm.util import Count, Size, check_params

# vocab_size, hidden_size, intermediate_size, num_hidden_layers, num_attention_heads of the published towers
CLIP_VERSIONS = {
    "openai/clip-vit-large-patch14": (49408, 768, 3072, 12, 12),
    "openai/clip-vit-base-patch32": (49408, 512, 2048, 12, 8),
    "openai/clip-vit-base-patch16": (49408, 512, 2048, 12, 8),
}


def check_max_length(max_length):
    if not 3 <= max_length <= NUM_POSITIONS:
        raise ValueError(
            f"max_length must be within 3..{NUM_POSITIONS}, the positions CLIP has, got {max_length}"
        )


def check_heads(width, heads):
    if width % heads:
        raise ValueError(f"{heads} attention heads do not divide a text encoder's width {width}")


class TextEncoder(nn.Module):
    """A tower of text, frozen or not; its tokens go wherever its weights are."""

    def freeze(self):
        self.eval().requires_grad_(False)

    def encode(self, text: list[str]):
        """Prompts -> context (b, max_length, width)."""
        return self(text)


class FrozenCLIPEmbedder(TextEncoder):
    """Prompts -> context (b, 77, 768) of Stable Diffusion 1.x.

    Args:
        version: the published architecture; null for the sizes of an own, small model.
        device: accepted as the original did; the tower runs where its weights are.
        layer: last (after the final norm), pooled (the end token's, n = 1) or hidden (behind layer_idx).
    """

    def __init__(
        self,
        version: str | None = "openai/clip-vit-large-patch14",
        device=None,
        max_length: int = 77,
        freeze: bool = True,
        layer: str = "last",
        layer_idx: int | None = None,
        vocab_size: Size = CLIP_VOCAB_SIZE,
        hidden_size: Size = 768,
        intermediate_size: Size = 3072,
        num_hidden_layers: Count = 12,
        num_attention_heads: Count = 12,
    ):
        super().__init__()
        sizes = (vocab_size, hidden_size, intermediate_size, num_hidden_layers, num_attention_heads)
        if version is not None and CLIP_VERSIONS.get(version) != sizes:
            known = CLIP_VERSIONS.get(version, f"none that is known (known: {', '.join(CLIP_VERSIONS)})")
            raise ValueError(
                f"version {version!r} has the sizes {known}, the yaml says {sizes}; "
                "for an own model give version: null"
            )
        if layer not in ("last", "pooled", "hidden"):
            raise ValueError(f"layer must be last, pooled or hidden, got {layer!r}")
        if layer == "hidden" and (layer_idx is None or not abs(layer_idx) <= num_hidden_layers):
            raise ValueError(f"layer hidden needs layer_idx within 0..{num_hidden_layers}, got {layer_idx}")
        check_max_length(max_length)
        check_heads(hidden_size, num_attention_heads)
        self.max_length, self.layer, self.layer_idx = max_length, layer, layer_idx
        self.tokenizer = PromptTokenizer(vocab_size, max_length)
        self.transformer = CLIPTextModel(
            vocab_size=vocab_size,
            width=hidden_size,
            hidden_width=intermediate_size,
            num_layers=num_hidden_layers,
            num_heads=num_attention_heads,
        )
        if freeze:
            self.freeze()

    def forward(self, text: list[str]):
        """Prompts -> context (b, max_length, width)."""
        tower = self.transformer.text_model
        tokens = self.tokenizer(text).to(tower.final_layer_norm.weight.device)
        if self.layer == "hidden":  # counted as the original did: 0 is the embeddings, -1 the last layer
            return tower.hidden(tokens, self.layer_idx % (len(tower.encoder["layers"]) + 1))
        x = tower(tokens)
        if self.layer == "pooled":
            end = (tokens == self.tokenizer.end).int().argmax(dim=1)
            return x[torch.arange(len(x), device=x.device), end][:, None]
        return x


class FrozenOpenCLIPEmbedder(TextEncoder):
    """Prompts -> context (b, 77, 1024) of Stable Diffusion 2.x.

    Args:
        arch, version: open_clip's names of the architecture and of the weights in the checkpoint.
        device: accepted as the original did; the tower runs where its weights are.
        layer: last, or penultimate (all blocks but the last, then the final norm).
        text_cfg: open_clip's text_cfg of an own, small model; then arch and version must be null.
    """

    def __init__(
        self,
        arch: str | None = "ViT-H-14",
        version: str | None = "laion2b_s32b_b79k",
        device=None,
        max_length: int = 77,
        freeze: bool = True,
        layer: str = "last",
        text_cfg: dict | None = None,
    ):
        super().__init__()
        if layer not in ("last", "penultimate"):
            raise ValueError(f"layer must be last or penultimate, got {layer!r}")
        check_max_length(max_length)
        self.model = build_open_clip_text(arch, version, text_cfg)
        self.max_length, self.num_skipped = max_length, int(layer == "penultimate")
        self.tokenizer = PromptTokenizer(self.model.vocab_size, max_length, padding=0)
        if freeze:
            self.freeze()

    def unused_tensors(self) -> list[str]:
        """The tensors that no context depends on: projections, and the blocks behind the last that runs."""
        num_blocks = len(self.model.transformer.resblocks)
        skipped = (f"transformer.resblocks.{i}." for i in range(num_blocks - self.num_skipped, num_blocks))
        unused = tuple(f"model.{name}" for name in (*skipped, "text_projection", "logit_scale"))
        return [name for name in self.state_dict() if name.startswith(unused)]

    def forward(self, text: list[str]):
        """Prompts -> context (b, max_length, width)."""
        model, weight = self.model, self.model.ln_final.weight
        tokens = self.tokenizer(text).to(weight.device)
        n = tokens.shape[1]
        x = model.token_embedding(tokens) + model.positional_embedding[:n]
        mask = model.attn_mask[:n, :n].to(x)
        blocks = model.transformer.resblocks
        for block in blocks[: len(blocks) - self.num_skipped]:
            x = block(x, attn_mask=mask)
        return model.ln_final(x)


def text_sizes(
    width: Size,
    heads: Count,
    layers: Count,
    context_length: Annotated[int, range(3, NUM_POSITIONS + 1)] = NUM_POSITIONS,
    vocab_size: Size = CLIP_VOCAB_SIZE,
):
    """The signature is what a text_cfg may hold."""


def build_open_clip_text(arch, version, text_cfg):
    """open_clip's CLIP with random weights and without its vision tower; honours the meta device."""
    import open_clip

    if (arch is None) != (text_cfg is not None) or (arch is None) != (version is None):
        raise ValueError(f"give arch and version, or text_cfg alone; got {arch=}, {version=}, {text_cfg=}")
    # open_clip would look for other names in folders and on the network
    if arch is not None and arch not in open_clip.list_models():
        raise ValueError(f"open_clip knows no architecture {arch!r}; Stable Diffusion 2.x has ViT-H-14")
    if version is not None and version not in open_clip.list_pretrained_tags_by_model(arch):
        raise ValueError(
            f"open_clip knows no weights {version!r} of {arch}; Stable Diffusion 2.x has laion2b_s32b_b79k"
        )
    config = open_clip.get_model_config(arch) if arch else dict(text_cfg=text_cfg)
    sizes = config["text_cfg"]
    # all else that open_clip knows would change the tower, or fetch one of another library by its name
    check_params(text_sizes, sizes, f"text_cfg of {arch}" if arch else "text_cfg")
    check_heads(sizes["width"], sizes["heads"])
    smallest_vision = {"image_size": 8, "patch_size": 8, "width": 64, "layers": 1}
    model = open_clip.CLIP(
        config.get("embed_dim", sizes["width"]),
        smallest_vision,
        dict(sizes),
        quick_gelu=config.get("quick_gelu", False),
    )
    del model.visual
    # not in the checkpoints, so a meta build would leave it without values
    n = model.context_length
    model.attn_mask = torch.full((n, n), float("-inf"), device="cpu").triu(1)
    return model
