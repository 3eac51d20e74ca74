"""Transformer blocks of the U-Net. Letters: b batch, c channels, h w latent, n tokens, d width of a head."""

import torch
from einops import rearrange
from torch import nn
from torch.nn.functional import gelu

from ldm.modules.diffusionmodules.util import attend, checkpoint, zero_module


class GEGLU(nn.Module):
    """Linear layer whose output is gated by the GELU of a second half (arXiv 2002.05202)."""

    def __init__(self, dim_in, dim_out):
        super().__init__()
        self.proj = nn.Linear(dim_in, dim_out * 2)

    def forward(self, x):
        x, gate = self.proj(x).chunk(2, dim=-1)
        return x * gelu(gate)


class FeedForward(nn.Module):
    def __init__(self, dim, mult=4, dropout=0.0):
        super().__init__()
        self.net = nn.Sequential(GEGLU(dim, dim * mult), nn.Dropout(dropout), nn.Linear(dim * mult, dim))

    def forward(self, x):
        return self.net(x)


def tile_rows(x, rows):
    """x (b, ...) repeated along its batch to `rows`; itself where it has them."""
    return x if len(x) >= rows else torch.cat([x] * (rows // len(x)))


class ProjectedContext:
    """A context (b, n, context_dim) for many calls: every attention layer projects it once.

    For sampling, where neither prompt nor weights change from step to step; it is gone with its last user.
    """

    def __init__(self, tokens):
        self.tokens, self._projections = tokens, {}

    def __len__(self):
        return len(self.tokens)

    @property
    def dtype(self):
        return self.tokens.dtype

    def keys_values(self, attention):
        if attention not in self._projections:
            self._projections[attention] = attention.keys_values(self.tokens)
        return self._projections[attention]


class CrossAttention(nn.Module):
    """Attention from x (b, n, c) to context (b, m, context_dim); to itself when context is None."""

    def __init__(self, query_dim, context_dim=None, heads=8, dim_head=64, dropout=0.0):
        super().__init__()
        self.heads = heads
        inner, context_dim = heads * dim_head, context_dim or query_dim
        self.to_q = nn.Linear(query_dim, inner, bias=False)
        self.to_k = nn.Linear(context_dim, inner, bias=False)
        self.to_v = nn.Linear(context_dim, inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, query_dim), nn.Dropout(dropout))

    def forward(self, x, context=None):
        q = self._heads(self.to_q(x))
        if isinstance(context, ProjectedContext):
            k, v = context.keys_values(self)
        else:
            k, v = self.keys_values(x if context is None else context)
        return self.to_out(rearrange(attend(q, k, v), "b h n d -> b n (h d)"))

    def keys_values(self, context):
        """Keys and values (b, heads, m, d) of a context (b, m, context_dim)."""
        return self._heads(self.to_k(context)), self._heads(self.to_v(context))

    def _heads(self, x):
        return rearrange(x, "b n (h d) -> b h n d", h=self.heads)


class BasicTransformerBlock(nn.Module):
    """Self-attention, cross-attention, feed-forward, each pre-normed and residual, on tokens (b, n, c).

    With a context of k b rows, the b rows of tokens meet each of its k parts and become k b.
    The class attributes are the seams for reference tokens and image prompts: a subclass names its own.
    """

    self_attention = CrossAttention
    cross_attention = CrossAttention

    def __init__(self, dim, n_heads, d_head, dropout=0.0, context_dim=None, use_checkpoint=True):
        super().__init__()
        heads = dict(heads=n_heads, dim_head=d_head, dropout=dropout)
        self.attn1 = self.self_attention(dim, **heads)
        self.ff = FeedForward(dim, dropout=dropout)
        self.attn2 = self.cross_attention(dim, context_dim=context_dim, **heads)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.use_checkpoint = use_checkpoint

    def forward(self, x, context=None):
        return checkpoint(self._forward, (x, context), self.use_checkpoint)

    def _forward(self, x, context):
        x = self.attn1(self.norm1(x)) + x
        x = x if context is None else tile_rows(x, len(context))
        x = self.attn2(self.norm2(x), context=context) + x
        return self.ff(self.norm3(x)) + x


class SpatialTransformer(nn.Module):
    """Transformer blocks over the pixels of a feature map (b, c, h, w), residual, zero at initialisation."""

    block = BasicTransformerBlock

    def __init__(
        self,
        in_channels,
        n_heads,
        d_head,
        depth=1,
        dropout=0.0,
        context_dim=None,
        use_linear=False,
        use_checkpoint=True,
    ):
        super().__init__()
        inner = n_heads * d_head
        self.norm = nn.GroupNorm(32, in_channels, eps=1e-6)
        self.proj_in = nn.Linear(in_channels, inner) if use_linear else nn.Conv2d(in_channels, inner, 1)
        self.transformer_blocks = nn.ModuleList(
            self.block(inner, n_heads, d_head, dropout, context_dim, use_checkpoint) for _ in range(depth)
        )
        self.proj_out = zero_module(
            nn.Linear(inner, in_channels) if use_linear else nn.Conv2d(inner, in_channels, 1)
        )
        self.use_linear = use_linear

    def forward(self, x, context=None):
        tokens = self._tokens(self.norm(x))
        for block in self.transformer_blocks:
            tokens = block(tokens, context)
        return self._add(x, tokens)

    def _add(self, x, tokens):
        """Features (b, c, h, w), and tokens (b, h w, d) projected back onto them."""
        h, w = x.shape[-2:]
        x = tile_rows(x, len(tokens))
        if self.use_linear:
            return x + rearrange(self.proj_out(tokens), "b (h w) c -> b c h w", h=h, w=w)
        return x + self.proj_out(rearrange(tokens, "b (h w) c -> b c h w", h=h, w=w))

    def _tokens(self, x):
        if self.use_linear:
            return self.proj_in(rearrange(x, "b c h w -> b (h w) c"))
        return rearrange(self.proj_in(x), "b c h w -> b (h w) c")
