"""From an image encoder's features to tokens of the context's width: a linear layer, an MLP, a resampler.

Modules are named as in the files of IP-Adapter (arXiv 2308.06721). Letters: b batch, n tokens in, q tokens
out, d width.
"""

import torch
from einops import rearrange, repeat
from torch import nn

from ldm.modules.diffusionmodules.util import attend


class LinearTokens(nn.Module):
    """One image vector (b, width) -> `num_tokens` tokens (b, num_tokens, context_dim)."""

    def __init__(self, width, context_dim, num_tokens=4):
        super().__init__()
        self.num_tokens = num_tokens
        self.proj = nn.Linear(width, num_tokens * context_dim)
        self.norm = nn.LayerNorm(context_dim)

    def forward(self, vector):
        return self.norm(rearrange(self.proj(vector), "b (n d) -> b n d", n=self.num_tokens))


class MlpTokens(nn.Module):
    """Every patch token on its own (IP-Adapter Full): (b, n, width) -> (b, n, context_dim)."""

    def __init__(self, width, context_dim):
        super().__init__()
        self.proj = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Linear(width, context_dim), nn.LayerNorm(context_dim)
        )

    def forward(self, tokens):
        return self.proj(tokens)


class Resampler(nn.Module):
    """Queries that gather patch tokens (IP-Adapter Plus): (b, n, width) -> (b, num_queries, context_dim)."""

    def __init__(self, width, context_dim, dim=None, depth=4, heads=12, dim_head=64, num_queries=16, mult=4):
        super().__init__()
        dim = dim or context_dim
        self.latents = nn.Parameter(torch.randn(1, num_queries, dim) / dim**0.5)
        self.proj_in = nn.Linear(width, dim)
        self.proj_out = nn.Linear(dim, context_dim)
        self.norm_out = nn.LayerNorm(context_dim)
        self.layers = nn.ModuleList(
            nn.ModuleList([QueryAttention(dim, dim_head, heads), _feed_forward(dim, mult)])
            for _ in range(depth)
        )

    def forward(self, tokens):
        tokens = self.proj_in(tokens)
        queries = repeat(self.latents, "1 q d -> b q d", b=len(tokens))
        for attention, feed_forward in self.layers:
            queries = attention(tokens, queries) + queries
            queries = feed_forward(queries) + queries
        return self.norm_out(self.proj_out(queries))


class QueryAttention(nn.Module):
    """Queries (b, q, d) attend to the tokens (b, n, d) and to themselves."""

    def __init__(self, dim, dim_head, heads):
        super().__init__()
        self.heads, inner = heads, dim_head * heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.to_q = nn.Linear(dim, inner, bias=False)
        self.to_kv = nn.Linear(dim, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, dim, bias=False)

    def forward(self, tokens, queries):
        tokens, queries = self.norm1(tokens), self.norm2(queries)
        k, v = self.to_kv(torch.cat([tokens, queries], dim=1)).chunk(2, dim=-1)
        q, k, v = (rearrange(x, "b n (h d) -> b h n d", h=self.heads) for x in (self.to_q(queries), k, v))
        return self.to_out(rearrange(attend(q, k, v), "b h n d -> b n (h d)"))


def _feed_forward(dim, mult):
    return nn.Sequential(
        nn.LayerNorm(dim),
        nn.Linear(dim, mult * dim, bias=False),
        nn.GELU(),
        nn.Linear(mult * dim, dim, bias=False),
    )


class VectorToken(nn.Module):
    """The image vector as it is, a token of the context's own width (OOTDiffusion): (b, d) -> (b, 1, d)."""

    def forward(self, vector):
        return rearrange(vector, "b d -> b 1 d")


class LinearContext(nn.Linear):
    """Every token on its own by one linear layer (AnyDoor): (b, n, width) -> (b, n, context_dim)."""

    def __init__(self, width, context_dim):
        super().__init__(width, context_dim)


def join_prompt(text, image, site: str):
    """One context (b, n, d) of a text (b, l, d), None for none, and image tokens (b, q, d).

    site: "append" sets them behind the text, "replace" in its place; "fill" keeps the text's first token,
    with which every text begins, and repeats the one image token in each other place (OOTDiffusion's
    half-body model, whose text has 2 tokens when it draws).
    """
    if site == "replace" or text is None:
        return image
    if site == "append":
        return torch.cat([text, image], dim=1)
    return torch.cat([text[:, :1], repeat(image, "b 1 d -> b n d", n=text.shape[1] - 1)], dim=1)


PROJECTORS = {"linear": LinearTokens, "mlp": MlpTokens, "resampler": Resampler, "each": LinearContext}
