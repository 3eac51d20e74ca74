"""Weights in 16 bit: what is held in them, what is computed in them, and what never is."""

import pytest
import torch

from generation.generate import Settings, generate
from ldm.modules.diffusionmodules.model import DiagonalGaussianDistribution
from small import batch, condition, noisy, small_model

HALVES = [torch.float16, torch.bfloat16]


@pytest.fixture
def model():
    return small_model(zeros=False)


def dtypes(part, locked=True):
    return {p.dtype for p in part.parameters() if p.requires_grad != locked}


@pytest.mark.parametrize("dtype", HALVES)
def test_only_locked_weights_are_cast_and_never_the_autoencoders(model, dtype):
    model.half()
    model.sd_locked = False
    model.cast_locked(dtype)
    assert dtypes(model.model) == dtypes(model.cond_stage_model) == {dtype}
    assert dtypes(model.first_stage_model) == {torch.float32}
    assert dtypes(model, locked=False) == {torch.float32}
    model.cast_locked(torch.float32)
    assert {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("dtype", HALVES)
def test_a_model_in_16_bit_draws_nearly_the_same_pictures(model, dtype):
    hint = batch(1)["hint"][0].numpy()
    settings = Settings(prompt="a garment", steps=3, scale=2.0, num_samples=2)
    expected = generate(model, hint, settings).astype(int)
    model.requires_grad_(False)
    model.cast_locked(dtype)
    assert dtypes(model.control_model) == {dtype}
    difference = abs(generate(model, hint, settings).astype(int) - expected)
    assert 0 < difference.mean() < (0.3 if dtype == torch.float16 else 3)


@torch.no_grad()
def test_networks_take_inputs_of_any_precision(model):
    (x, t), cond = noisy(), condition()
    expected = model.apply_model(x, t, cond)
    for dtype in (torch.float64, torch.bfloat16):
        other = {k: [v.to(dtype) for v in values] for k, values in cond.items()}
        assert torch.allclose(model.apply_model(x.to(dtype), t, other), expected, atol=0.1)


def overflowing(model):
    """The model's autoencoder, made to leave fp16's range on the way; its norms bring it back."""
    with torch.no_grad():
        model.first_stage_model.decoder.conv_in.weight *= 3e5
    return model.first_stage_model


@torch.no_grad()
def test_decoding_survives_fp16_weights_and_leaves_them(model):
    autoencoder, (z, _) = overflowing(model), noisy()
    autoencoder.half()
    assert not torch.isfinite(autoencoder.decoder.conv_in(z.half())).all()
    decoded = model.decode_first_stage(z)
    assert decoded.dtype == torch.float32 and torch.isfinite(decoded).all()
    assert dtypes(autoencoder) == {torch.float16}
    assert torch.equal(decoded, autoencoder.float().decode(z / model.scale_factor))


@torch.no_grad()
def test_decoding_survives_fp16_autocast(model):
    autoencoder, (z, _) = overflowing(model), noisy()
    expected = model.decode_first_stage(z)
    with torch.autocast("cpu", torch.float16):
        assert torch.equal(model.decode_first_stage(z), expected)
        assert autoencoder.quant_conv(torch.ones(1, 8, 2, 2)).dtype == torch.float16
    with torch.autocast("cpu", torch.bfloat16):  # has fp32's range, and its speed is welcome
        assert model.decode_first_stage(z).dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_batches_follow_the_autoencoders_precision_into_fp32_latents(model, dtype):
    torch.manual_seed(0)
    expected, _ = model.get_input(batch(), "jpg")
    model.first_stage_model.to(dtype)
    torch.manual_seed(0)
    z, cond = model.get_input(batch(), "jpg")
    assert z.dtype == cond["c_concat"][0].dtype == torch.float32
    assert (z - expected).abs().max() < 0.05


def test_a_posterior_of_fp16_moments_has_a_finite_variance():
    posterior = DiagonalGaussianDistribution(torch.full((1, 8, 2, 2), 20.0, dtype=torch.float16))
    assert torch.isfinite(posterior.var).all() and torch.isfinite(posterior.kl()).all()
