"""Several controls, photos and masks against diffusers' networks, schedulers and way of drawing."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel, DDIMScheduler, DPMSolverMultistepScheduler
from diffusers.models.controlnets.multicontrolnet import MultiControlNetModel
from einops import rearrange
from torch.nn.functional import max_pool2d

from cldm.controls import Control
from diffusers_pair import build_pair, diffusers_unet
from generation.generate import Settings, generate
from generation.inpainting import Photo
from ldm.modules.diffusionmodules.util import make_ddim_timesteps
from small import UNET, small_config

THREE_LEVELS = dict(channel_mult=[1, 2, 2], attention_resolutions=[2, 1], num_res_blocks=2)
STEPS, SCALE, SEED = 10, 3.0, 4


@pytest.fixture(scope="module")
def pair():
    return build_pair(small_config(unet=THREE_LEVELS, autoencoder=dict(ch_mult=[1, 1, 2, 2])))


@pytest.fixture(scope="module")
def branches(pair):
    """A second control branch of ours, and both as diffusers' one network of several."""
    other = deepcopy(pair.ours.control_model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.1)
    theirs = diffusers_unet(ControlNetModel, other, UNET | THREE_LEVELS)
    return other, MultiControlNetModel([pair.control, theirs])


@pytest.fixture(scope="module")
def inputs():
    """Two hints, a photo and a mask."""
    random = np.random.default_rng(0)
    mask = np.zeros((64, 64), bool)
    mask[10:50, 16:41] = True
    return random.random((2, 64, 64, 3), np.float32), random.integers(0, 256, (64, 64, 3), np.uint8), mask


def scheduler_of(pair, sampler):
    if sampler == "ddim":
        return DDIMScheduler(**pair.schedule, clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    ends = dict(final_sigmas_type="sigma_min", euler_at_final=True, lower_order_final=False)
    return DPMSolverMultistepScheduler(**pair.schedule, **ends)


@torch.no_grad()
def drawn_by_diffusers(pair, multi, inputs, controls, sampler, denoise, mask):
    """As its inpainting pipeline with ControlNets draws, but for the count of steps; latents (1, 4, 8, 8)."""
    hints, pixels = (torch.tensor(array) for array in inputs[:2])
    hints = list(rearrange(hints, "n h w c -> n 1 c h w"))
    clean = 0.18215 * pair.vae.encode(rearrange(pixels, "h w c -> 1 c h w") / 127.5 - 1).latent_dist.mode()
    noise = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(SEED))[None]
    painted = max_pool2d(torch.tensor(mask)[None, None].float(), 8)
    scheduler = scheduler_of(pair, sampler)
    timesteps = make_ddim_timesteps("uniform", STEPS, 1000)[: round(denoise * STEPS)][::-1].tolist()
    if sampler == "ddim":
        scheduler.set_timesteps(STEPS)
        assert scheduler.timesteps.tolist()[-len(timesteps) :] == timesteps
    else:
        scheduler.set_timesteps(timesteps=timesteps)
    text, negative = (pair.ours.get_learned_conditioning([prompt]) for prompt in ("a", "b"))
    x = scheduler.add_noise(clean, noise, torch.tensor(timesteps[:1]))
    for i, t in enumerate(timesteps):
        share = i / len(timesteps), (i + 1) / len(timesteps)
        scales = [c.strength * (share[0] >= c.start and share[1] <= c.end) for c in controls]
        outputs = []
        for context in (negative, text):
            down, middle = multi(x, t, context, hints, scales, return_dict=False)
            added = dict(down_block_additional_residuals=down, mid_block_additional_residual=middle)
            outputs.append(pair.unet(x, t, context, **added).sample)
        x = scheduler.step(outputs[0] + SCALE * (outputs[1] - outputs[0]), t, x).prev_sample
        if i < len(timesteps) - 1:
            original = scheduler.add_noise(clean, noise, torch.tensor(timesteps[i + 1 : i + 2]))
            x = (1 - painted) * original + painted * x
    return painted * x + (1 - painted) * clean


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp_2m"])
@pytest.mark.parametrize(("denoise", "masked"), [(0.6, False), (0.8, True), (1.0, True)])
def test_what_is_drawn_is_what_diffusers_draws(pair, branches, inputs, sampler, denoise, masked):
    hints, pixels, mask = inputs
    other, multi = branches
    controls = [Control(hints[0], strength=0.8, end=0.5), Control(hints[1], other, strength=0.5, start=0.2)]
    mask = mask if masked else np.ones_like(mask)
    theirs = drawn_by_diffusers(pair, multi, inputs, controls, sampler, denoise, mask)
    decoded, decode = [], pair.ours.decode_first_stage
    pair.ours.decode_first_stage = lambda latents: (decoded.append(latents), decode(latents))[1]
    settings = Settings("a", "b", steps=STEPS, sampler=sampler, scale=SCALE, seed=SEED)
    generate(pair.ours, controls, settings, photo=Photo(pixels, denoise, mask if masked else None))
    del pair.ours.decode_first_stage
    assert (decoded[0] - theirs).abs().max() <= 1e-4 * theirs.abs().max()
