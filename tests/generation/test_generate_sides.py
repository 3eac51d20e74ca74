"""The two sides that bench_generate.py compares draw the same pictures, and so do the same work."""

import sys

import numpy as np
import torch

from sources import ROOT

sys.path.append(str(ROOT / "benchmarks"))

from generate_sides import Diffusers, Ours, random_model  # noqa: E402

TINY = ROOT / "models" / "cldm_tiny.yaml"


def test_both_sides_draw_the_same_pictures():
    model = random_model(TINY, torch.float32, torch.device("cpu"))
    hint = np.random.default_rng(0).random((64, 128, 3), dtype=np.float32)
    ours, theirs = (side.draw(hint, "a dress", 2, 3) for side in (Ours(model), Diffusers(model, TINY)))
    assert torch.allclose(ours.latents, theirs.latents, rtol=0, atol=5e-5)
    assert ours.pictures.shape == theirs.pictures.shape == (2, 64, 128, 3)
    assert np.abs(ours.pictures - theirs.pictures).max() < 0.6 / 255  # ours are rounded to 8 bit
    assert len(ours.clocks) == len(theirs.clocks) == 1 + 3 + 1
    without = Diffusers(model, TINY).draw(np.zeros_like(hint), "a dress", 2, 3)
    assert (ours.latents - without.latents).abs().max() > 1e-3
