"""Weights of timesteps, v-prediction, empty maps: formulas of their papers, nothing where they are off."""

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr
from torch.nn.functional import mse_loss

from ldm.models.diffusion.weighting import min_snr_weights
from ldm.modules.diffusionmodules.util import ROW_SEED, row_generators
from small import batch, condition, noisy, small_model

PARAMETERIZATIONS = ("eps", "x0", "v")
TIMESTEPS = torch.tensor([0, 1, 50, 300, 700, 999])


@pytest.fixture(scope="module")
def schedule():
    return DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")


@pytest.fixture
def model(monkeypatch):
    model = small_model(zeros=False).train()
    monkeypatch.setattr(model, "log_dict", lambda logs, **options: None)
    return model


@pytest.mark.parametrize("gamma", [1.0, 5.0])
def test_min_snr_weights_are_the_papers(model, schedule, gamma):
    snr = compute_snr(schedule, TIMESTEPS).double()
    least = snr.clamp(max=gamma)
    wanted = dict(x0=least, eps=least / snr, v=least / (snr + 1))
    for name in PARAMETERIZATIONS:
        weights = min_snr_weights(model.alphas_cumprod[TIMESTEPS], gamma, name)
        assert weights.shape == TIMESTEPS.shape
        assert torch.allclose(weights.double(), wanted[name], rtol=1e-3)


def test_weights_of_the_three_targets_ask_for_the_same(model):
    """Errors of noise and v are errors of x_0 times SNR and SNR + 1: weighted, all three are one loss."""
    a = model.alphas_cumprod[TIMESTEPS].double()
    snr, weights = a / (1 - a), {name: min_snr_weights(a, 5.0, name) for name in PARAMETERIZATIONS}
    assert torch.allclose(weights["eps"] * snr, weights["x0"])
    assert torch.allclose(weights["v"] * (snr + 1), weights["x0"])


def test_pure_noise_has_finite_weights():
    weights = {name: min_snr_weights(torch.zeros(1), 5.0, name).item() for name in PARAMETERIZATIONS}
    assert weights == dict(eps=1.0, x0=0.0, v=0.0)


@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
def test_the_loss_weighs_each_item_and_the_simple_loss_does_not(model, parameterization):
    model.parameterization, (x, t), cond = parameterization, noisy(), condition()
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    parts = []
    for i in range(len(x)):
        one = {key: [value[i : i + 1] for value in values] for key, values in cond.items()}
        parts.append(model.p_losses(x[i : i + 1], one, t[i : i + 1], noise=noise[i : i + 1])[0])
    model.min_snr_gamma = 5.0
    loss, logs = model.p_losses(x, cond, t, noise=noise)
    weights = min_snr_weights(model.alphas_cumprod[t], 5.0, parameterization)
    assert torch.allclose(loss, (weights * torch.stack(parts)).mean(), rtol=1e-4)
    assert torch.equal(logs["train/loss"], loss.detach())
    assert torch.allclose(logs["train/loss_simple"], torch.stack(parts).mean(), rtol=1e-4)


def test_a_large_gamma_weighs_errors_of_noise_alike(model):
    (x, t), cond = noisy(), condition()
    plain = model.p_losses(x, cond, t, noise=torch.ones_like(x))[0]
    model.min_snr_gamma = 1e9
    assert torch.allclose(model.p_losses(x, cond, t, noise=torch.ones_like(x))[0], plain)


def test_velocity_is_what_diffusers_takes_for_it(model, schedule):
    (x, t), noise = noisy(), torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(model.get_v(x, noise, t), schedule.get_velocity(x, noise, t), atol=1e-5)
    x_t = model.q_sample(x, t, noise)
    assert torch.allclose(
        model.predict_start_from_z_and_v(x_t, t, model.get_v(x, noise, t)), x, rtol=1e-3, atol=1e-4
    )


def test_training_towards_pure_noise_stays_finite():
    model = small_model(zeros=False, parameterization="v").train()
    model.use_zero_terminal_snr()
    model.min_snr_gamma = 5.0
    x, last = noisy()[0], torch.tensor([999, 999])
    loss, logs = model.p_losses(x, condition(), last)
    loss.backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert loss == 0 < logs["train/loss_simple"]
    assert gradients and all(gradient.isfinite().all() for gradient in gradients)


def test_a_step_draws_dropped_prompts_latents_timestep_and_noise_of_each_row(model):
    model.prompt_dropout, given = 0.5, batch() | {ROW_SEED: [5, 11]}
    loss = model.training_step(given, 7)
    generators = row_generators(given)
    kept = torch.cat([torch.rand(1, generator=own) for own in generators]) >= 0.5
    given["txt"] = [text if keep else "" for text, keep in zip(given["txt"], kept, strict=True)]
    assert sorted(kept.tolist()) == [False, True]
    x, cond = model.get_input(given, "jpg", generator=generators)
    t = torch.cat([torch.randint(0, 1000, (1,), generator=own) for own in generators])
    noise = torch.stack([torch.randn(x.shape[1:], generator=own) for own in generators])
    output = model.apply_model(model.q_sample(x, t, noise), t, cond)
    assert torch.equal(loss, mse_loss(output, noise))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_asked_share_of_maps_becomes_empty(model, share):
    model.hint_dropout, model.empty_hint = share, (0.0, 0.5, 1.0)
    given = dict(hint=torch.full((2000, 2, 2, 3), 0.25), txt=["a red top"] * 2000)
    before = given["hint"].clone()
    dropped = model.drop_conditions(given, row_generators({ROW_SEED: range(2000)}))
    empty = (dropped["hint"] == torch.tensor([0.0, 0.5, 1.0])).all((1, 2, 3))
    assert abs(empty.float().mean() - share) < 0.04 and (share or not empty.any())
    assert torch.equal(dropped["hint"][~empty], before[~empty]) and torch.equal(given["hint"], before)
    assert dropped["txt"] == given["txt"]


def test_maps_are_emptied_apart_from_prompts_and_alike_on_resuming(model):
    given = dict(hint=torch.ones(200, 1, 1, 3), txt=["a red top"] * 200)
    model.prompt_dropout, seeds = 0.5, {ROW_SEED: range(200)}
    prompts = model.drop_conditions(given, row_generators(seeds))["txt"]
    model.hint_dropout = 0.5
    dropped, again = (model.drop_conditions(given, row_generators(seeds)) for _ in range(2))
    assert dropped["txt"] == again["txt"] == prompts
    empty = dropped["hint"].amax((1, 2, 3)) == 0
    assert torch.equal(dropped["hint"], again["hint"])
    both = sum(bool(e) and not text for e, text in zip(empty, prompts, strict=True))
    assert 30 < both < 70  # a quarter of them, as the two draws are independent


def test_a_run_empties_maps_in_training_steps_only(model):
    model.hint_dropout = 1.0
    assert model.get_input(batch(), "jpg")[1]["c_concat"][0].any()
    empty = batch()
    empty["hint"] = torch.zeros_like(empty["hint"])
    seeds = {ROW_SEED: [3, 4]}
    dropped = model.training_step(batch() | seeds, 0)
    assert torch.equal(dropped, model.training_step(empty | seeds, 0))
