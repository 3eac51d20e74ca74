"""Laws of the control branch: what it adds, to what, and what it leaves alone."""

from functools import partial

import pytest
import torch

from small import condition, noisy, small_model

LEVELS = [
    dict(channel_mult=[1], num_res_blocks=1),
    dict(channel_mult=[1, 2], num_res_blocks=2),
    dict(channel_mult=[1, 1, 2], num_res_blocks=1, model_channels=64),
]


@pytest.fixture(scope="module")
def weights():
    return small_model(zeros=False).state_dict()


@pytest.fixture
def trained(weights):
    model = small_model()
    model.load_state_dict(weights)
    return model


@torch.no_grad()
def control_of(model, x, t, cond, **options):
    return model.control_model(x, cond["c_concat"][0], t, cond["c_crossattn"][0], **options)


@torch.no_grad()
def test_fresh_control_changes_nothing(trained):
    (x, t), cond = noisy(), condition()
    trained.control_model.load_state_dict(small_model().control_model.state_dict())
    assert not any(residual.any() for residual in control_of(trained, x, t, cond))
    without = trained.apply_model(x, t, cond | dict(c_concat=None))
    assert without.any() and torch.equal(trained.apply_model(x, t, cond), without)


@torch.no_grad()
def test_trained_control_follows_the_hint(trained):
    (x, t), cond = noisy(), condition()
    output = trained.apply_model(x, t, cond)
    for hint in (None, condition(seed=9)["c_concat"]):
        assert not torch.allclose(output, trained.apply_model(x, t, cond | dict(c_concat=hint)))


@torch.no_grad()
@pytest.mark.parametrize("unet", LEVELS)
def test_residuals_follow_the_yaml(unet):
    (x, t), cond, model = noisy(), condition(), small_model(unet=unet)
    control = model.control_model
    _, skips = control.encode(x, control.embed_time(t), cond["c_crossattn"][0])
    residuals = control_of(model, x, t, cond)
    assert len(skips) == len(unet["channel_mult"]) * (unet["num_res_blocks"] + 1)
    assert [r.shape for r in residuals[:-1]] == [skip.shape for skip in skips]
    assert len(model.control_scales) == len(residuals) == len(control.zero_convs) + 1
    assert model.apply_model(x, t, cond).shape == x.shape


@torch.no_grad()
@pytest.mark.parametrize("hint_channels", [1, 5])
def test_hint_channels_follow_the_yaml(hint_channels):
    model = small_model(hint_channels=hint_channels)
    cond = condition(hint_channels=hint_channels)
    assert model.apply_model(*noisy(), cond).shape == (2, 4, 8, 8)


@pytest.mark.parametrize("shape", [(2, 3, 64, 56), (2, 3, 8, 8), (2, 1, 64, 64), (2, 3, 65, 64)])
def test_a_hint_of_the_wrong_size_is_refused(trained, shape):
    cond = condition() | dict(c_concat=[torch.zeros(shape)])
    with pytest.raises(ValueError) as error:
        trained.apply_model(*noisy(), cond)
    assert all(str(size) in str(error.value) for size in ((4, 8, 8), (3, 64, 64), shape[1:]))


@torch.no_grad()
def test_inputs_are_left_as_they_were(trained):
    (x, t), cond = noisy(), condition()
    control = control_of(trained, x, t, cond)
    before = [tensor.clone() for tensor in (x, t, *cond["c_crossattn"], *cond["c_concat"], *control)]
    for only_mid in (False, True):
        options = dict(control=control, only_mid_control=only_mid)
        trained.model.diffusion_model(x, t, cond["c_crossattn"][0], **options)
        trained.apply_model(x, t, cond)
    after = [x, t, *cond["c_crossattn"], *cond["c_concat"], *control]
    assert len(control) == 5 and all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@torch.no_grad()
def test_only_mid_control_uses_the_middle_residual_alone(trained):
    (x, t), cond = noisy(), condition()
    control = control_of(trained, x, t, cond)
    trained.only_mid_control = True
    (middle,) = control_of(trained, x, t, cond, only_mid_control=True)
    assert torch.equal(middle, control[-1])
    padded = [torch.zeros_like(residual) for residual in control[:-1]] + control[-1:]
    expected = trained.model.diffusion_model(x, t, cond["c_crossattn"][0], control=padded)
    assert torch.equal(trained.apply_model(x, t, cond), expected)


@torch.no_grad()
def test_scales_count_from_the_outermost_skip_to_the_middle(trained):
    (x, t), cond = noisy(), condition()
    control = control_of(trained, x, t, cond)
    trained.control_scales = [0.0, 0.5, 1.0, 1.5, 2.0]
    scaled = [residual * 0.5 * i for i, residual in enumerate(control)]
    expected = trained.model.diffusion_model(x, t, cond["c_crossattn"][0], control=scaled)
    assert torch.equal(trained.apply_model(x, t, cond), expected)
    trained.only_mid_control = True
    assert torch.equal(
        trained.apply_model(x, t, cond),
        trained.model.diffusion_model(x, t, cond["c_crossattn"][0], control=scaled, only_mid_control=True),
    )


@torch.no_grad()
def test_bf16_weights_give_bf16_numbers(trained):
    (x, t), cond = noisy(), condition()
    expected = trained.apply_model(x, t, cond)
    half = {k: [v.bfloat16() for v in values] for k, values in cond.items()}
    output = trained.bfloat16().apply_model(x.bfloat16(), t, half)
    assert output.dtype == torch.bfloat16
    assert (output - expected).abs().mean() < 0.05 * expected.abs().mean()


@pytest.mark.parametrize("is_diffusing", [True, False])
def test_only_the_parts_at_work_stay_on_the_device(trained, monkeypatch, is_diffusing):
    monkeypatch.setattr(type(trained), "device", torch.device("meta"))
    moved, parts = {}, ("model", "control_model", "first_stage_model", "cond_stage_model")
    for name in parts:
        monkeypatch.setattr(getattr(trained, name), "to", partial(moved.__setitem__, name))
    trained.low_vram_shift(is_diffusing)
    here, there = (parts[:2], parts[2:]) if is_diffusing else (parts[2:], parts[:2])
    assert list(moved) == [*there, *here]  # room is made first
    assert {str(moved[name]) for name in here} == {"meta"} and {moved[name] for name in there} == {"cpu"}


def test_on_the_cpu_no_part_moves(trained):
    before = {name: value.data_ptr() for name, value in trained.state_dict().items()}
    trained.low_vram_shift(is_diffusing=True)
    trained.low_vram_shift(is_diffusing=False)
    assert before == {name: value.data_ptr() for name, value in trained.state_dict().items()}
