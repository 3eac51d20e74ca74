"""The original's DDIM interface: its arguments in their order, and what each of them does."""

import inspect

import numpy as np
import pytest
import torch

from cldm.ddim_hacked import DDIMSampler
from small import condition, noisy, small_model

GUIDANCE = "unconditional_guidance_scale unconditional_conditioning dynamic_threshold"
ARGUMENTS = {
    "make_schedule": "ddim_num_steps ddim_discretize ddim_eta verbose",
    "sample": """S batch_size shape conditioning callback normals_sequence img_callback quantize_x0 eta mask
        x0 temperature noise_dropout score_corrector corrector_kwargs verbose x_T log_every_t
        unconditional_guidance_scale unconditional_conditioning dynamic_threshold
        ucg_schedule""",
    "ddim_sampling": f"""cond shape x_T ddim_use_original_steps callback timesteps quantize_denoised mask x0
        img_callback log_every_t temperature noise_dropout score_corrector corrector_kwargs {GUIDANCE}
        ucg_schedule""",
    "p_sample_ddim": f"""x c t index repeat_noise use_original_steps quantize_denoised temperature
        noise_dropout score_corrector corrector_kwargs {GUIDANCE}""",
    "encode": """x0 c t_enc use_original_steps return_intermediates unconditional_guidance_scale
        unconditional_conditioning callback""",
    "stochastic_encode": "x0 t use_original_steps noise",
    "decode": """x_latent cond t_start unconditional_guidance_scale unconditional_conditioning
        use_original_steps callback""",
}
LIES = dict(
    normals_sequence=[torch.zeros(1)],
    quantize_x0=True,
    score_corrector=object(),
    corrector_kwargs={},
    dynamic_threshold=0.99,
    unconditional_guidance_scale=7.5,
    ucg_schedule=[7.5] * 5,
)
GUIDED = dict(unconditional_guidance_scale=3.0, unconditional_conditioning=condition(seed=5))


@pytest.fixture(scope="module")
def sampler():
    sampler = DDIMSampler(small_model(zeros=False))
    sampler.make_schedule(5, verbose=False)
    return sampler


def draw(sampler, *arguments, **options):
    """Latents in 5 steps from fixed noise."""
    torch.manual_seed(0)
    options = dict(conditioning=condition(), x_T=noisy()[0], verbose=False) | options
    return sampler.sample(5, 2, (4, 8, 8), *arguments, **options)[0]


@pytest.mark.parametrize("method", ARGUMENTS)
def test_arguments_are_the_originals_in_its_order(method):
    names = list(inspect.signature(getattr(DDIMSampler, method)).parameters)
    assert names == ["self", *ARGUMENTS[method].split()]


@pytest.mark.parametrize("name", LIES)
def test_what_would_not_be_done_is_refused_by_name(sampler, name):
    with pytest.raises(ValueError, match=name.removeprefix("ucg_").replace("schedule", "guidance_scale")):
        draw(sampler, **{name: LIES[name]})


def test_steps_one_by_one_draw_what_sampling_draws(sampler):
    sampler.make_schedule(5, ddim_eta=0.7, verbose=False)
    torch.manual_seed(0)
    x, start = noisy()[0], noisy()[0]
    for index in reversed(range(5)):
        t = torch.full((2,), int(sampler.ddim_timesteps[index]))
        x, x_0 = sampler.p_sample_ddim(x, condition(), t, index, **GUIDED)
    torch.manual_seed(0)
    drawn, kept = sampler.ddim_sampling(condition(), (2, 4, 8, 8), start, **GUIDED)
    assert torch.equal(drawn, x) and torch.equal(kept["pred_x0"][-1], x_0)
    assert torch.equal(draw(sampler, eta=0.7, **GUIDED), x)


def test_a_schedule_of_guidance_scales_is_followed_from_the_noisiest_step_on(sampler):
    uncond = dict(unconditional_conditioning=GUIDED["unconditional_conditioning"])
    constant = draw(sampler, **GUIDED)
    assert torch.equal(draw(sampler, ucg_schedule=[3.0] * 5, **uncond), constant)
    sampler.make_schedule(5, verbose=False)
    x = noisy()[0]
    for i, scale in enumerate([9.0, 3.0, 1.0, 1.0, 1.0]):
        t = torch.full((2,), int(sampler.ddim_timesteps[4 - i]))
        step = dict(uncond, unconditional_guidance_scale=scale)
        x, _ = sampler.p_sample_ddim(x, condition(), t, 4 - i, **step)
    assert torch.equal(draw(sampler, ucg_schedule=[9.0, 3.0, 1.0, 1.0, 1.0], **uncond), x)
    with pytest.raises(ValueError, match="each of 5 steps, got 4"):
        draw(sampler, ucg_schedule=[1.0] * 4, **uncond)


