"""Pictures that start from a photo, or repaint a region of one."""

import numpy as np
import pytest
import torch

from cldm.controls import Control
from generation.generate import Settings, generate
from generation.inpainting import Photo, fade, region_mask
from ldm.modules.diffusionmodules.util import make_ddim_timesteps
from pictures.hint import HintEncoder
from small import small_model

ENCODER = HintEncoder(("background", "top", "bottom"), ((0, 0, 0), (255, 0, 0), (0, 255, 0)))
SETTINGS = dict(prompt="a red top", steps=5, scale=3.0, seed=5)


@pytest.fixture(scope="module")
def model():
    return small_model(zeros=False)


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(2).integers(0, 256, (64, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def hint():
    return ENCODER.to_hint(ids())


def ids():
    ids = np.zeros((64, 64), np.uint8)
    ids[20:37, 19:43], ids[40:60, 20:40] = 1, 2
    return ids


def settings(**changes):
    return Settings(**SETTINGS | changes)


def steps_of(model, photo, **changes):
    seen = []
    generate(model, None, settings(**changes), callback=seen.append, photo=photo)
    return [step["t"] for step in seen]


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp_2m", "unipc"])
@pytest.mark.parametrize(
    ("steps", "denoise", "run"), [(10, 0.01, 1), (10, 0.34, 3), (10, 0.75, 8), (5, 1.0, 5), (1, 0.5, 1)]
)
def test_the_lowest_timesteps_are_run_as_many_as_denoise_says(model, pixels, sampler, steps, denoise, run):
    timesteps = make_ddim_timesteps("uniform", steps, 1000)
    expected = [int(t) for t in reversed(timesteps[:run])]
    assert steps_of(model, Photo(pixels, denoise), steps=steps, sampler=sampler) == expected


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp_2m", "unipc"])
def test_the_less_is_denoised_the_nearer_the_picture_is_to_the_photo(model, pixels, sampler):
    latents = (
        0.18215 * model.encode_first_stage(torch.tensor(pixels).permute(2, 0, 1)[None] / 127.5 - 1).mode()
    )
    distances = []
    for denoise in (0.1, 0.5, 1.0):
        seen = []
        changes = dict(steps=10, sampler=sampler, scale=1.0)
        generate(model, None, settings(**changes), callback=seen.append, photo=Photo(pixels, denoise))
        distances.append(float((seen[-1]["x"] - latents).square().mean()))
    assert distances == sorted(distances) and distances[0] < 0.3 * distances[-1]


def test_where_the_last_step_is_all_noise_denoise_1_is_text_to_image(pixels):
    model = small_model(zeros=False, parameterization="v")
    photo = Photo(pixels, 1.0)
    assert (
        generate(model, None, settings(), photo=photo) != generate(model, None, settings(), (64, 64))
    ).any()
    model.use_zero_terminal_snr()
    assert (
        generate(model, None, settings(), photo=photo) == generate(model, None, settings(), (64, 64))
    ).all()


def test_control_and_its_range_count_the_steps_that_are_run(model, pixels, hint):
    calls = []
    handle = model.control_model.register_forward_pre_hook(lambda *_: calls.append(1))
    generate(model, Control(hint, end=0.5), settings(steps=10), photo=Photo(pixels, 0.6))
    handle.remove()
    assert len(calls) == 3


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp_2m", "unipc"])
@pytest.mark.parametrize("feather", [0, 3])
def test_outside_the_mask_the_photo_stays_to_the_bit(model, pixels, hint, sampler, feather):
    mask = region_mask(ids(), ENCODER, "top")
    photo = Photo(pixels, 1.0, mask, feather)
    drawn = generate(model, hint, settings(sampler=sampler, num_samples=2), photo=photo)
    assert (drawn[:, ~mask] == pixels[~mask]).all()
    assert (drawn[:, mask] != pixels[mask]).mean() > 0.5
    assert (drawn[0] != drawn[1]).any()


def test_latents_outside_the_mask_are_the_photos_at_every_step(model, pixels):
    mask = region_mask(ids(), ENCODER, "top")
    asked, predict = [], model.apply_model
    model.apply_model = lambda x, t, cond: (asked.append((x.clone(), t)), predict(x, t, cond))[1]
    seen = []
    generate(model, None, settings(), callback=seen.append, photo=Photo(pixels, 0.8, mask))
    del model.apply_model
    latents = (
        0.18215 * model.encode_first_stage(torch.tensor(pixels).permute(2, 0, 1)[None] / 127.5 - 1).mode()
    )
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    kept = torch.ones(8, 8, dtype=bool)
    kept[2:5, 2:6] = False  # a latent is painted if any of its 8 x 8 pixels is
    assert len(asked) == 4
    for x, t in asked:
        original = model.q_sample(latents, t[:1], noise)
        assert torch.allclose(x[:, :, kept], original[:, :, kept], atol=1e-5)
    assert not torch.allclose(seen[-1]["x"][:, :, ~kept], latents[:, :, ~kept], atol=0.1)


def test_a_picture_from_a_photo_does_not_depend_on_its_batch(model, pixels, hint):
    photos = np.stack([pixels, pixels[::-1], pixels[:, ::-1]])
    masks = np.stack([np.ones((64, 64), bool), ids() == 1, ids() == 2])
    three = generate(model, hint, settings(num_samples=3, eta=0.5), photo=Photo(photos, 0.7, masks, 2))
    photo = Photo(photos[2], 0.7, masks[2], 2)
    alone = generate(model, hint, settings(seed=7, eta=0.5), photo=photo)
    assert np.abs(three[2].astype(int) - alone[0]).max() <= 1


def test_a_feather_fades_inside_the_mask_and_not_at_the_photos_end():
    mask = np.zeros((8, 64), bool)
    mask[:, 40:] = True
    share = fade(mask, 3)[4]
    assert not share[:40].any() and np.allclose(share[40:45], [0.25, 0.5, 0.75, 1, 1]) and share[-1] == 1
    assert (fade(np.ones((8, 8), bool), 3) == 1).all() and (fade(mask, 0) == mask).all()


def test_a_mask_is_a_region_of_the_map_or_several_grown():
    assert (region_mask(ids(), ENCODER, "top,bottom") == (ids() > 0)).all()
    grown = region_mask(ids(), ENCODER, "top", grow=2)
    assert (grown[18:39, 19:43]).all() and not grown[17].any() and not grown[18, 17] and grown[20, 17]
    with pytest.raises(ValueError, match="no region 'hat': regions are background, top, bottom"):
        region_mask(ids(), ENCODER, "hat")
    with pytest.raises(ValueError, match="the map has no region bottom"):
        region_mask(ids() % 2, ENCODER, "bottom")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(denoise=0), "denoise must be above 0"),
        (dict(denoise=1.5), "denoise must be between 0 and 1"),
        (dict(pixels=np.zeros((64, 64, 3))), r"a photo must be uint8 \(H, W, 3\), got float64"),
        (dict(mask=np.zeros((64, 64), bool)), "the mask is empty"),
        (dict(mask=np.ones((32, 64), bool)), r"a mask must be bool \(64, 64\)"),
        (dict(mask=np.ones((64, 64))), "a mask must be bool"),
        (dict(feather=2), "give a mask, too"),
        (dict(mask=np.ones((64, 64), bool), feather=-1), "feather must be between"),
    ],
)
def test_a_photo_that_cannot_be_started_from_is_refused(pixels, changes, message):
    with pytest.raises(ValueError, match=message):
        Photo(**dict(pixels=pixels) | changes)


def test_a_photo_of_another_size_than_the_hint_is_refused(model, pixels):
    with pytest.raises(ValueError, match=r"of one size, got \(64, 128\) and \(64, 64\)"):
        generate(model, np.zeros((64, 128, 3), np.float32), settings(), photo=Photo(pixels))
    with pytest.raises(ValueError, match="3 photos for 1 pictures"):
        generate(model, None, settings(), photo=Photo(np.stack([pixels] * 3)))
