"""Transformer blocks that read more than text: a garment's tokens, and an image's.

Garment tokens come from a U-Net of the garment's own, recorded at the sites of the person's blocks. What
differs between the published models is a class here: whose norm they pass (`PreNormBlock`, `PostNormBlock`),
and how they meet the person's keys (`ReferenceAttention` appends them, the others keep their own softmax).
Letters: b batch, n tokens of the person, m of the reference, c width.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from einops import rearrange
from torch import nn

from cldm.tryon.flow import attend_coordinates
from ldm.modules.attention import BasicTransformerBlock, CrossAttention, ProjectedContext, SpatialTransformer
from ldm.modules.diffusionmodules.util import attend, checkpoint, zero_module


@dataclass(frozen=True)
class Tokens:
    """What the blocks read besides their own tokens; goes through the U-Net in the place of its context.

    text: context (b, l, d), or a memo of its projections; None in models without text.
    image: tokens (b, k, d) of an image prompt for decoupled cross-attention, or a memo; None without one.
    image_scale: factor on the image prompt's attention.
    references: garment tokens (b, m, c) by the site of the block that reads them, or memos of their keys.
    kept: bool (b,), False for rows whose reference is no token at all; None keeps them all.
    shares: where to note how much each query looks at each key of the reference, (b, n, m) by site; None does
        not ask.
    """

    text: torch.Tensor | ProjectedContext | None
    image: torch.Tensor | ProjectedContext | None = None
    image_scale: float = 1.0
    references: Mapping[str, torch.Tensor | ProjectedContext] = field(default_factory=dict)
    kept: torch.Tensor | None = None
    shares: dict | None = None

    def __len__(self):
        return len(self.text)


class ReferenceAttention(CrossAttention):
    """Self-attention whose keys and values are the person's and the reference's together."""

    def forward(self, x, reference=None, kept=None):
        """x (b, n, c), reference: keys and values (b, heads, m, d) of the garment -> (b, n, c)."""
        if reference is None:
            return super().forward(x)
        own_k, own_v = self.keys_values(x)
        k, v = (torch.cat(pair, dim=2) for pair in zip((own_k, own_v), reference, strict=True))
        mask = None if kept is None else allow_keys(kept, own_k.shape[2], reference[0].shape[2])
        return self._join(attend(self._heads(self.to_q(x)), k, v, mask=mask))

    def reference_keys_values(self, tokens):
        """Keys and values (b, heads, m, d) of garment tokens (b, m, c) that have passed a norm."""
        return self.keys_values(tokens)

    def _join(self, x):
        return self.to_out(rearrange(x, "b h n d -> b n (h d)"))


class GatedReferenceAttention(ReferenceAttention):
    """The reference is attended to on its own, and added behind a gate that starts closed: tanh(gate), 0.

    A fresh gate leaves the locked U-Net as it is; it is the first to get a gradient.
    """

    def __init__(self, query_dim, **options):
        super().__init__(query_dim, **options)
        self.gate = nn.Parameter(torch.zeros(self.heads))

    def forward(self, x, reference=None, kept=None):
        if reference is None:
            return CrossAttention.forward(self, x)
        q = self._heads(self.to_q(x))
        gate = self.gate.tanh()[:, None, None]
        if kept is not None:
            gate = gate * kept[:, None, None, None]
        return self._join(attend(q, *self.keys_values(x)) + gate * attend(q, *reference))


class DecoupledReferenceAttention(ReferenceAttention):
    """The reference has keys, values and an output layer of its own, which starts at zero.

    The output has no bias, so that a reference that is left out adds nothing.
    """

    def __init__(self, query_dim, **options):
        super().__init__(query_dim, **options)
        inner = self.to_q.out_features
        self.to_k_ref = nn.Linear(query_dim, inner, bias=False)
        self.to_v_ref = nn.Linear(query_dim, inner, bias=False)
        self.to_out_ref = zero_module(nn.Linear(inner, query_dim, bias=False))

    def forward(self, x, reference=None, kept=None):
        own = CrossAttention.forward(self, x)
        if reference is None:
            return own
        added = self.to_out_ref(
            rearrange(attend(self._heads(self.to_q(x)), *reference), "b h n d -> b n (h d)")
        )
        return own + (added if kept is None else added * kept[:, None, None])

    def reference_keys_values(self, tokens):
        return self._heads(self.to_k_ref(tokens)), self._heads(self.to_v_ref(tokens))


class ImagePromptAttention(CrossAttention):
    """Decoupled cross-attention (IP-Adapter, arXiv 2308.06721, equation 5): text and image by one query."""

    def __init__(self, query_dim, context_dim=None, **options):
        super().__init__(query_dim, context_dim=context_dim, **options)
        self.to_k_ip = nn.Linear(context_dim, self.to_k.out_features, bias=False)
        self.to_v_ip = nn.Linear(context_dim, self.to_v.out_features, bias=False)

    def forward(self, x, context=None, image=None, scale=1.0):
        if image is None:
            return super().forward(x, context)
        q = self._heads(self.to_q(x))
        text = (
            context.keys_values(self) if isinstance(context, ProjectedContext) else self.keys_values(context)
        )
        keys = (
            image.keys_values(_OfImage(self))
            if isinstance(image, ProjectedContext)
            else self.image_keys(image)
        )
        return self.to_out(rearrange(attend(q, *text) + scale * attend(q, *keys), "b h n d -> b n (h d)"))

    def image_keys(self, image):
        """Keys and values (b, heads, k, d) of image tokens (b, k, context_dim)."""
        return self._heads(self.to_k_ip(image)), self._heads(self.to_v_ip(image))


@dataclass(frozen=True)
class _OfImage:
    """What a memo of image tokens asks for keys, with an identity per layer."""

    attention: nn.Module

    def keys_values(self, tokens):
        return self.attention.image_keys(tokens)


class SkippedAttention(nn.Module):
    """No cross-attention: its input comes back, so that its block adds norm2(x), as CatVTON's does."""

    def __init__(self, query_dim, context_dim=None, **options):
        super().__init__()

    def forward(self, x, context=None):
        return x


