"""CLIP's text tower, with the tensor names of Stable Diffusion 1.x checkpoints."""

import torch
from einops import rearrange
from torch import nn

from ldm.modules.diffusionmodules.util import attend

NUM_POSITIONS = 77


def quick_gelu(x):
    return x * torch.sigmoid(1.702 * x)


class CausalSelfAttention(nn.Module):
    """Every token (b, n, d) looks at itself and at those before it."""

    def __init__(self, width, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x):
        q, k, v = (
            rearrange(proj(x), "b n (h d) -> b h n d", h=self.num_heads)
            for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        x = attend(q, k, v, is_causal=True)
        return self.out_proj(rearrange(x, "b h n d -> b n (h d)"))


class MLP(nn.Module):
    def __init__(self, width, hidden_width):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden_width)
        self.fc2 = nn.Linear(hidden_width, width)

    def forward(self, x):
        return self.fc2(quick_gelu(self.fc1(x)))


class Layer(nn.Module):
    def __init__(self, width, hidden_width, num_heads):
        super().__init__()
        self.self_attn = CausalSelfAttention(width, num_heads)
        self.layer_norm1 = nn.LayerNorm(width)
        self.mlp = MLP(width, hidden_width)
        self.layer_norm2 = nn.LayerNorm(width)

    def forward(self, x):
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


def uniform_embedding(num, width, std):
    """CLIP's initial scale. Not nn.Embedding's own normal: that imports sympy on the meta device."""
    bound = std * 3**0.5
    return nn.Embedding.from_pretrained(torch.empty(num, width).uniform_(-bound, bound), freeze=False)


class Embeddings(nn.Module):
    """Token ids (b, n) -> vectors (b, n, d)."""

    def __init__(self, vocab_size, width):
        super().__init__()
        self.token_embedding = uniform_embedding(vocab_size, width, std=0.02)
        self.position_embedding = uniform_embedding(NUM_POSITIONS, width, std=0.01)
        # part of the checkpoints, not of the computation; always real, for a meta build to need no repair
        self.register_buffer("position_ids", torch.arange(NUM_POSITIONS, device="cpu")[None])

    def forward(self, tokens):
        return self.token_embedding(tokens) + self.position_embedding.weight[: tokens.shape[1]]


class TextTransformer(nn.Module):
    def __init__(self, vocab_size, width, hidden_width, num_layers, num_heads):
        super().__init__()
        layers = nn.ModuleList(Layer(width, hidden_width, num_heads) for _ in range(num_layers))
        self.embeddings = Embeddings(vocab_size, width)
        self.encoder = nn.ModuleDict({"layers": layers})
        self.final_layer_norm = nn.LayerNorm(width)

    def hidden(self, tokens, num_layers):
        """Token ids (b, n) -> what `num_layers` layers make of them (b, n, d), before the final norm."""
        x = self.embeddings(tokens)
        for layer in self.encoder["layers"][:num_layers]:
            x = layer(x)
        return x

    def forward(self, tokens):
        return self.final_layer_norm(self.hidden(tokens, len(self.encoder["layers"])))


class CLIPTextModel(nn.Module):
    """CLIP's text tower under its published names, `text_model.*`; token ids (b, n) -> (b, n, d)."""

    def __init__(self, **sizes):
        super().__init__()
        self.text_model = TextTransformer(**sizes)
        self.register_load_state_dict_pre_hook(tolerate_published_layouts)

    def forward(self, tokens):
        return self.text_model(tokens)


def tolerate_published_layouts(module, state_dict, prefix, *_):
    """The two differences between published files, everything else being an error of load_state_dict:

    - transformers 5 writes no `text_model.` level;
    - `position_ids` is missing there too, and rounded where somebody converted a checkpoint to 16 bits.
    """
    for part in ("embeddings.", "encoder.", "final_layer_norm."):
        for key in [key for key in state_dict if key.startswith(prefix + part)]:
            state_dict[f"{prefix}text_model.{key.removeprefix(prefix)}"] = state_dict.pop(key)
    state_dict[f"{prefix}text_model.embeddings.position_ids"] = module.text_model.embeddings.position_ids
