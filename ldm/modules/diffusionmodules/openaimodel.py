"""The U-Net of latent diffusion: an encoder that the control branch shares, and a decoder."""

import torch
from torch import nn

from ldm.modules.attention import SpatialTransformer, tile_rows
from ldm.modules.diffusionmodules.util import checkpoint, normalization, timestep_embedding, zero_module
from ldm.util import Count, Size, refuse_unless

MAX_LAYERS = 500  # of an encoder; ten times what any published one has


class TimestepEmbedSequential(nn.Sequential):
    """Runs its layers, giving each what it takes: time embedding (b, 4 c) or context (b, n, context_dim)."""

    def forward(self, x, emb, context=None):
        for layer in self:
            x = run_layer(layer, x, emb, context)
        return x


def run_layer(layer, x, emb, context):
    """A layer of the U-Net on features (b, c, h, w), given what it takes besides."""
    if isinstance(layer, ResBlock):
        return layer(x, emb)
    if isinstance(layer, SpatialTransformer):
        return layer(x, context)
    return layer(x)


class Upsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return self.conv(nn.functional.interpolate(x, scale_factor=2, mode="nearest"))


class Downsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x):
        return self.op(x)


class ResBlock(nn.Module):
    """Two convolutions, the time embedding added between them; zero at initialisation besides its skip."""

    def __init__(self, channels, emb_channels, dropout, out_channels, use_checkpoint=False):
        super().__init__()
        self.in_layers = nn.Sequential(
            normalization(channels), nn.SiLU(), nn.Conv2d(channels, out_channels, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(emb_channels, out_channels))
        self.out_layers = nn.Sequential(
            normalization(out_channels),
            nn.SiLU(),
            nn.Dropout(dropout),
            zero_module(nn.Conv2d(out_channels, out_channels, 3, padding=1)),
        )
        same = channels == out_channels
        self.skip_connection = nn.Identity() if same else nn.Conv2d(channels, out_channels, 1)
        self.use_checkpoint = use_checkpoint

    def forward(self, x, emb):
        return checkpoint(self._forward, (x, emb), self.use_checkpoint)

    def _forward(self, x, emb):
        h = self.in_layers(x) + tile_rows(self.emb_layers(emb), len(x))[:, :, None, None]
        return self.skip_connection(x) + self.out_layers(h)


class UNetEncoder(nn.Module):
    """Time embedding, input blocks and middle block: what the U-Net and the control branch have in common.

    Args are the published yaml's. Channels follow `model_channels` x `channel_mult`; a level attends when its
    downsampling factor is in `attention_resolutions`. `image_size` and `legacy` change nothing here.
    """

    transformer = SpatialTransformer

    def __init__(
        self,
        in_channels: Size,
        model_channels: Size,
        num_res_blocks: Count,
        attention_resolutions: list[Size],
        context_dim: Size,
        channel_mult: list[Count] = (1, 2, 4, 4),
        dropout: float = 0.0,
        num_heads: int = -1,
        num_head_channels: int = -1,
        use_spatial_transformer: bool = True,
        use_linear_in_transformer: bool = False,
        transformer_depth: Count = 1,
        use_checkpoint: bool = False,
        image_size=None,
        legacy=False,
    ):
        super().__init__()
        refuse_unless(
            use_spatial_transformer, "use_spatial_transformer", False, "every layer here attends to context"
        )
        if (num_heads == -1) == (num_head_channels == -1):
            raise ValueError("give exactly one of num_heads and num_head_channels")
        if not channel_mult or len(channel_mult) * num_res_blocks * transformer_depth > MAX_LAYERS:
            raise ValueError(
                f"channel_mult, num_res_blocks and transformer_depth make 1 to {MAX_LAYERS} layers, got "
                f"{list(channel_mult)}, {num_res_blocks} and {transformer_depth}"
            )
        self.in_channels, self.model_channels = in_channels, model_channels
        self.channel_mult = tuple(channel_mult)
        self.num_res_blocks, self.attention_resolutions = num_res_blocks, tuple(attention_resolutions)
        self.dropout, self.use_checkpoint, self.emb_channels = dropout, use_checkpoint, model_channels * 4
        self.num_heads, self.num_head_channels = num_heads, num_head_channels
        self.transformer_options = dict(
            depth=transformer_depth,
            dropout=dropout,
            context_dim=context_dim,
            use_linear=use_linear_in_transformer,
            use_checkpoint=use_checkpoint,
        )
        self.time_embed = nn.Sequential(
            nn.Linear(model_channels, self.emb_channels),
            nn.SiLU(),
            nn.Linear(self.emb_channels, self.emb_channels),
        )
        self._build_input_blocks()
        ch = self.skip_channels[-1]
        layers = self._res_block(ch, ch), self._attention(ch), self._res_block(ch, ch)
        self.middle_block = TimestepEmbedSequential(*layers)

    def _build_input_blocks(self):
        ch, self.skip_channels = self.model_channels, [self.model_channels]
        blocks = [TimestepEmbedSequential(nn.Conv2d(self.in_channels, ch, 3, padding=1))]
        for level, mult in enumerate(self.channel_mult):
            for _ in range(self.num_res_blocks):
                blocks.append(self._level_block(ch, mult * self.model_channels, level))
                ch = mult * self.model_channels
                self.skip_channels.append(ch)
            if level != len(self.channel_mult) - 1:
                blocks.append(TimestepEmbedSequential(Downsample(ch)))
                self.skip_channels.append(ch)
        self.input_blocks = nn.ModuleList(blocks)

    def _level_block(self, in_channels, out_channels, level):
        layers = [self._res_block(in_channels, out_channels)]
        if 2**level in self.attention_resolutions:
            layers.append(self._attention(out_channels))
        return TimestepEmbedSequential(*layers)

    def _res_block(self, in_channels, out_channels):
        return ResBlock(in_channels, self.emb_channels, self.dropout, out_channels, self.use_checkpoint)

    def _attention(self, channels):
        heads = self.num_heads if self.num_heads != -1 else channels // max(1, self.num_head_channels)
        if not 1 <= heads <= channels:
            given = f"num_heads {self.num_heads} and num_head_channels {self.num_head_channels}"
            raise ValueError(f"{given} do not fit a level of {channels} channels")
        return self.transformer(channels, heads, channels // heads, **self.transformer_options)

    def embed_time(self, timesteps):
        """Timesteps (b,) -> embeddings (b, 4 model_channels) in the dtype of the weights."""
        emb = timestep_embedding(timesteps, self.model_channels)
        return self.time_embed(emb.to(self.time_embed[0].weight.dtype))

    def encode(self, x, emb, context, stem_residual=None):
        """Latents (b, in_channels, h, w) -> (middle features, one skip per input block, outermost first).

        `stem_residual` (b, model_channels, h, w) is added behind the first convolution.
        """
        h = self.input_blocks[0](x, emb, context)
        h = h if stem_residual is None else h + stem_residual
        skips = [h]
        for block in self.input_blocks[1:]:
            h = block(h, emb, context)
            skips.append(h)
        return self.middle_block(h, emb, context), skips


class UNetModel(UNetEncoder):
    """Latents (b, in_channels, h, w), timesteps (b,), context (b, n, d) -> (b, out_channels, h, w).

    A context of k b rows gives k b outputs, k for each latent; until the first attention to it, b go through.
    """

    def __init__(self, out_channels: Size, **encoder_options):
        super().__init__(**encoder_options)
        ch, skips, blocks = self.skip_channels[-1], list(self.skip_channels), []
        for level, mult in reversed(list(enumerate(self.channel_mult))):
            for i in range(self.num_res_blocks + 1):
                block = self._level_block(ch + skips.pop(), mult * self.model_channels, level)
                ch = mult * self.model_channels
                if level and i == self.num_res_blocks:
                    block.append(Upsample(ch))
                blocks.append(block)
        self.output_blocks = nn.ModuleList(blocks)
        self.out = nn.Sequential(
            normalization(ch), nn.SiLU(), zero_module(nn.Conv2d(ch, out_channels, 3, padding=1))
        )

    def decode(self, h, skips, emb, context):
        """Middle features and the encoder's skips -> the U-Net's output (b, out_channels, h, w)."""
        for block, skip in zip(self.output_blocks, reversed(skips), strict=True):
            h = block(torch.cat([h, tile_rows(skip, len(h))], dim=1), emb, context)
        return self.out(h)

    def forward(self, x, timesteps, context):
        emb = self.embed_time(timesteps)
        h, skips = self.encode(x, emb, context)
        return self.decode(h, skips, emb, context)
