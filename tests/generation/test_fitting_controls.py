"""A control beside a garment: the map says where, the garment says what."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from cldm.controls import Control
from cldm.guidance import guide_by
from cldm.weights.load_tryon import LoadedTryon
from generation.branches import load_branch
from generation.fitting import FittingSettings, put_on
from generation.generate import Settings, sample
from ldm.checkpoint import CheckpointError, write_state_dict
from small import small_config, small_model
from small_tryon import RECIPES, TEXT, build, items, recipe

SIZE = 64, 48
TWO = FittingSettings(steps=2)


@pytest.fixture(scope="module")
def controlled():
    """A base with a trained control branch, as a ControlLDM."""
    return small_model(zeros=False)


@pytest.fixture(scope="module")
def hint():
    return np.random.default_rng(0).random((*SIZE, 3), dtype=np.float32)


def test_beside_no_garment_a_control_draws_what_it_draws_without_try_on(controlled, hint):
    """A recipe of prompts alone on the same base, guided by them: to the rounding of pixels."""
    tryon = build(TEXT, in_channels=4, repaint="none")
    for part in ("first_stage_model", "cond_stage_model"):
        setattr(tryon, part, getattr(controlled, part))
    tryon.model.load_state_dict(controlled.model.state_dict())
    given, seeds = items(), [3, 4]
    prompts = [item["txt"] for item in given]
    settings = Settings(steps=3, scale=4.0, sampler="ddim")
    for strength in (1.0, 0.0):
        control = Control(hint, controlled.control_model, strength=strength)
        wanted = sample(controlled, [control], prompts, settings, SIZE, seeds=seeds)
        guided = FittingSettings(steps=3, guidance=guide_by("text", 4.0))
        drawn = put_on(tryon, given, seeds, guided, controls=[control])
        assert np.abs(drawn.astype(int) - wanted).max() <= 1
    assert not np.array_equal(
        drawn, put_on(tryon, given, seeds, guided, controls=[Control(hint, controlled.control_model)])
    )


@pytest.mark.parametrize("name", RECIPES)
def test_a_control_acts_in_every_recipe_and_one_without_strength_in_none(name, controlled, hint):
    model, given = recipe(name), items()
    free = put_on(model, given, [5, 6], TWO)
    branch = controlled.control_model
    led = put_on(model, given, [5, 6], TWO, controls=[Control(hint, branch)])
    assert not np.array_equal(led, free)
    assert np.array_equal(
        put_on(model, given, [5, 6], TWO, controls=[Control(hint, branch, strength=0.0)]), free
    )
    silent = deepcopy(branch)
    for conv in [*silent.zero_convs, silent.middle_block_out]:
        for parameter in conv.parameters():
            torch.nn.init.zeros_(parameter)
    assert np.array_equal(put_on(model, given, [5, 6], TWO, controls=[Control(hint, silent)]), free)
    alone = put_on(model, given[1:], [6], TWO, controls=[Control(hint, branch)])
    assert np.abs(led[1].astype(int) - alone[0]).max() <= 1


def test_the_garment_still_counts_under_a_control(controlled, hint):
    model, (first, other) = recipe("ootd"), items()
    swapped = first | {key: value for key, value in other.items() if key.startswith("garment")}
    control = Control(hint, controlled.control_model)
    assert not np.array_equal(
        *(put_on(model, [item], [1], TWO, controls=[control]) for item in (first, swapped))
    )


def test_controls_add_up_and_act_in_their_range_alone(controlled, hint):
    model, given, branch = recipe("ootd"), items(), controlled.control_model
    halves = [Control(hint, branch, strength=0.5), Control(hint, branch, strength=0.5)]
    whole = put_on(model, given, [1, 2], TWO, controls=[Control(hint, branch)])
    assert np.abs(put_on(model, given, [1, 2], TWO, controls=halves).astype(int) - whole).max() <= 1
    first = put_on(model, given, [1, 2], TWO, controls=[Control(hint, branch, end=0.5)])
    free = put_on(model, given, [1, 2], TWO)
    assert not np.array_equal(first, whole) and not np.array_equal(first, free)
    none = [Control(hint, branch, start=0.4, end=0.6)]  # no whole step of two lies there
    assert np.array_equal(put_on(model, given, [1, 2], TWO, controls=none), free)


def test_of_stacked_pictures_the_garments_rows_are_not_controlled(controlled, hint):
    model, given = recipe("catvton"), items()
    seen, unet = [], model.model.diffusion_model
    original = unet.forward
    unet.forward = lambda *args, control=None, **rest: (
        seen.append(control) or original(*args, control=control, **rest)
    )
    put_on(model, given, [1, 2], TWO, controls=[Control(hint, controlled.control_model)])
    for residual in seen[0]:
        person, garment = residual.chunk(2, dim=2)
        assert not garment.any() and person.any()


def test_controls_that_cannot_act_are_refused(controlled, hint):
    model, given, branch = recipe("ootd"), items(), controlled.control_model
    for control, words in [
        (Control(hint), "needs a branch"),
        (Control(hint, branch, guess_mode=True), "guess mode is about a prediction without the prompt"),
        (Control(hint[:32], branch), "hints and photos must be of one size"),
    ]:
        with pytest.raises(ValueError, match=words):
            put_on(model, given, [1, 2], TWO, controls=[control])


def test_a_controls_file_is_loaded_beside_a_try_on_model(controlled, tmp_path, monkeypatch):
    path, model = tmp_path / "control.safetensors", recipe("ootd")
    state = {f"control_model.{name}": t for name, t in controlled.control_model.state_dict().items()}
    write_state_dict(state, path, dict(config="small.yaml"))
    OmegaConf.save(OmegaConf.create(dict(model=small_config())), tmp_path / "small.yaml")
    monkeypatch.setattr("generation.branches.config_of", lambda weights: tmp_path / "small.yaml")
    loaded = LoadedTryon(model, None, "tryon.safetensors", "models/tryon.yaml", [])
    branch = load_branch(path, loaded)
    wanted = controlled.control_model.state_dict()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in branch.network.state_dict().items())
    other = replace(loaded, model=build(TEXT, in_channels=4, person_unet=dict(num_res_blocks=2)))
    with pytest.raises(
        CheckpointError, match="another family than tryon.safetensors: num_res_blocks is 1 in it"
    ):
        load_branch(path, other)
