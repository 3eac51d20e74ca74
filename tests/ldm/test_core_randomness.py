"""What a training step draws: from where, how much, and what it depends on."""

import pytest
import torch

from small import batch, small_model


@pytest.fixture
def model(monkeypatch):
    model = small_model(zeros=False).train()
    model.seed = 7
    monkeypatch.setattr(model, "log_dict", lambda logs, **options: None)
    return model


def place(monkeypatch, model, epoch, rank):
    monkeypatch.setattr(type(model), "current_epoch", epoch)
    monkeypatch.setattr(type(model), "global_rank", rank)


def test_noise_is_a_function_of_seed_epoch_batch_and_rank(model, monkeypatch):
    def draw(seed=7, epoch=0, index=0, rank=0):
        model.seed = seed
        place(monkeypatch, model, epoch, rank)
        torch.randn(3)  # the global source may stand anywhere
        return tuple(torch.rand(4, generator=model.step_generator(index)).tolist())

    changes = [
        {},
        dict(seed=8),
        dict(epoch=1),
        dict(index=1),
        dict(rank=1),
        dict(epoch=1, index=1),
        dict(rank=256),
    ]
    assert len({draw(**change) for change in changes}) == len(changes)
    assert all(draw(**change) == draw(**change) for change in changes)


def test_a_seeded_step_repeats_whatever_came_before(model, monkeypatch):
    place(monkeypatch, model, 0, 0)
    losses = []
    for _ in range(2):
        torch.randn(5)
        state = torch.get_rng_state()
        losses.append(model.training_step(batch(), 3).item())
        assert torch.equal(torch.get_rng_state(), state)
    assert losses[0] == losses[1] != model.training_step(batch(), 4).item()


def test_an_unseeded_step_draws_from_the_global_source(model):
    model.seed = None
    assert model.step_generator(0) is None
    losses = [model.training_step(batch(), 0).item() for _ in range(2)]
    assert losses[0] != losses[1]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_asked_share_of_prompts_is_dropped(model, share):
    model.prompt_dropout = share
    given = dict(txt=[f"prompt {i}" for i in range(4000)], hint="untouched")
    dropped = model.drop_prompts(given, model.step_generator(0))
    empty = sum(prompt == "" for prompt in dropped["txt"])
    assert abs(empty / 4000 - share) < 0.03 and (share or empty == 0)
    assert "" not in given["txt"] and dropped["hint"] == "untouched"
    assert all(prompt in ("", before) for prompt, before in zip(dropped["txt"], given["txt"], strict=True))


def test_prompts_are_dropped_in_training_steps_only(model, monkeypatch):
    """The image log and validation, which go through get_input, see every caption."""
    place(monkeypatch, model, 0, 0)
    model.prompt_dropout, seen, encode = 1.0, [], model.get_learned_conditioning
    monkeypatch.setattr(
        model, "get_learned_conditioning", lambda prompts: seen.append(prompts) or encode(prompts)
    )
    model.get_input(batch(), "jpg")
    model.shared_step(batch())
    model.training_step(batch(), 0)
    assert seen == [batch()["txt"]] * 2 + [["", ""]]


def test_timesteps_cover_the_schedule_evenly(model):
    t = model.draw_timesteps(20000, model.step_generator(0))
    assert t.min() == 0 and t.max() == 999
    assert torch.histc(t.float(), bins=10, min=0, max=1000).min() > 1800


def test_a_batch_becomes_scaled_latents_and_conditions(model):
    given = batch(3)
    torch.manual_seed(0)
    z, cond = model.get_input(given, "jpg", bs=2)
    assert z.shape == (2, 4, 8, 8) and cond["c_crossattn"][0].shape == (2, 5, 16)
    assert torch.equal(cond["c_concat"][0], given["hint"][:2].movedim(-1, 1))
    posterior = model.encode_first_stage(given["jpg"][:2].movedim(-1, 1))
    torch.manual_seed(0)
    assert torch.allclose(z, model.scale_factor * posterior.sample(), atol=1e-5)


def test_encoded_batches_train_as_pictures_do(model, monkeypatch):
    place(monkeypatch, model, 0, 0)
    given = batch()
    moments = model.encode_first_stage(given["jpg"].movedim(-1, 1)).parameters
    encoded = {k: v for k, v in given.items() if k != "jpg"} | dict(moments=moments)
    assert torch.allclose(model.training_step(given, 0), model.training_step(encoded, 0), rtol=1e-5)
