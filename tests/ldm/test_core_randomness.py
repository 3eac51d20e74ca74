"""What a training step draws: from where, how much, and what it depends on."""

import pytest
import torch

from batches.augment import Draw
from ldm.modules.diffusionmodules.util import ROW_SEED, row_generators
from small import batch, small_model


@pytest.fixture
def model(monkeypatch):
    model = small_model(zeros=False).train()
    monkeypatch.setattr(model, "log_dict", lambda logs, **options: None)
    return model


def test_what_is_drawn_for_an_item_is_a_function_of_seed_epoch_and_index():
    def draw(seed=7, epoch=0, index=0):
        (generator,) = row_generators({ROW_SEED: [Draw(index, epoch=epoch, seed=seed).row_seed()]})
        torch.randn(3)  # the global source may stand anywhere
        return tuple(torch.rand(4, generator=generator).tolist())

    changes = [{}, dict(seed=8), dict(epoch=1), dict(index=1), dict(epoch=1, index=1), dict(index=256)]
    assert len({draw(**change) for change in changes}) == len(changes)
    assert all(draw(**change) == draw(**change) for change in changes)


def test_a_seeded_step_repeats_whatever_came_before(model):
    losses, given = [], batch() | {ROW_SEED: [1, 2]}
    for place in (3, 4):
        torch.randn(5)
        state = torch.get_rng_state()
        losses.append(model.training_step(given, place).item())
        assert torch.equal(torch.get_rng_state(), state)
    assert losses[0] == losses[1] != model.training_step(given | {ROW_SEED: [1, 3]}, 3).item()


def test_a_row_draws_the_same_in_any_batch(model):
    given, seeds = batch(4), [3, 1, 4, 9]
    model.prompt_dropout = model.hint_dropout = 0.5
    whole = model.training_step(given | {ROW_SEED: seeds}, 0)
    parts = []
    for rows in ([2], [0, 3, 1]):
        part = {key: [value[i] for i in rows] for key, value in given.items()}
        part = {key: torch.stack(value) if key != "txt" else value for key, value in part.items()}
        loss = model.training_step(part | {ROW_SEED: [seeds[i] for i in rows]}, 1)
        parts.append(len(rows) * loss / 4)
    assert torch.allclose(sum(parts), whole, rtol=1e-5)


def test_a_step_without_seeds_draws_from_the_global_source(model):
    assert row_generators(batch()) is None
    losses = [model.training_step(batch(), 0).item() for _ in range(2)]
    assert losses[0] != losses[1]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_asked_share_of_prompts_is_dropped(model, share):
    model.prompt_dropout = share
    given = dict(txt=[f"prompt {i}" for i in range(4000)], hint="untouched")
    dropped = model.drop_prompts(given, row_generators({ROW_SEED: range(4000)}))
    empty = sum(prompt == "" for prompt in dropped["txt"])
    assert abs(empty / 4000 - share) < 0.03 and (share or empty == 0)
    assert "" not in given["txt"] and dropped["hint"] == "untouched"
    assert all(prompt in ("", before) for prompt, before in zip(dropped["txt"], given["txt"], strict=True))


def test_prompts_are_dropped_in_training_steps_only(model, monkeypatch):
    """The image log and validation, which go through get_input, see every caption."""
    model.prompt_dropout, seen, encode = 1.0, [], model.get_learned_conditioning
    monkeypatch.setattr(
        model, "get_learned_conditioning", lambda prompts: seen.append(prompts) or encode(prompts)
    )
    model.get_input(batch(), "jpg")
    model.shared_step(batch())
    model.training_step(batch(), 0)
    assert seen == [batch()["txt"]] * 2 + [["", ""]]


def test_timesteps_cover_the_schedule_evenly(model):
    t = model.draw_timesteps(20000, row_generators({ROW_SEED: range(20000)}))
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


def test_encoded_batches_train_as_pictures_do(model):
    given = batch() | {ROW_SEED: [1, 2]}
    moments = model.encode_first_stage(given["jpg"].movedim(-1, 1)).parameters
    encoded = {k: v for k, v in given.items() if k != "jpg"} | dict(moments=moments)
    assert torch.allclose(model.training_step(given, 0), model.training_step(encoded, 0), rtol=1e-5)
