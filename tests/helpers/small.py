"""A model of a few layers: two levels, 8x8 latents from 64x64 images, prompts without a language model."""

import torch
from omegaconf import OmegaConf
from torch import nn

from ldm.util import instantiate_from_config, register_target

CONTEXT_DIM, NUM_TOKENS = 16, 5
UNET = dict(
    in_channels=4,
    model_channels=32,
    channel_mult=[1, 2],
    num_res_blocks=1,
    attention_resolutions=[1],
    num_heads=4,
    context_dim=CONTEXT_DIM,
    use_checkpoint=True,
    use_spatial_transformer=True,
    transformer_depth=1,
    image_size=8,
    legacy=False,
)
AUTOENCODER = dict(double_z=True, z_channels=4, resolution=64, in_channels=3, out_ch=3, ch=32)
AUTOENCODER |= dict(ch_mult=[1, 1, 1, 1], num_res_blocks=1, attn_resolutions=[], dropout=0.0)


@register_target
class PromptStub(nn.Module):
    """Prompts -> context (b, 5, 16) that depends on their letters; the empty prompt gives zeros."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, text):
        numbers = [[sum(map(ord, prompt)) % (7 + i) / (7 + i) for i in range(CONTEXT_DIM)] for prompt in text]
        return self.scale * torch.tensor(numbers, device=self.scale.device)[:, None].expand(
            -1, NUM_TOKENS, -1
        )


def small_config(unet=None, autoencoder=None, hint_channels=3, **options):
    """The `model` node of a yaml. `unet` changes U-Net and control branch, `options` are ControlLDM's."""
    unet = UNET | (unet or {})
    ddconfig = AUTOENCODER | (autoencoder or {})
    params = dict(
        linear_start=0.00085,
        linear_end=0.012,
        control_key="hint",
        scale_factor=0.18215,
        image_size=8,
        control_stage_config=dict(
            target="cldm.cldm.ControlNet", params=dict(hint_channels=hint_channels, **unet)
        ),
        unet_config=dict(target="cldm.cldm.ControlledUnetModel", params=dict(out_channels=4, **unet)),
        first_stage_config=dict(
            target="ldm.models.autoencoder.AutoencoderKL",
            params=dict(embed_dim=4, ddconfig=ddconfig, lossconfig=dict(target="torch.nn.Identity")),
        ),
        cond_stage_config=dict(target="small.PromptStub"),
    )
    return OmegaConf.create(dict(target="cldm.cldm.ControlLDM", params=params | options))


def small_model(zeros=True, **options):
    """A seeded ControlLDM; without `zeros` no tensor is left at zero, as after training."""
    torch.manual_seed(0)
    model = instantiate_from_config(small_config(**options))
    if not zeros:
        with torch.no_grad():
            for parameter in model.parameters():
                if not parameter.any():
                    parameter.normal_(std=0.05)
    return model.eval()


def noisy(num=2):
    """Latents (num, 4, 8, 8) and their timesteps."""
    x = torch.randn(num, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    return x, torch.tensor([10, 700] * num)[:num]


def condition(num=2, seed=0, hint_channels=3):
    """A condition dict as `get_input` gives it."""
    generator = torch.Generator().manual_seed(seed)
    context = torch.randn(num, NUM_TOKENS, CONTEXT_DIM, generator=generator)
    return dict(c_crossattn=[context], c_concat=[torch.rand(num, hint_channels, 64, 64, generator=generator)])


def batch(num=2, seed=0):
    """A batch as the data loader gives it."""
    generator = torch.Generator().manual_seed(seed)
    images, hints = (torch.rand(num, 64, 64, 3, generator=generator) for _ in range(2))
    return dict(jpg=images * 2 - 1, hint=hints, txt=[f"a garment, number {i}" for i in range(num)])
