"""Training a small base: what standardised latents are, and that every stage changes its own part alone."""

import subprocess
import sys

import pytest
import torch

from ldm.checkpoint import read_state_dict
from learning.base.autoencoder import (
    AutoencoderTraining,
    DecoderTraining,
    latent_moments,
    standardize_latents,
)
from small import small_model


def pictures(num=6):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (num, 64, 64, 3), generator=generator, dtype=torch.uint8)


def test_standardised_latents_have_mean_0_and_deviation_1_and_draw_the_same_pictures():
    autoencoder = small_model(zeros=False).first_stage_model.eval()
    before = latent_moments(autoencoder, pictures())
    with torch.no_grad():
        drawn = autoencoder.decode(before.chunk(2, dim=1)[0])
        (after,) = standardize_latents(autoencoder, [before])
        again = latent_moments(autoencoder, pictures())
        assert torch.allclose(autoencoder.decode(after.chunk(2, dim=1)[0]), drawn, atol=1e-4)
    assert torch.allclose(again, after, atol=1e-4)
    mean, logvar = after.chunk(2, dim=1)
    assert torch.allclose(mean.mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-5)
    total = mean.var(dim=(0, 2, 3)) + logvar.exp().mean(dim=(0, 2, 3))
    assert torch.allclose(total, torch.ones(4), atol=1e-4)


def test_the_decoder_is_trained_alone():
    autoencoder = small_model(zeros=False).first_stage_model
    training = DecoderTraining(autoencoder, 1e-3, num_steps=10)
    training.log = lambda *_, **__: None
    moments = latent_moments(autoencoder, pictures(2))
    training.training_step((pictures(2), moments), 0).backward()
    trained = {name.split(".")[0] for name, p in autoencoder.named_parameters() if p.grad is not None}
    assert trained == {"decoder", "post_quant_conv"}
    optimizer = training.configure_optimizers()["optimizer"]
    assert all(p.requires_grad for group in optimizer.param_groups for p in group["params"])


def test_a_locked_autoencoder_is_unlocked_for_its_own_training():
    autoencoder = small_model().first_stage_model
    assert not any(p.requires_grad for p in autoencoder.parameters())
    assert (
        AutoencoderTraining(autoencoder, 1e-3, 10, crop=32).configure_optimizers()["optimizer"].param_groups
    )


@pytest.mark.slow
def test_the_script_makes_a_base_of_the_shipped_layout(tmp_path):
    steps = ["--dolls", "150", "--autoencoder-steps", "2", "--decoder-steps", "2", "--steps", "2"]
    subprocess.run([sys.executable, "tutorial_train_base.py", "--work", str(tmp_path), *steps], check=True)
    made, shipped = (
        read_state_dict(p) for p in (tmp_path / "base.safetensors", "models/tiny/base.safetensors")
    )
    assert {k: (v.shape, v.dtype) for k, v in made.items()} == {
        k: (v.shape, v.dtype) for k, v in shipped.items()
    }
