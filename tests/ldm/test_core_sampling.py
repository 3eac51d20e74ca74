"""Laws of sampling: the number of steps, guidance, and what a drawn latent depends on."""

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from cldm.ddim_hacked import DDIMSampler
from cldm.denoisers import guided_denoiser
from ldm.models.diffusion.samplers import ddim, ddim_inversion, dpmpp_2m, exact_alphas, unipc
from ldm.modules.diffusionmodules.util import make_ddim_timesteps
from small import condition, noisy, small_model


@pytest.fixture(scope="module")
def model():
    return small_model(zeros=False)


@pytest.fixture
def cheap(model, monkeypatch):
    """The model, with a network that costs nothing; counts its calls."""
    calls = []
    monkeypatch.setattr(model, "apply_model", lambda x, t, cond: calls.append(t) or 0.1 * x)
    return model, calls


def test_every_number_of_steps_is_taken_exactly():
    for num_steps in range(1, 1001):
        steps = make_ddim_timesteps("uniform", num_steps, 1000)
        assert len(steps) == num_steps and steps[0] >= 0 and steps[-1] < 1000
        assert (np.diff(steps) > 0).all()
        if 1000 % num_steps == 0 and num_steps < 1000:
            assert steps.tolist() == [t + 1 for t in range(0, 1000, 1000 // num_steps)]


@pytest.mark.parametrize("num_steps", [0, 1001, -3])
def test_impossible_numbers_of_steps_are_refused(num_steps):
    with pytest.raises(ValueError, match=f"between 1 and 1000, got {num_steps}"):
        make_ddim_timesteps("uniform", num_steps, 1000)


@pytest.mark.parametrize("num_steps", [1, 3, 27, 1000])
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_ddim_runs_the_asked_number_of_steps(cheap, num_steps, eta):
    model, calls = cheap
    steps, x_T = [], torch.randn(1, 4, 2, 2)
    options = dict(callback=steps.append, verbose=False, x_T=x_T, eta=eta)
    drawn, kept = DDIMSampler(model).sample(num_steps, 1, (4, 2, 2), condition(1), **options)
    assert len(calls) == num_steps and steps == list(range(num_steps))
    assert torch.isfinite(drawn).all() and torch.equal(kept["x_inter"][-1], drawn)
    assert all(a > b for a, b in zip(calls, calls[1:], strict=False))


@pytest.mark.parametrize("sampler", [dpmpp_2m, unipc])
@pytest.mark.parametrize("num_steps", [1, 3, 27, 1000])
def test_solvers_run_the_asked_number_of_steps(cheap, sampler, num_steps):
    model, calls = cheap
    timesteps, reports = make_ddim_timesteps("uniform", num_steps, 1000), []
    denoise, x = guided_denoiser(model, condition(1)), torch.randn(1, 4, 2, 2)
    drawn = sampler(denoise, x, model.alphas_cumprod, timesteps, callback=reports.append)
    assert len(calls) == num_steps and torch.isfinite(drawn).all()
    assert [report["t"] for report in reports] == timesteps[::-1].tolist()
    with pytest.raises(ValueError, match="eta must be 0"):
        sampler(None, drawn, model.alphas_cumprod, timesteps, eta=0.5)


def exact_denoiser(alphas_cumprod, std=0.5):
    """The ideal denoiser of data drawn from N(0, std^2)."""

    def denoise(x, t):
        a = alphas_cumprod[t]
        x0 = a.sqrt() * std**2 / (a * std**2 + 1 - a) * x
        return (x - a.sqrt() * x0) / (1 - a).sqrt(), x0

    return denoise


@pytest.mark.parametrize("sampler, order, bound", [(ddim, 1, 0.02), (dpmpp_2m, 2, 0.004), (unipc, 2, 0.004)])
def test_samplers_converge_to_the_known_solution(model, sampler, order, bound):
    """For Gaussian data the probability flow is known: x scales with the marginal's deviation."""
    alphas, errors = model.alphas_cumprod.double(), []
    x = torch.randn(1, 4, 2, 2, dtype=torch.float64)
    for num_steps in (50, 200):
        timesteps = make_ddim_timesteps("uniform", num_steps, 1000)
        first, last = ((a * 0.25 + 1 - a).sqrt() for a in (alphas[timesteps[-1]], alphas[0]))
        drawn = sampler(exact_denoiser(alphas), x, alphas, timesteps)
        errors.append(((drawn - x * last / first).abs().max() / (x * last / first).abs().max()).item())
    assert errors[1] < bound and errors[0] / errors[1] > 0.6 * (200 / 50) ** order


def test_the_first_step_is_kept_beside_noise_and_result(cheap):
    model, _ = cheap
    _, kept = DDIMSampler(model).sample(20, 1, (4, 2, 2), condition(1), verbose=False, log_every_t=10)
    assert len(kept["x_inter"]) == len(kept["pred_x0"]) == 1 + 3  # noise; 19, 10 and 0 steps before the end


@torch.no_grad()
def test_guidance_in_one_call_equals_guidance_in_two(model):
    (x, _), cond, uncond = noisy(), condition(), condition(seed=5)
    context = uncond["c_crossattn"][0]
    apart = uncond | dict(c_crossattn=[context[:, :2], context[:, 2:]])  # another structure, the same meaning
    together, separate = (guided_denoiser(model, cond, u, 7.5)(x, 500) for u in (uncond, apart))
    assert all(torch.allclose(a, b, atol=2e-5, rtol=1e-4) for a, b in zip(together, separate, strict=True))


@pytest.mark.parametrize(
    "uncond, scale, sizes",
    [
        (condition(seed=5), 7.5, [4]),
        (condition(seed=5) | dict(c_concat=None), 7.5, [2, 2]),
        (condition(seed=5), 1.0, [2]),
        (None, 7.5, [2]),
    ],
)
def test_guidance_calls_the_network_no_oftener_than_needed(cheap, uncond, scale, sizes):
    model, calls = cheap
    guided_denoiser(model, condition(), uncond, scale)(noisy()[0], 10)
    assert [len(t) for t in calls] == sizes


@torch.no_grad()
def test_guess_mode_guides_away_from_the_uncontrolled_prediction(model):
    (x, t), cond = noisy(), condition()
    uncond = condition(seed=5) | dict(c_concat=None)
    t = torch.full((2,), 300)
    model.control_scales = [0.825 ** (4 - i) for i in range(5)]
    eps, _ = guided_denoiser(model, cond, uncond, 3.0)(x, 300)
    conditional, base = model.apply_model(x, t, cond), model.apply_model(x, t, uncond)
    model.control_scales = [1.0] * 5
    assert torch.allclose(eps, base + 3.0 * (conditional - base), atol=1e-5)


def test_a_latent_depends_on_its_noise_and_not_on_its_batch(model):
    def draw(num):
        cond = {k: [v[:num] for v in values] for k, values in condition().items()}
        return DDIMSampler(model).sample(3, num, (4, 8, 8), cond, verbose=False, x_T=noisy()[0][:num])[0]

    assert torch.equal(draw(2), draw(2))
    assert torch.allclose(draw(2)[:1], draw(1), atol=1e-5)


def test_kept_regions_stay(model):
    x0, mask = torch.randn(2, 4, 8, 8), torch.zeros(2, 1, 8, 8)
    mask[:, :, :4] = 1.0
    drawn, _ = DDIMSampler(model).sample(10, 2, (4, 8, 8), condition(), verbose=False, mask=mask, x0=x0)
    error = (drawn - x0).abs()
    assert error[:, :, :4].mean() < 0.5 * error[:, :, 4:].mean()


class NoFloat64(TorchDispatchMode):
    """Refuses, as a Mac's GPU does, to have float64 on a device other than the CPU."""

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        made = function(*arguments, **(options or {}))
        for tensor in made if isinstance(made, list | tuple) else [made]:
            if isinstance(tensor, torch.Tensor) and tensor.dtype == torch.float64:
                assert tensor.device.type == "cpu", f"{function} makes float64 on {tensor.device}"
        return made


@pytest.mark.parametrize(
    "sampler, eta", [(ddim, 0.0), (ddim, 1.0), (ddim_inversion, None), (dpmpp_2m, 0.0), (unipc, 0.0)]
)
def test_a_device_without_float64_can_draw(sampler, eta):
    with FakeTensorMode(), NoFloat64():
        alphas, x = torch.rand(1000, device="mps"), torch.randn(2, 4, 8, 8, device="mps")
        with pytest.raises(AssertionError, match="makes float64 on mps"):
            alphas.double()
        options = {} if eta is None else dict(eta=eta)
        steps = make_ddim_timesteps("uniform", 3, 1000)
        drawn = sampler(lambda x, t: (x, 0.5 * x), x, alphas, steps, **options)
        assert drawn.device.type == "mps" and drawn.dtype == torch.float32
        assert exact_alphas(alphas).dtype == torch.float64
