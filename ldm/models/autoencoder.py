"""The autoencoder between pixels and latents (arXiv 2112.10752)."""

from copy import deepcopy

import torch
from torch import nn

from ldm.modules.diffusionmodules.model import Decoder, DiagonalGaussianDistribution, Encoder, check_published
from ldm.util import Count, Size, check_params, refuse_unless


class AutoencoderKL(nn.Module):
    """Images (b, 3, H, W) in [-1, 1] <-> latents (b, embed_dim, H/f, W/f).

    Args: the published yaml's. `ddconfig` describes encoder and decoder; its `resolution` has no effect, and
    `num_groups` (32 in every published checkpoint) is for widths that 32 does not divide well. `lossconfig`
    and `monitor` belong to adversarial pre-training, which this project does not do.
    """

    def __init__(
        self, ddconfig: dict, embed_dim: Size, lossconfig: dict | None = None, monitor=None, ckpt_path=None
    ):
        super().__init__()
        target = (lossconfig or {}).get("target", "torch.nn.Identity")
        refuse_unless(target == "torch.nn.Identity", "lossconfig", target, "the autoencoder stays locked")
        refuse_unless(ckpt_path is None, "ckpt_path", ckpt_path, "weights come with the whole checkpoint")
        check_params(encoder_and_decoder, ddconfig, "ddconfig")
        self.encoder, self.decoder = encoder_and_decoder(**ddconfig)
        moments = (2 if ddconfig.get("double_z", True) else 1) * ddconfig["z_channels"]
        self.quant_conv = nn.Conv2d(moments, 2 * embed_dim, 1)
        self.post_quant_conv = nn.Conv2d(embed_dim, ddconfig["z_channels"], 1)
        self.embed_dim = embed_dim

    def encode(self, x):
        """Images (b, 3, H, W) in [-1, 1] -> the posterior over latents (b, embed_dim, H/f, W/f)."""
        return DiagonalGaussianDistribution(self.quant_conv(self.encoder(x.to(self.dtype))))

    def decode(self, z):
        """Latents (b, embed_dim, h, w) -> images (b, 3, h f, w f), about [-1, 1].

        In fp32 where it would be fp16, whose range the decoder's features leave: then the weights are copied.
        """
        layers, device = nn.Sequential(self.post_quant_conv, self.decoder), z.device.type
        layers = deepcopy(layers).float() if self.dtype == torch.float16 else layers
        autocast = torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) != torch.float16
        with torch.autocast(device, enabled=autocast):
            return layers(z.to(layers[0].weight.dtype))

    @property
    def dtype(self):
        return self.quant_conv.weight.dtype

    @property
    def downsampling(self) -> int:
        """Pixels per latent position, along one side."""
        return 2 ** (len(self.encoder.down) - 1)

    def forward(self, x, generator=None):
        """(reconstruction, posterior) of images, through a drawn latent."""
        posterior = self.encode(x)
        return self.decode(posterior.sample(generator)), posterior


def encoder_and_decoder(
    z_channels: Size,
    ch: Size,
    ch_mult: list[Count],
    num_res_blocks: Count,
    in_channels: Size = 3,
    out_ch: Size = 3,
    double_z: bool = True,
    resolution=None,
    attn_resolutions: list[Size] = (),
    attn_type: str = "vanilla",
    dropout: float = 0.0,
    num_groups: Size = 32,
):
    """Both halves from a yaml's ddconfig, whose keys these arguments are."""
    check_published(attn_resolutions, attn_type)
    if not ch_mult:
        raise ValueError("ch_mult lists the width of each level, got none")
    shared = dict(
        ch=ch,
        ch_mult=tuple(ch_mult),
        num_res_blocks=num_res_blocks,
        z_channels=z_channels,
        dropout=dropout,
        num_groups=num_groups,
    )
    encoder = Encoder(in_channels=in_channels, double_z=double_z, **shared)
    return encoder, Decoder(out_ch=out_ch, **shared)
