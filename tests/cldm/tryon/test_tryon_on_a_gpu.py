"""Try-on's conditions on a GPU mix no devices: on the pretended one of pretended_gpu."""

import pytest
import torch

from cldm.guidance import guide_by
from cldm.tryon.model import tryon_denoiser
from ldm.models.diffusion.samplers import SAMPLERS
from ldm.modules.diffusionmodules.util import ROW_SEED
from small_tryon import REFERENCE, STACK, TEXT, TOKENS, batch, build, entry, garment, noisy

RECIPES = dict(
    reference=dict(conditions=REFERENCE | dict(garment=garment(dropout=0.5)), flow_weight=1e-3, dream=10.0),
    in_step=dict(
        conditions=REFERENCE | dict(garment=garment(time="sync", drop_to="no_tokens", dropout=0.5)),
        person_unet=dict(mix="gated"),
    ),
    one_way=dict(
        conditions=STACK | dict(garment=entry("GarmentReference", time="none", context="none", width=32)),
        person_unet=dict(context="skip"),
    ),
    stacked=dict(
        conditions=STACK | dict(garment=entry("StackedGarment", drop_to="garment_free", anchored=True)),
        person_unet=dict(context="skip"),
    ),
    tokens=dict(
        conditions=TEXT | dict(garment=entry("ImageTokens", **TOKENS, site="decoupled", drop_to="black")),
        in_channels=4,
        person_unet=dict(context="text+image"),
    ),
)


@pytest.mark.parametrize("name", RECIPES)
def test_a_step_of_training_and_a_sampling_stay_on_the_device(gpu, name):
    model = build(train_unet="all", **RECIPES[name]).to(gpu).train()
    model.log_dict = lambda *_, **__: None
    placed = {k: v.to(gpu) if isinstance(v, torch.Tensor) else v for k, v in batch().items()}
    placed[ROW_SEED] = [1, 2]
    loss = model.training_step(placed, 0)
    loss.backward()
    assert loss.isfinite() and any(p.grad is not None for p in model.parameters())
    encoded, x = model.eval().get_input(placed, "jpg")[1], noisy()[0].to(gpu)
    if name == "stacked":
        encoded["garment"] |= dict(noise=torch.randn_like(x))
    for sampler in SAMPLERS.values():
        denoise = tryon_denoiser(model, encoded, guide_by("garment", 2.0))
        assert sampler.run(denoise, x, model.alphas_cumprod, [1, 501]).device == gpu
