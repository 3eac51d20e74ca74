"""What a generated picture depends on, and on nothing else; and how pictures are scored."""

import numpy as np
import pytest
import torch

from cldm.controls import Control
from evaluation.control_miou import measure_control, region_iou, score_pictures
from generation.generate import Settings, generate, sample
from pictures.hint import HintEncoder
from small import small_model

ENCODER = HintEncoder(("background", "top", "bottom"), ((0, 0, 0), (255, 0, 0), (0, 255, 0)))


@pytest.fixture(scope="module")
def model():
    return small_model(zeros=False)


@pytest.fixture(scope="module")
def hint():
    ids = np.zeros((64, 64), np.uint8)
    ids[10:30, 10:40] = 1
    return ENCODER.to_hint(ids)


def settings(**changes):
    return Settings(**dict(prompt="a red top", steps=3, scale=4.0, seed=5) | changes)


def test_a_picture_does_not_depend_on_its_batch(model, hint):
    three = generate(model, hint, settings(num_samples=3, eta=0.5))
    alone = generate(model, hint, settings(seed=7, eta=0.5))
    assert three.shape == (3, 64, 64, 3) and three.dtype == np.uint8
    assert (
        np.abs(three[2].astype(int) - alone[0]).max() <= 1
    )  # rounding of other kernels at other batch sizes


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp_2m", "unipc"])
def test_equal_settings_give_equal_pictures(model, hint, sampler):
    a, b = (generate(model, hint, settings(sampler=sampler)) for _ in range(2))
    assert (a == b).all()
    assert (a != generate(model, hint, settings(sampler=sampler, seed=6))).any()


def test_control_changes_the_picture_and_strength_0_is_no_control(model, hint):
    controlled = generate(model, hint, settings())
    without = generate(model, None, settings(), size=(64, 64))
    assert (controlled != without).any()
    assert (generate(model, Control(hint, strength=0.0), settings()) == without).all()
    assert (generate(model, Control(hint, start=0.5, end=0.5), settings()) == without).all()


def test_control_acts_in_its_range_of_steps_only(model, hint):
    calls = []
    handle = model.control_model.register_forward_pre_hook(lambda *_: calls.append(1))
    generate(model, Control(hint, start=0.2, end=0.7), settings(steps=10))
    handle.remove()
    assert len(calls) == 5


def test_guess_mode_weakens_the_outer_residuals_and_controls_one_half(model, hint):
    scales = Control(np.zeros((64, 64, 3)), guess_mode=True, strength=2.0).scales(13)
    assert scales[-1] == 2.0 and scales[0] == pytest.approx(2 * 0.825**12)
    before = list(model.control_scales)
    guessed = generate(model, Control(hint, guess_mode=True), settings())
    assert (guessed != generate(model, hint, settings())).any()
    assert model.control_scales == before


def test_every_step_is_reported_once(model, hint):
    seen = []
    generate(model, hint, settings(steps=4), callback=lambda step: seen.append(step["i"]))
    assert seen == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(steps=0), "steps must be between 1 and 1000"),
        (dict(steps=2.5), "steps must be a whole number"),
        (dict(sampler="euler"), "sampler must be one of ddim, dpmpp_2m"),
        (dict(num_samples=0), "num_samples must be between"),
        (dict(steps=None), "steps must be a number"),
        (dict(steps=float("inf")), "steps must be between"),
        (dict(steps="9" * 10**6), "steps must be a number, got '9{59}$"),
        (dict(scale=10**400), "scale must be between 0 and [0-9.]+, got 10{59}$"),
        (dict(scale="9"), "scale must be a number, got '9'"),
        (dict(scale=float("nan")), "scale must be between"),
        (dict(prompt=None), "prompt must be of type str"),
        (dict(sampler=["ddim"]), "sampler must be of type str"),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        Settings(**change)


def test_a_hint_of_another_shape_is_refused(model):
    with pytest.raises(ValueError, match="multiples of 64"):
        generate(model, np.zeros((72, 64, 3), np.float32), settings())
    with pytest.raises(ValueError, match=r"a hint must be \(H, W, c\)"):
        generate(model, np.zeros((64, 64), np.float32), settings())
    with pytest.raises(ValueError, match=r"a hint must be \(H, W, 3\), got \(64, 64, 4\)"):
        generate(model, np.zeros((64, 64, 4), np.float32), settings())
    with pytest.raises(ValueError, match="2 hints for 3 pictures"):
        generate(model, np.zeros((2, 64, 64, 3), np.float32), settings(num_samples=3))


@pytest.mark.parametrize("wrong", [255, -1, np.nan])
def test_a_hint_out_of_range_is_refused(model, hint, wrong):
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], got"):
        generate(model, np.full_like(hint, wrong), settings())


def test_neither_hint_nor_size_is_refused_and_whole_floats_are_numbers(model):
    with pytest.raises(ValueError, match="the size"):
        generate(model, None, settings())
    assert generate(model, None, settings(num_samples=2.0, seed=5.0), (64, 64)).shape == (2, 64, 64, 3)


def test_iou_is_summed_over_pictures_and_leaves_the_background_out():
    wanted = np.array([[[0, 1], [1, 2]], [[0, 1], [0, 0]]])
    found = np.array([[[0, 1], [0, 2]], [[1, 1], [0, 0]]])
    assert region_iou(wanted, found, ENCODER.names) == dict(top=0.5, bottom=1.0)


def test_maps_without_a_garment_cannot_be_scored():
    nothing = np.zeros((1, 8, 8), np.uint8)
    with pytest.raises(ValueError, match="no region to measure"):
        score_pictures(np.zeros((1, 8, 8, 3), np.uint8), nothing, lambda pictures: nothing, ENCODER.names)


def test_the_score_follows_the_judge_and_the_batch_size_changes_nothing(model):
    maps = np.zeros((3, 64, 64), np.uint8)
    maps[:, :32] = 1
    prompts = ["a", "b", "c"]
    options = (ENCODER, lambda pictures: maps, settings(sampler="dpmpp_2m"))
    whole = measure_control(model, maps, prompts, *options)
    parts = measure_control(model, maps, prompts, *options, batch_size=2)
    assert whole.miou == parts.miou == 1.0
    assert np.abs(whole.pictures.astype(int) - parts.pictures).max() <= 1


def test_a_batch_of_different_prompts_is_drawn_from_one_seed_each(model):
    pictures = sample(model, None, ["a", "b"], settings(), (64, 64))
    second = sample(model, None, ["b"], settings(seed=6), (64, 64))
    assert np.abs(pictures[1].astype(int) - second[0]).max() <= 1
    assert torch.is_grad_enabled()