class ReferenceBlock(BasicTransformerBlock, ABC):
    """A transformer block that reads Tokens. `site` is its place in the U-Net, `input_blocks.1.1` say."""

    self_attention = ReferenceAttention
    site = ""

    def forward(self, x, context):
        reference = context.references.get(self.site)
        if context.shares is not None and reference is not None:
            # outside of what is recomputed, which would note it twice
            context.shares[self.site] = self.share_attention(x, reference)
        inputs = x, context.text, context.image, reference, context.kept
        # tensors are arguments, so that recomputing in the backward pass can't lose their gradients
        return checkpoint(
            lambda *given: self._forward(*given, context.image_scale), inputs, self.use_checkpoint
        )

    def _forward(self, x, text, image, reference, kept, image_scale):
        if isinstance(reference, ProjectedContext):
            reference = reference.keys_values(self)
        elif reference is not None:
            reference = self.keys_values(reference)
        x = self.attn1(self.norm1(x), reference, kept) + x
        x = self.attend_context(self.norm2(x), text, image, image_scale) + x
        return self.ff(self.norm3(x)) + x

    def attend_context(self, x, text, image, image_scale):
        if isinstance(self.attn2, ImagePromptAttention):
            return self.attn2(x, text, image, image_scale)
        return self.attn2(x, context=text)

    def share_attention(self, x, reference):
        """How much each token (b, n, c) looks at each of the reference, (b, n, m), among these alone."""
        q = self.attn1._heads(self.attn1.to_q(self.norm1(x)))
        return attend_coordinates(q, self.keys_values(reference)[0])

    def keys_values(self, tokens):
        """Keys and values of recorded garment tokens (b, m, c)."""
        return self.attn1.reference_keys_values(self.norm_reference(tokens))

    @abstractmethod
    def record(self, x):
        """What the garment's U-Net hands to the person's block, of its own block's tokens (b, m, c)."""

    @abstractmethod
    def norm_reference(self, tokens):
        """Recorded tokens as this block's self-attention takes them."""

    @abstractmethod
    def unused_when_recorded(self):
        """The parts that nothing of `record` passes."""


class PreNormBlock(ReferenceBlock):
    """Garment tokens are recorded before norm1, and pass the person's (OOTDiffusion, arXiv 2403.01779)."""

    def record(self, x):
        return x

    def unused_when_recorded(self):
        return list(self.children())

    def norm_reference(self, tokens):
        return self.norm1(tokens)


class PostNormBlock(ReferenceBlock):
    """Garment tokens have passed the garment's own norm1 (IDM-VTON, Magic Clothing, Leffa)."""

    def record(self, x):
        return self.norm1(x)

    def unused_when_recorded(self):
        return [part for part in self.children() if part is not self.norm1]

    def norm_reference(self, tokens):
        return tokens


def allow_keys(kept, num_own: int, num_reference: int):
    """Which keys each row may see, bool (b, 1, 1, n + m): its own, and the reference's where `kept` (b,)."""
    own = kept.new_ones(len(kept), num_own)
    return torch.cat([own, kept[:, None].expand(-1, num_reference)], dim=1)[:, None, None]


SELF_ATTENTIONS = {
    "concat": ReferenceAttention,
    "gated": GatedReferenceAttention,
    "decoupled": DecoupledReferenceAttention,
}
CROSS_ATTENTIONS = {"text": CrossAttention, "text+image": ImagePromptAttention, "skip": SkippedAttention}
BLOCKS = {"pre": PreNormBlock, "post": PostNormBlock}


def build_transformer(norm="pre", mix="concat", context="text") -> type[SpatialTransformer]:
    """The SpatialTransformer of a U-Net whose blocks read Tokens in the named way.

    Raises:
        ValueError: a name that is none of BLOCKS, SELF_ATTENTIONS, CROSS_ATTENTIONS.
    """
    for key, value, known in (
        ("norm", norm, BLOCKS),
        ("mix", mix, SELF_ATTENTIONS),
        ("context", context, CROSS_ATTENTIONS),
    ):
        if value not in known:
            raise ValueError(f"{key} must be one of {', '.join(known)}, got {value!r}")
    seams = dict(self_attention=SELF_ATTENTIONS[mix], cross_attention=CROSS_ATTENTIONS[context])
    block = type(BLOCKS[norm].__name__, (BLOCKS[norm],), seams)
    return type("ReferenceTransformer", (ReferenceTransformer,), dict(block=block))


class ReferenceTransformer(SpatialTransformer):
    """A SpatialTransformer of ReferenceBlocks that can hand out what its first block records."""

    def forward_recording(self, x, context):
        """As forward, and the tokens (b, m, c) that a person's block of the same site reads."""
        tokens = self._tokens(self.norm(x))
        recorded = self.transformer_blocks[0].record(tokens)
        for block in self.transformer_blocks:
            tokens = block(tokens, context)
        return self._add(x, tokens), recorded

    def record(self, x):
        """The recorded tokens alone, of the last site that anybody reads."""
        return self.transformer_blocks[0].record(self._tokens(self.norm(x)))
