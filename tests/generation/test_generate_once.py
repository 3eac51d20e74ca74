"""What the steps of a picture share is computed once, and changes neither pictures nor training."""

from collections import Counter
from contextlib import contextmanager
from copy import deepcopy

import numpy as np
import pytest
import torch

from cldm.controls import Control
from cldm.ddim_hacked import DDIMSampler
from cldm.denoisers import guided_denoiser, precompute
from generation.generate import Settings, generate
from ldm.modules.attention import BasicTransformerBlock, ProjectedContext
from small import condition, noisy, small_model


@pytest.fixture(scope="module")
def model():
    return small_model(zeros=False)


@pytest.fixture
def hint():
    return np.random.default_rng(0).random((64, 64, 3), dtype=np.float32)


@contextmanager
def counted(*modules):
    """Counter of the calls of modules, and of the rows that they get: {module: calls}, {module: rows}."""
    calls, rows = Counter(), Counter()

    def count(module, inputs):
        calls[module] += 1
        rows[module] += len(inputs[0])

    handles = [module.register_forward_pre_hook(count) for module in modules]
    yield calls, rows
    for handle in handles:
        handle.remove()


def cross_attentions(network):
    return [block.attn2 for block in network.modules() if isinstance(block, BasicTransformerBlock)]


def everything_at_each_step(model, cond, uncond, scale):
    """A denoiser that remembers nothing and shares nothing."""

    def denoise(x, t):
        t = torch.full((len(x),), t)
        base, conditional = (model.apply_model(x, t, c) for c in (uncond, cond))
        return model.predictions(x, t, base + scale * (conditional - base))

    return denoise


SETTINGS = dict(prompt="a", negative_prompt="b", num_samples=3, steps=4, scale=4.0)


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp_2m"])
def test_hint_and_prompts_are_worked_on_once_a_picture(model, hint, sampler):
    """Guidance included: its two halves have the same hint."""
    attentions = [*cross_attentions(model.model), *cross_attentions(model.control_model)]
    projections = [layer for a in attentions for layer in (a.to_k, a.to_v)]
    hint_block, encoder = model.control_model.input_hint_block, model.cond_stage_model
    with counted(hint_block, encoder, *projections) as (calls, rows):
        generate(model, hint, Settings(**SETTINGS, sampler=sampler))
    assert len(projections) == 12 and {*calls.values()} == {1}
    assert rows[hint_block] == 3 and rows[encoder] == 2
    assert {rows[layer] for layer in projections} == {6}


def test_guidance_parts_at_the_first_attention_to_the_prompts(model, hint):
    """Before it the two halves are one."""
    unet, control = model.model.diffusion_model, model.control_model
    heads = [m for n in (unet, control) for m in (n.input_blocks[0], n.input_blocks[1][0])]
    tails = [m for n in (unet, control) for m in (n.input_blocks[2], n.middle_block)] + [unet.out]
    with counted(*heads, *tails) as (_, rows):
        generate(model, hint, Settings(**SETTINGS))
    assert {rows[module] for module in heads} == {4 * 3}
    assert {rows[module] for module in tails} == {4 * 6}


def test_a_range_of_steps_or_guess_mode_still_works_once(model, hint):
    block = model.control_model.input_hint_block
    for acts, change in ((dict(start=0.3, end=0.8), {}), (dict(guess_mode=True), {}), ({}, dict(scale=1.0))):
        with counted(block) as (calls, rows):
            generate(model, Control(hint, **acts), Settings(**SETTINGS | change))
        assert calls[block] == 1 and rows[block] == 3


def test_a_scale_per_step_makes_no_work_of_its_own(model):
    block, unet = model.control_model.input_hint_block, model.model.diffusion_model
    cond = condition()
    uncond = cond | dict(c_crossattn=condition(seed=5)["c_crossattn"])
    options = dict(unconditional_conditioning=uncond, verbose=False, x_T=noisy()[0])
    schedule = [1.0, 3.0, 2.0, 1.0]
    with counted(block, unet.out) as (calls, rows):
        drawn, _ = DDIMSampler(model).sample(4, 2, (4, 8, 8), cond, ucg_schedule=schedule, **options)
    assert calls[block] == 2 and rows[unet.out] == 2 + 4 + 4 + 2  # one for guided steps, one for the others
    with torch.no_grad():
        sampler = DDIMSampler(model)
        sampler.make_schedule(4, verbose=False)
        x = noisy()[0]
        for index, scale in zip((3, 2, 1, 0), schedule, strict=True):
            t = torch.full((2,), int(sampler.ddim_timesteps[index]))
            guidance = dict(unconditional_guidance_scale=scale, unconditional_conditioning=uncond)
            x, _ = sampler.p_sample_ddim(x, cond, t, index, **guidance)
    assert torch.allclose(drawn, x, atol=1e-5)


@torch.no_grad()
def test_what_is_remembered_changes_no_prediction(model):
    (x, t), cond = noisy(), condition()
    assert torch.equal(model.apply_model(x, t, precompute(model, cond)), model.apply_model(x, t, cond))
    uncontrolled = cond | dict(c_concat=None)
    expected = model.apply_model(x, t, uncontrolled)
    assert torch.equal(model.apply_model(x, t, precompute(model, uncontrolled)), expected)


@pytest.mark.parametrize("hints", ["one", "of each half", "of one half"])
@torch.no_grad()
def test_guidance_predicts_as_without_memory_and_sharing(model, hints):
    # in float64: which rows are computed together changes the last bits, on some processors more than 1e-6
    model, x = deepcopy(model).double(), noisy()[0].double()
    cond, uncond = (
        {key: [part.double() for part in parts] for key, parts in condition(seed=seed).items()}
        for seed in (0, 5)
    )
    uncond |= {"one": dict(c_concat=cond["c_concat"]), "of one half": dict(c_concat=None)}.get(hints, {})
    denoise = guided_denoiser(model, cond, uncond, 3.0)
    for step in (900, 500, 20):
        predicted = denoise(x, step)
        expected = everything_at_each_step(model, cond, uncond, 3.0)(x, step)
        for ours, theirs in zip(predicted, expected, strict=True):
            assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-11 * float(theirs.abs().max()))


@torch.no_grad()
def test_levels_without_attention_are_shared_too():
    unet = dict(attention_resolutions=[2])
    model = small_model(zeros=False, unet=unet)
    cond = condition()
    uncond = cond | dict(c_crossattn=condition(seed=5)["c_crossattn"])
    eps, _ = guided_denoiser(model, cond, uncond, 3.0)(noisy()[0], 300)
    expected, _ = everything_at_each_step(model, cond, uncond, 3.0)(noisy()[0], 300)
    assert torch.allclose(eps, expected, rtol=1e-5, atol=1e-5)


def test_gradients_flow_where_nothing_is_remembered(model):
    """Training calls with tensors, and its keys and hint features are made anew in each step."""
    (x, t), cond = noisy(), condition()
    with counted(model.control_model.input_hint_block) as (calls, _):
        for _ in range(2):
            model.apply_model(x, t, cond).square().mean().backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    model.zero_grad()
    assert {*calls.values()} == {2} and all(g is not None and g.any() for g in gradients.values())


def test_the_memory_ends_with_the_picture(model):
    context = ProjectedContext(torch.randn(1, 5, 16))
    attention = cross_attentions(model.model)[0]
    first, again = (context.keys_values(attention)[0] for _ in range(2))
    other = ProjectedContext(context.tokens).keys_values(attention)[0]
    assert first is again and other is not first and torch.equal(other, first)
