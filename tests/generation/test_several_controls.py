"""Controls add up, each with its own branch, hint, strength and range of steps."""

from collections import Counter
from copy import deepcopy

import numpy as np
import pytest
import torch

from cldm.controls import Control
from cldm.denoisers import guided_denoiser
from generation.generate import Settings, generate
from ldm.models.diffusion.samplers import ddim
from ldm.modules.diffusionmodules.util import make_ddim_timesteps
from small import small_model

SETTINGS = dict(prompt="a", negative_prompt="b", num_samples=2, steps=4, scale=4.0, seed=5)


@pytest.fixture(scope="module")
def model():
    return small_model(zeros=False)


@pytest.fixture(scope="module")
def other(model):
    """A second branch, trained otherwise."""
    branch = deepcopy(model.control_model)
    with torch.no_grad():
        for parameter in branch.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return branch


@pytest.fixture(scope="module")
def hints():
    return np.random.default_rng(0).random((2, 64, 64, 3), dtype=np.float32)


def settings(**changes):
    return Settings(**SETTINGS | changes)


def close(a, b):
    """Equal but for the rounding of sums in another order."""
    return np.abs(a.astype(int) - b).max() <= 1


@pytest.mark.parametrize("guess_mode", [False, True])
def test_one_control_is_drawn_as_the_sampler_interface_does_to_the_bit(model, hints, guess_mode):
    """By the condition dicts and control_scales of the original."""
    hint = torch.from_numpy(hints[0]).permute(2, 0, 1).expand(2, 3, 64, 64)
    text, negative = (model.get_learned_conditioning([prompt] * 2) for prompt in "ab")
    cond = dict(c_crossattn=[text], c_concat=[hint])
    uncond = dict(c_crossattn=[negative], c_concat=None if guess_mode else [hint])
    denoise = guided_denoiser(model, cond, uncond, 4.0)
    noise = [torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(seed)) for seed in (5, 6)]
    timesteps = make_ddim_timesteps("uniform", 4, 1000)
    kept = model.control_scales
    model.control_scales = [0.5 * (0.825 ** (4 - i) if guess_mode else 1.0) for i in range(5)]
    latents = ddim(denoise, torch.stack(noise), model.alphas_cumprod, timesteps)
    model.control_scales = kept
    pictures = []
    options = dict(strength=0.5, guess_mode=guess_mode)
    for given in Control(hints[0], **options), [Control(hints[0], model.control_model, **options)]:
        steps = []
        pictures.append(generate(model, given, settings(), callback=steps.append))
        assert torch.equal(steps[-1]["x"], latents)
    assert (pictures[0] == pictures[1]).all()


def test_two_equal_controls_at_half_strength_are_one_at_full(model, hints):
    halves = [Control(hints[0], strength=0.5), Control(hints[0], model.control_model, strength=[0.5] * 5)]
    assert close(generate(model, halves, settings()), generate(model, hints[0], settings()))


def test_each_control_has_a_hint_and_a_branch_of_its_own(model, other, hints):
    both = generate(model, [Control(hints[0]), Control(hints[1], other)], settings())
    assert close(both, generate(model, [Control(hints[1], other), Control(hints[0])], settings()))
    for wrong in (
        [Control(hints[1]), Control(hints[0], other)],
        [Control(hints[0])],
        [Control(hints[1], other)],
    ):
        assert (both != generate(model, wrong, settings())).any()


@pytest.mark.parametrize("index", range(5))
def test_a_strength_for_each_residual_reaches_it_alone(model, hints, index):
    """What one residual lacks, a second control can add."""
    without = [float(i != index) for i in range(5)]
    parts = [Control(hints[0], strength=without), Control(hints[0], strength=[1 - s for s in without])]
    whole = generate(model, hints[0], settings(num_samples=1, steps=2))
    assert close(generate(model, parts, settings(num_samples=1, steps=2)), whole)
    assert (generate(model, parts[:1], settings(num_samples=1, steps=2)) != whole).any()


def test_a_control_is_computed_in_its_steps_only_and_its_hint_once(model, other, hints):
    calls = Counter()
    branches = dict(first=model.control_model, second=other)
    parts = {name: branch.input_hint_block for name, branch in branches.items()}
    watched = {**branches, **{f"{name} hint": block for name, block in parts.items()}}
    handles = [
        module.register_forward_pre_hook(lambda *_, name=name: calls.update([name]))
        for name, module in watched.items()
    ]
    controls = [Control(hints[0], end=0.3), Control(hints[1], other, start=0.2, end=0.7)]
    generate(model, [*controls, Control(hints[1], strength=0.0)], settings(steps=10))
    for handle in handles:
        handle.remove()
    assert calls == {"first": 3, "second": 5, "first hint": 1, "second hint": 1}


def test_attention_projects_the_prompts_once_whoever_acts(model, other, hints):
    rows = []
    attention = model.model.diffusion_model.middle_block[1].transformer_blocks[0].attn2.to_k
    handle = attention.register_forward_pre_hook(lambda _, inputs: rows.append(len(inputs[0])))
    generate(model, [Control(hints[0], end=0.5), Control(hints[1], other, start=0.5)], settings())
    handle.remove()
    assert rows == [4]


def test_guess_mode_is_a_controls_own(model, other, hints):
    """Of a second control it changes nothing where that one doesn't act."""
    plain, guess = (
        [Control(hints[0], end=0.5), Control(hints[1], other, start=0.5, guess_mode=guess, strength=0.0)]
        for guess in (False, True)
    )
    assert (generate(model, plain, settings()) == generate(model, guess, settings())).all()
    mixed = [Control(hints[0]), Control(hints[1], other, guess_mode=True)]
    drawn = generate(model, mixed, settings())
    for unlike in ([Control(hints[0]), Control(hints[1], other)], [Control(hints[0], guess_mode=True)]):
        assert (drawn != generate(model, unlike, settings())).any()


def test_a_picture_under_several_controls_does_not_depend_on_its_batch(model, other, hints):
    controls = [Control(hints), Control(hints[1], other, strength=0.7)]
    two = generate(model, controls, settings(eta=0.3))
    controls[0] = Control(hints[1])
    assert close(two[1], generate(model, controls, settings(num_samples=1, seed=6, eta=0.3))[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(strength=11), "strength must be between 0 and 10, got 11"),
        (dict(strength=[1.0, None]), "strength must be a number, got None"),
        (dict(strength="1"), "strength must be a number"),
        (dict(strength=-1), "strength must be between"),
        (dict(guess_mode="false"), "guess_mode must be true or false, got 'false'"),
        (dict(start=-0.1), "start must be between 0 and 1"),
        (dict(start=0.6, end=0.5), "start 0.6 lies behind its end 0.5"),
        (dict(hint=np.zeros((64, 64))), r"a hint must be \(H, W, c\)"),
    ],
)
def test_a_control_out_of_range_is_refused(hints, changes, message):
    with pytest.raises(ValueError, match=message):
        Control(**dict(hint=hints[0]) | changes)


def test_controls_that_contradict_the_rest_are_refused(model, hints):
    control = Control(hints[0])
    with pytest.raises(ValueError, match="one number or 5, one a residual, got 13"):
        generate(model, Control(hints[0], strength=[1.0] * 13), settings())
    with pytest.raises(ValueError, match=r"of one size, got \(64, 128\) and \(64, 64\)"):
        generate(model, [control, Control(np.zeros((64, 128, 3), np.float32))], settings())