def test_noise_is_scaled_dropped_and_repeated_as_asked(sampler):
    quiet = draw(sampler, eta=1.0, temperature=0.0)
    assert torch.equal(draw(sampler, eta=1.0, noise_dropout=1.0), quiet)
    assert not torch.allclose(draw(sampler, eta=1.0, noise_dropout=0.5), draw(sampler, eta=1.0))
    sampler.make_schedule(5, ddim_eta=1.0, verbose=False)
    x = noisy()[0][:1].expand(2, -1, -1, -1)
    cond = {name: [value[:1].expand(2, *value.shape[1:]) for value in v] for name, v in condition().items()}
    t = torch.full((2,), int(sampler.ddim_timesteps[3]))
    for repeat in (True, False):
        first, second = sampler.p_sample_ddim(x, cond, t, 3, repeat_noise=repeat)[0]
        assert torch.allclose(first, second, atol=1e-5) == repeat


def test_the_lowest_steps_alone_go_on_from_where_the_others_ended(sampler):
    drawn, kept = sampler.sample(5, 2, (4, 8, 8), condition(), x_T=noisy()[0], verbose=False, log_every_t=1)
    for lowest in (
        sampler.ddim_sampling(condition(), (2, 4, 8, 8), kept["x_inter"][2], timesteps=3)[0],
        sampler.decode(kept["x_inter"][2], condition(), 3),
    ):
        assert torch.equal(lowest, drawn)
    assert torch.equal(sampler.decode(drawn, condition(), 0), drawn)


def test_more_steps_than_the_schedule_has_are_refused(sampler):
    x = noisy()[0]
    for walk in (sampler.encode, sampler.decode):
        with pytest.raises(ValueError, match="has 5 steps, 6 of them"):
            walk(x, condition(), 6)


@pytest.fixture
def gentle(monkeypatch):
    """A sampler whose network predicts what varies little between steps, so that encoding can be undone."""
    model = small_model()

    def predict(x, t, cond):
        return 0.1 * x + cond["c_crossattn"][0].tokens.mean((1, 2))[:, None, None, None]

    monkeypatch.setattr(model, "apply_model", predict)
    return DDIMSampler(model)


@pytest.mark.parametrize("uncond", [condition(seed=5), condition(seed=5) | dict(c_concat=None)])
def test_decoding_undoes_encoding_under_guidance(gentle, uncond):
    """The original concatenated condition dicts here, and crashed."""
    guidance, x0 = GUIDED | dict(unconditional_conditioning=uncond), noisy()[0]
    gentle.make_schedule(200, verbose=False)
    steps = []
    encoded, out = gentle.encode(
        x0, condition(), 150, return_intermediates=5, callback=steps.append, **guidance
    )
    assert torch.equal(out["x_encoded"], encoded) and steps == list(range(150))
    assert out["intermediate_steps"] == [0, 30, 60, 90, 120, 148, 149] and len(out["intermediates"]) == 7
    assert torch.equal(out["intermediates"][-1], encoded)
    decoded = gentle.decode(encoded, condition(), 150, **guidance)
    assert (decoded - x0).abs().max() < 0.05 < (encoded - x0).abs().max()
    assert not torch.allclose(gentle.encode(x0, condition(), 150)[0], encoded, atol=0.01)
    assert set(gentle.encode(x0, condition(), 3)[1]) == {"x_encoded", "intermediate_steps"}


def test_stochastic_encoding_noises_to_steps_of_the_schedule(sampler):
    sampler.make_schedule(5, verbose=False)
    x0, noise, t = noisy()[0], torch.randn(2, 4, 8, 8), torch.tensor([1, 4])
    a = torch.tensor(sampler.ddim_alphas[t], dtype=torch.float32)[:, None, None, None]
    encoded = sampler.stochastic_encode(x0, t, noise=noise)
    assert torch.allclose(encoded, a.sqrt() * x0 + (1 - a).sqrt() * noise, atol=1e-6)
    original = sampler.stochastic_encode(x0, torch.tensor([201, 801]), use_original_steps=True, noise=noise)
    assert torch.allclose(encoded, original)


def test_a_walk_over_every_timestep_ends_without_noise(gentle):
    drawn, kept = gentle.ddim_sampling(condition(), (2, 4, 8, 8), noisy()[0], ddim_use_original_steps=True)
    assert torch.equal(drawn, kept["pred_x0"][-1])
    gentle.make_schedule(1000, verbose=False)
    assert np.array_equal(gentle.ddim_timesteps, np.arange(1000)) and gentle.ddim_alphas_prev[0] == 1.0


def test_a_mask_needs_the_latents_to_keep(sampler):
    with pytest.raises(ValueError, match="together"):
        draw(sampler, mask=torch.ones(2, 1, 8, 8))
