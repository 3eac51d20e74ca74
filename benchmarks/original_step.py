"""The arithmetic of the original ControlNet's training step, as a variant of this project's modules.

Of the locked U-Net only the encoder is without gradients, so that the decoder computes those of its weights
and keeps them; every block is computed once more in the backward pass, by reentrant checkpointing; attention
holds its fp32 logits and probabilities. Autoencoder and text encoder are this project's, which favours it.
"""

import torch
from einops import rearrange
from torch import einsum
from torch.utils.checkpoint import checkpoint

from cldm.cldm import ControlLDM, ControlledUnetModel, ControlNet
from cldm.model import read_config
from ldm.checkpoint import read_state_dict
from ldm.modules.attention import BasicTransformerBlock, CrossAttention, SpatialTransformer
from ldm.modules.diffusionmodules.openaimodel import ResBlock
from ldm.util import instantiate_from_config, register_target


def recomputed(function, *inputs):
    if not torch.is_grad_enabled():
        return function(*inputs)
    return checkpoint(function, *inputs, use_reentrant=True, preserve_rng_state=False)


class EinsumAttention(CrossAttention):
    def forward(self, x, context=None):
        context = x if context is None else context
        q, k, v = (
            rearrange(t, "b n (h d) -> (b h) n d", h=self.heads)
            for t in (self.to_q(x), self.to_k(context), self.to_v(context))
        )
        with torch.autocast(q.device.type, enabled=False):
            logits = einsum("b i d, b j d -> b i j", q.float(), k.float()) * q.shape[-1] ** -0.5
        attended = einsum("b i j, b j d -> b i d", logits.softmax(dim=-1), v)
        return self.to_out(rearrange(attended, "(b h) n d -> b n (h d)", h=self.heads))


class OriginalTransformerBlock(BasicTransformerBlock):
    self_attention = cross_attention = EinsumAttention

    def forward(self, x, context=None):
        return recomputed(self._forward, x, context)


class OriginalTransformer(SpatialTransformer):
    block = OriginalTransformerBlock


class OriginalResBlock(ResBlock):
    def forward(self, x, emb):
        return recomputed(self._forward, x, emb)


class OriginalBlocks:
    transformer = OriginalTransformer

    def _res_block(self, in_channels, out_channels):
        return OriginalResBlock(in_channels, self.emb_channels, self.dropout, out_channels)


@register_target
class OriginalControlNet(OriginalBlocks, ControlNet):
    """The branch."""


@register_target
class OriginalUnet(OriginalBlocks, ControlledUnetModel):
    """The locked U-Net: no graph for time embedding and encoder, a whole one for the decoder."""

    def forward(self, x, timesteps, context, control=None, only_mid_control=False):
        with torch.no_grad():
            emb = self.embed_time(timesteps)
            h, skips = self.encode(x, emb, context)
        skips = [skip + residual for skip, residual in zip(skips, control[:-1], strict=True)]
        return self.decode(h + control[-1], skips, emb, context)


@register_target
class OriginalLDM(ControlLDM):
    """Takes gradients from nothing in the U-Net, and trains the branch by AdamW as PyTorch comes."""

    def lock(self):
        super().lock()
        self.model.diffusion_model.requires_grad_(True)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.control_model.parameters(), lr=self.learning_rate)


def build_original(options):
    """The variant with the weights of the grafted checkpoint that TrainOptions name."""
    config = read_config(options.model)
    config.target = f"{__name__}.OriginalLDM"
    config.params.unet_config.target = f"{__name__}.OriginalUnet"
    config.params.control_stage_config.target = f"{__name__}.OriginalControlNet"
    with torch.device("meta"):
        model = instantiate_from_config(config)
    model.load_state_dict(read_state_dict(options.base), assign=True)
    model.learning_rate = options.learning_rate
    model.lock()
    return model.to("cpu").train()
