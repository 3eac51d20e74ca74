"""Try-on models of two levels on latents of 8 x 6, with every kind of condition, and batches for them."""

import torch

from cldm.tryon.model import TryonLDM
from ldm.util import register_target
from small import AUTOENCODER, CONTEXT_DIM, UNET

HERE = "cldm.tryon.conditions."
HEIGHT, WIDTH = 64, 48


def unet(**changes):
    return {**UNET, "use_checkpoint": False, "out_channels": 4, **changes}


def entry(name, **params):
    return dict(target=HERE + name, params=params)


def garment(recompute=False, sites=None, norm="pre", kind="GarmentReference", **options):
    network = dict(
        target="cldm.tryon.unet.GarmentUNet", params=unet(norm=norm, sites=sites, use_checkpoint=recompute)
    )
    return entry(kind, network=network, **options)


TEXT = dict(text=entry("TextCondition"))
AGNOSTIC = dict(agnostic=entry("LatentChannels", key="agnostic"))
MASK = dict(mask=entry("MaskChannel"))
REFERENCE = TEXT | AGNOSTIC | MASK
STACK = MASK | AGNOSTIC
TOKENS = dict(
    encoder=dict(target="small_tryon.Means"),
    projector=dict(
        target="cldm.tryon.image_tokens.LinearTokens",
        params=dict(width=3, context_dim=CONTEXT_DIM, num_tokens=2),
    ),
)

COLLAGE_NET = dict(target="cldm.tryon.anydoor.CollageNet", params=dict(hint_channels=4, **UNET))


@register_target
class Means(torch.nn.Module):
    """An image encoder: the mean colour (b, 3), of pictures uint8 (b, H, W, 3)."""

    def forward(self, pictures):
        return pictures.float().mean((1, 2)) / 255


@register_target
class WideToken(torch.nn.Module):
    """A vector (b, 3) as one token (b, 1, d) of the context's width."""

    def forward(self, vector):
        return vector[:, None].repeat(1, 1, CONTEXT_DIM // 3 + 1)[..., :CONTEXT_DIM]


def build(conditions, in_channels=9, person="PersonUNet", person_unet=None, zeros=False, seed=0, **options):
    """A seeded TryonLDM; without `zeros` no tensor is left at zero, as after training."""
    torch.manual_seed(seed)
    params = unet(in_channels=in_channels, **(person_unet or {}))
    model = TryonLDM(
        conditions=conditions,
        unet_config=dict(target=f"cldm.tryon.unet.{person}", params=params),
        first_stage_config=dict(
            target="ldm.models.autoencoder.AutoencoderKL", params=dict(embed_dim=4, ddconfig=AUTOENCODER)
        ),
        cond_stage_config=dict(target="small.PromptStub"),
        linear_start=0.00085,
        linear_end=0.012,
        scale_factor=0.18215,
        **options,
    )
    if not zeros:
        with torch.no_grad():
            for parameter in model.parameters():
                if not parameter.any():
                    parameter.normal_(std=0.05)
    return model.eval()


def batch(num=2, seed=0):
    """As a loader gives it: person, agnostic person, garment, masks, prompts."""
    generator = torch.Generator().manual_seed(seed)
    pictures = {
        key: torch.rand(num, HEIGHT, WIDTH, 3, generator=generator) * 2 - 1
        for key in ("jpg", "agnostic", "garment")
    }
    masks = {
        key: (torch.rand(num, HEIGHT, WIDTH, generator=generator) > 0.5).float()
        for key in ("mask", "worn_mask")
    }
    pixels = ((pictures["garment"] + 1) * 127.5).to(torch.uint8)
    masks["garment_mask"] = torch.zeros(num, HEIGHT, WIDTH, 1)
    masks["garment_mask"][:, 10:50, 8:40] = 1
    prompts = dict(txt=["a red dress", "a hat"][:num], negative=[""] * num)
    return pictures | masks | prompts | dict(garment_pixels=pixels, category_id=torch.tensor([0, 1])[:num])


def noisy(num=2, rows=1):
    """Latents (num, 4, rows 8, 6) and timesteps."""
    x = torch.randn(num, 4, rows * 8, 6, generator=torch.Generator().manual_seed(3))
    return x, torch.tensor([40, 700])[:num]


def collage(name, **params):
    """An entry of AnyDoor's own."""
    return dict(target=f"cldm.tryon.anydoor.{name}", params=params)


RECIPES = {
    "ootd": (REFERENCE | dict(garment=garment(dropout=0.1)), {}),
    "idm": (REFERENCE | dict(garment=garment(time="sync", drop_to="zero_features", dropout=0.1)), {}),
    "magic": (
        TEXT | STACK | dict(garment=garment(kind="MaskedGarment", drop_to="zero_features", dropout=0.1)),
        {},
    ),
    "catvton": (
        STACK | dict(garment=entry("StackedGarment", draw="mode", dropout=0.1)),
        dict(context="skip"),
    ),
    "deco": (
        STACK
        | dict(
            garment=entry("StackedGarment", drop_to="garment_free", anchored=True, draw="mode", dropout=0.1)
        ),
        dict(context="skip"),
    ),
    "fastfit": (
        STACK | dict(garment=entry("GarmentReference", time="none", width=32, context="none", dropout=0.1)),
        dict(context="skip"),
    ),
    "anydoor": (
        STACK
        | dict(
            garment=collage("CutGarment", **TOKENS, site="replace", drop_to="black", dropout=0.1),
            control=collage("CollageHint", branch=COLLAGE_NET),
        ),
        {},
    ),
    "image": (TEXT | STACK | dict(image=entry("ImageTokens", **TOKENS, dropout=0.1)), {}),
}


def items(num=2, seed=0):
    """As TryonDataset gives them."""
    given = batch(num, seed)
    given["mask"] = given["mask"][..., None]
    del given["negative"], given["worn_mask"]
    return [
        {
            key: value[i].numpy() if isinstance(value, torch.Tensor) else value[i]
            for key, value in given.items()
        }
        for i in range(num)
    ]


def recipe(name):
    conditions, unet = RECIPES[name]
    return build(conditions, person_unet=unet)
