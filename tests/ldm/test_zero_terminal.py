"""Zero terminal SNR (arXiv 2305.08891): the schedule, sampling from pure noise, guidance rescale."""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr as diffusers_rescale

from cldm.ddim_hacked import DDIMSampler
from cldm.denoisers import guided_denoiser, restore_deviation
from demo.garments.loading import load_for_demo
from generation.generate import Settings, generate
from ldm.checkpoint import write_state_dict
from ldm.models.diffusion.samplers import SAMPLERS
from ldm.models.diffusion.schedule import rescale_zero_terminal_snr
from ldm.modules.diffusionmodules.util import make_beta_schedule, make_ddim_timesteps
from pictures.hint import HintEncoder
from small import condition, noisy, small_model

BETAS = make_beta_schedule("linear", 1000, 0.00085, 0.012)
TINY = "models/tiny/base.safetensors"


@pytest.fixture(scope="module")
def model():
    model = small_model(zeros=False, parameterization="v")
    model.use_zero_terminal_snr()
    return model


def test_the_rescaled_schedule_is_algorithm_1():
    """Begins where it began, ends at 0, and is in between an affine function of the old square roots."""
    old, new = (np.sqrt(np.cumprod(1 - betas)) for betas in (BETAS, rescale_zero_terminal_snr(BETAS)))
    assert new[-1] == 0.0 and new[0] == pytest.approx(old[0], rel=1e-12)
    assert np.allclose(np.diff(new) / np.diff(old), old[0] / (old[0] - old[-1]), rtol=1e-9)
    theirs = diffusers_rescale(torch.from_numpy(BETAS)).numpy()
    assert np.allclose(rescale_zero_terminal_snr(BETAS), theirs, rtol=1e-9, atol=1e-12)


def test_a_model_keeps_the_names_and_dtypes_of_its_schedule():
    before, model = small_model(parameterization="v"), small_model(parameterization="v")
    assert before.timestep_spacing == "uniform"
    for _ in range(2):  # twice is once
        model.use_zero_terminal_snr()
    kinds = [{k: (v.dtype, v.shape) for k, v in m.state_dict().items()} for m in (before, model)]
    assert kinds[0] == kinds[1] and model.timestep_spacing == "trailing"
    assert model.alphas_cumprod[-1] == 0 and model.alphas_cumprod[0] == before.alphas_cumprod[0]
    assert torch.allclose(model.alphas_cumprod, (1 - model.betas.double()).cumprod(0).float(), atol=1e-6)


def test_the_noisiest_training_example_is_nothing_but_noise(model):
    x, noise = torch.randn(2, 2, 4, 8, 8)
    last = torch.tensor([999, 999])
    assert torch.equal(model.q_sample(x, last, noise), noise)
    assert torch.equal(model.get_v(x, noise, last), -x)


def test_noise_prediction_is_refused():
    with pytest.raises(ValueError, match='needs parameterization "v" or "x0", got "eps"'):
        small_model().use_zero_terminal_snr()


@pytest.mark.parametrize("num_steps", [1, 7, 20, 50, 300, 1000])
def test_trailing_timesteps_end_at_the_last_one_as_those_of_diffusers(num_steps):
    steps = make_ddim_timesteps("trailing", num_steps, 1000)
    theirs = DDIMScheduler(timestep_spacing="trailing")
    theirs.set_timesteps(num_steps)
    assert steps[-1] == 999 and steps[::-1].tolist() == theirs.timesteps[:num_steps].tolist()


@pytest.mark.parametrize("num_steps", [1, 2, 20])
@torch.no_grad()
def test_ddim_takes_the_path_of_diffusers(model, num_steps):
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=False,
    )
    scheduler.set_timesteps(num_steps)
    x = theirs = noisy()[0]
    ours, _ = DDIMSampler(model).sample(num_steps, 2, (4, 8, 8), condition(), verbose=False, x_T=x)
    for t in scheduler.timesteps:
        theirs = scheduler.step(model.apply_model(theirs, t.expand(2), condition()), t, theirs).prev_sample
    assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-3 * float(theirs.abs().max()))


@pytest.mark.parametrize("sampler, eta", [("ddim", 0.0), ("ddim", 1.0), ("dpmpp_2m", 0.0), ("unipc", 0.0)])
@pytest.mark.parametrize("num_steps", [1, 2, 12, 300])
def test_samplers_start_from_pure_noise_without_nan(model, sampler, eta, num_steps):
    """For data of one value the ideal x_0 is that value; from any noise, the picture is it."""
    timesteps = make_ddim_timesteps(model.timestep_spacing, num_steps, 1000)
    alphas, x0 = model.alphas_cumprod, torch.full((1, 4, 2, 2), 0.7)

    def denoise(x, t):
        return (x - alphas[t].sqrt() * x0) / (1 - alphas[t]).sqrt(), x0

    drawn = SAMPLERS[sampler].run(denoise, torch.randn(1, 4, 2, 2), alphas, timesteps, eta=eta)
    assert torch.isfinite(drawn).all() and (drawn - x0).abs().max() < 0.2


def test_generating_starts_at_the_last_timestep(model):
    for sampler in SAMPLERS:
        seen = []
        settings = Settings(steps=4, sampler=sampler, scale=3.0)
        generate(model, None, settings, (64, 64), callback=lambda step, seen=seen: seen.append(step["t"]))
        assert seen == [999, 749, 499, 249]


def test_guidance_rescale_is_that_of_diffusers():
    guided, conditional = torch.randn(2, 3, 4, 8, 8) * torch.tensor([3.0, 1.0])[:, None, None, None, None]
    for share in (0.0, 0.7, 1.0):
        theirs = rescale_noise_cfg(guided, conditional, guidance_rescale=share)
        assert torch.allclose(restore_deviation(guided, conditional, share), theirs, atol=1e-6)


@torch.no_grad()
def test_full_guidance_rescale_keeps_the_deviation_of_the_unguided_prediction(model):
    (x, _), cond, uncond = noisy(), condition(), condition(seed=5)
    last = torch.tensor([999, 999])
    conditional = model.apply_model(x, last, cond)
    _, x0 = guided_denoiser(model, cond, uncond, 9.0, rescale=1.0)(x, 999)  # here x_0 is -v
    assert torch.allclose(x0.std(dim=(1, 2, 3)), conditional.std(dim=(1, 2, 3)), rtol=1e-4)


def test_a_branch_trained_so_is_sampled_so(tmp_path):
    from cldm.weights.graft import graft
    from ldm.checkpoint import read_state_dict

    regions = HintEncoder(("background",), ((0, 0, 0),))
    grafted = graft(read_state_dict(TINY), "models/cldm_tiny.yaml", TINY)[0]
    branch = {name: value for name, value in grafted.items() if name.startswith("control_model.")}
    for asked in (True, False):
        path = tmp_path / f"{asked}.safetensors"
        write_state_dict(branch, path, dict(options=dict(base=TINY, zero_terminal_snr=asked)))
        assert load_for_demo(path, None, regions, "cpu").model.has_zero_terminal_snr is asked
