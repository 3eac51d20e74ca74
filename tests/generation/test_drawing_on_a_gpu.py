"""Pictures drawn on a GPU mix no devices, and are those of the CPU: on the pretended one of pretended_gpu."""

from copy import deepcopy

import numpy as np
import pytest

from cldm.controls import Control
from cldm.ddim_hacked import DDIMSampler
from cldm.parts_present import OneStage
from generation.generate import Settings, generate
from generation.inpainting import Photo
from small import batch, condition, small_model

HINTS = np.random.default_rng(0).random((2, 64, 64, 3), dtype=np.float32)
PHOTO = np.random.default_rng(2).integers(0, 256, (64, 64, 3), np.uint8)
MASK = np.zeros((64, 64), bool)
MASK[20:37, 19:43] = True


def drawn(model, branch, **changes):
    """Pictures of two controls, of which one is in guess mode, repainted in a region of a photo."""
    controls = [Control(HINTS, strength=0.8, end=0.7), Control(HINTS[1], branch, guess_mode=True)]
    settings = dict(prompt="a", negative_prompt="b", num_samples=2, steps=3, scale=4.0, seed=5)
    photo = Photo(PHOTO, 0.9, MASK, 3)
    parts = OneStage(model, [branch]) if changes.pop("low_memory") else None
    return generate(model, controls, Settings(**settings | changes), photo=photo, parts=parts)


@pytest.mark.parametrize("low_memory", [False, True])
@pytest.mark.parametrize(("sampler", "eta"), [("ddim", 0.5), ("dpmpp_2m", 0.0)])
def test_a_picture_is_that_of_the_cpu(gpu, sampler, eta, low_memory):
    model = small_model(zeros=False)
    branch = deepcopy(model.control_model)
    options = dict(sampler=sampler, eta=eta, low_memory=low_memory, guidance_rescale=0.7)
    wanted = drawn(model, branch, **options)
    found = drawn(model.to(gpu), branch.to(gpu), **options)
    assert np.abs(found.astype(int) - wanted).max() <= 1


def test_pictures_without_control_or_photo_are_drawn_too(gpu):
    model = small_model(zeros=False).to(gpu)
    assert generate(model, None, Settings(steps=2), (64, 64)).shape == (1, 64, 64, 3)
    model = small_model(zeros=False, parameterization="v").to(gpu)
    model.use_zero_terminal_snr()
    assert generate(model, HINTS[0], Settings(steps=2, guidance_rescale=0.7)).shape == (1, 64, 64, 3)


def test_the_originals_sampler_and_image_log_draw_on_it(gpu):
    model = small_model(zeros=False).to(gpu)
    cond, empty = ({k: [v[0].to(gpu)] for k, v in condition(2, seed).items()} for seed in (0, 1))
    sampler = DDIMSampler(model)
    options = dict(verbose=False, unconditional_guidance_scale=3.0, unconditional_conditioning=empty)
    latents, _ = sampler.sample(2, 2, (4, 8, 8), cond, eta=0.5, **options)
    noisy, _ = sampler.encode(latents, cond, 2)
    sampler.make_schedule(4, verbose=False)
    assert sampler.decode(noisy, cond, 2).device == gpu
    logged = model.log_images(batch(), N=2, sample=True, plot_denoise_rows=True, plot_diffusion_rows=True)
    assert len(logged) == 7 and all(images.isfinite().all() for images in logged.values())
