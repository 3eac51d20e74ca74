"""Networks and samplers against diffusers' independent implementation, with the same weights."""

from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from omegaconf import OmegaConf

from cldm.ddim_hacked import DDIMSampler
from cldm.denoisers import guided_denoiser
from diffusers_pair import build_pair
from ldm.models.diffusion.samplers import dpmpp_2m
from ldm.modules.diffusionmodules.util import make_ddim_timesteps
from small import condition, small_config

THREE_LEVELS = dict(channel_mult=[1, 2, 2], attention_resolutions=[2, 1], num_res_blocks=2)
LINEAR = dict(num_heads=-1, num_head_channels=16, use_linear_in_transformer=True)
LIKE = {
    "sd15": dict(unet=THREE_LEVELS, autoencoder=dict(ch_mult=[1, 1, 2, 2])),
    "sd21_v": dict(unet=THREE_LEVELS | LINEAR, parameterization="v"),
}


@pytest.fixture(scope="module", params=LIKE)
def pair(request):
    return build_pair(small_config(**LIKE[request.param]))


def assert_equal(ours, theirs, tolerance=2e-5):
    """Equal up to round-off: max|a-b| / max|b|."""
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max()


def inputs(num=2):
    cond, t = condition(num), torch.tensor([1, 701])
    return torch.randn(num, 4, 8, 8, generator=torch.Generator().manual_seed(1)), t, cond


@torch.no_grad()
def test_unet_computes_what_diffusers_does(pair):
    x, t, cond = inputs()
    cond["c_concat"] = None
    assert_equal(pair.ours.apply_model(x, t, cond), pair.apply(x, t, cond))


@torch.no_grad()
def test_control_computes_what_diffusers_does(pair):
    x, t, cond = inputs()
    context, hint = cond["c_crossattn"][0], cond["c_concat"][0]
    ours = pair.ours.control_model(x, hint, t, context)
    down, middle = pair.residuals(x, t, cond)
    for a, b in zip(ours, [*down, middle], strict=True):
        assert_equal(a, b)
    assert_equal(pair.ours.apply_model(x, t, cond), pair.apply(x, t, cond))


@torch.no_grad()
def test_autoencoder_computes_what_diffusers_does(pair):
    images = torch.rand(1, 3, 64, 48, generator=torch.Generator().manual_seed(2)) * 2 - 1
    posterior = pair.ours.encode_first_stage(images)
    theirs = pair.vae.encode(images).latent_dist
    assert_equal(posterior.parameters, theirs.parameters)
    assert_equal(posterior.std, theirs.std)
    decoded = pair.ours.decode_first_stage(posterior.mode() * pair.ours.scale_factor)
    assert_equal(decoded, pair.vae.decode(theirs.mode()).sample)


@torch.no_grad()
def test_ddim_with_guidance_draws_what_diffusers_does(pair):
    x, _, cond = inputs(1)
    uncond, scale = condition(1, seed=5) | dict(c_concat=cond["c_concat"]), 3.0
    scheduler = DDIMScheduler(**pair.schedule, clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    scheduler.set_timesteps(20)
    sampler = DDIMSampler(pair.ours)
    guidance = dict(unconditional_guidance_scale=scale, unconditional_conditioning=uncond)
    ours, _ = sampler.sample(20, 1, (4, 8, 8), cond, x_T=x, verbose=False, **guidance)
    assert list(sampler.ddim_timesteps[::-1]) == scheduler.timesteps.tolist()
    assert_equal(ours, pair.sample(scheduler, x, cond, uncond, scale), tolerance=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("num_steps", [1, 2, 8])
def test_dpm_solver_draws_what_diffusers_does(pair, num_steps):
    """On the same timesteps; their last step goes to the same end with these options."""
    x, _, cond = inputs(1)
    uncond, scale = condition(1, seed=5) | dict(c_concat=None), 3.0
    timesteps = make_ddim_timesteps("uniform", num_steps, 1000)
    scheduler = DPMSolverMultistepScheduler(
        **pair.schedule,
        final_sigmas_type="sigma_min",
        euler_at_final=True,
        lower_order_final=False,
    )
    scheduler.set_timesteps(timesteps=timesteps[::-1].tolist())
    denoise = guided_denoiser(pair.ours, cond, uncond, scale)
    ours = dpmpp_2m(denoise, x, pair.ours.alphas_cumprod, timesteps)
    assert_equal(ours, pair.sample(scheduler, x, cond, uncond, scale), tolerance=1e-4)


@pytest.mark.slow
@torch.no_grad()
def test_stable_diffusion_1_5_at_full_size_computes_what_diffusers_does():
    config = OmegaConf.load(Path(__file__).parents[2] / "models" / "cldm_v15.yaml").model
    config.params.cond_stage_config = dict(target="torch.nn.Identity")
    full = build_pair(config)
    random = torch.Generator().manual_seed(3)
    x, t = torch.randn(1, 4, 32, 32, generator=random), torch.tensor([501])
    context, hint = torch.randn(1, 77, 768, generator=random), torch.rand(1, 3, 256, 256, generator=random)
    cond = dict(c_crossattn=[context], c_concat=[hint])
    assert_equal(full.ours.apply_model(x, t, cond), full.apply(x, t, cond))
    images = hint * 2 - 1
    moments, theirs = full.ours.encode_first_stage(images), full.vae.encode(images).latent_dist
    assert_equal(moments.parameters, theirs.parameters)
    assert_equal(full.ours.first_stage_model.decode(x), full.vae.decode(x).sample)
