"""Putting garments on: what enters the model is what training gave it; no picture depends on its batch."""

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from cldm.guidance import guide_by
from generation.fitting import FittingSettings, put_on
from small_tryon import RECIPES, items, recipe


def prepared_when(model, act):
    """What `prepare` gives while something acts, and with what rows dropped."""
    found, original = [], model.prepare

    def prepare(encoded, dropped):
        found.append((original(encoded, dropped), dropped))
        return found[-1][0]

    model.prepare = prepare
    act()
    del model.prepare
    return found[-1]


def flat(prepared):
    for name, values in prepared.items():
        for key, value in values.items():
            yield from (
                (((name, key, site), tokens) for site, tokens in value.items())
                if isinstance(value, dict)
                else [((name, key), value)]
            )


@pytest.mark.parametrize("name", RECIPES)
def test_what_enters_the_model_is_the_same_in_training_and_in_drawing(name):
    """For the same file: all prepared conditions, given and dropped, tensor by tensor."""
    model, given = recipe(name), items()
    condition = "image" if name == "image" else "garment"
    settings = FittingSettings(steps=1, guidance=guide_by(condition, 2.0))
    drawn, dropped = prepared_when(model, lambda: put_on(model, given, [1, 2], settings))
    train = default_collate(given)
    flags = {n: torch.full((2,), False) for n in model.conditions}
    for rows, is_dropped in ((slice(0, 2), True), (slice(2, 4), False)):
        assert bool(dropped[condition][rows].all()) is is_dropped
        flags[condition] = torch.full((2,), is_dropped)
        trained, _ = prepared_when(
            model, lambda: model.shared_step({**train, "dropped": flags}, torch.Generator().manual_seed(0))
        )
        for key, value in dict(flat(trained)).items():
            of_drawing = dict(flat(drawn))[key]
            of_drawing = getattr(of_drawing, "tokens", of_drawing)  # a memo's
            if value is None or value.dtype == torch.bool or "noise" in key:
                continue  # drawn for each picture
            # of a latent of zeros each group of the first norm is constant, which amplifies round-off
            scale = float(value.abs().max()) or 1.0
            assert float((value - of_drawing[rows]).abs().max()) <= 1e-3 * scale, key


@pytest.mark.parametrize("name", RECIPES)
def test_with_the_garment_switched_off_no_picture_depends_on_it(name):
    model, (first, other) = recipe(name), items()
    swapped = first | {key: value for key, value in other.items() if key.startswith("garment")}
    off = FittingSettings(steps=2, guidance=model.guidance_without_garment())
    without, again = (put_on(model, [item], [3], off) for item in (first, swapped))
    assert np.array_equal(without, again)
    on = [put_on(model, [item], [3], FittingSettings(steps=2)) for item in (first, swapped)]
    assert not np.array_equal(*on)


@pytest.mark.parametrize("name", RECIPES)
def test_no_picture_depends_on_its_batch(name):
    model, given = recipe(name), items()
    for condition in model.conditions.values():
        condition.draw = "sample"  # of the conditions' latents, where there are any
    both = put_on(model, given, [5, 6], FittingSettings(steps=2))
    alone = put_on(model, given[1:], [6], FittingSettings(steps=2))
    assert both.shape == (2, 64, 48, 3) and both.dtype == np.uint8
    assert np.abs(both[1].astype(int) - alone[0]).max() <= 1


def test_what_is_pasted_is_the_photo_itself():
    model, given = recipe("ootd"), items()
    pictures = put_on(model, given, [0, 1], FittingSettings(steps=2, repaint="paste"))
    photo = np.round((given[0]["jpg"] + 1) * 127.5)
    outside = given[0]["mask"][..., 0] == 0
    assert np.abs(pictures[0][outside] - photo[outside]).max() <= 1


@pytest.mark.parametrize("name", ["ootd", "catvton"])
def test_repainting_keeps_the_persons_latents_outside_the_mask(name):
    model, given, decoded = recipe(name), items(), []
    original = model.decode_first_stage
    model.decode_first_stage = lambda z: decoded.append(z) or original(z)
    put_on(model, given, [0, 1], FittingSettings(steps=2, repaint="each_step"))
    put_on(model, given, [0, 1], FittingSettings(steps=2))
    kept, free = decoded
    wanted = (
        model.scale_factor
        * model.encode_first_stage(
            torch.from_numpy(np.stack([item["jpg"] for item in given])).permute(0, 3, 1, 2)
        ).mode()
    )
    outside = (
        torch.nn.functional.interpolate(
            torch.from_numpy(np.stack([item["mask"] for item in given]))[..., 0][:, None], size=(8, 6)
        ).expand_as(kept)
        == 0
    )
    assert torch.allclose(kept[outside], wanted[outside], atol=1e-5)
    assert not torch.allclose(free[outside], wanted[outside], atol=1e-2)


@pytest.mark.parametrize("name", ["ootd", "catvton", "deco"])
def test_each_step_is_told_of_the_persons_alone(name):
    model, told = recipe(name), []
    put_on(model, items(), [0, 1], FittingSettings(steps=3), told.append)
    assert [state["i"] for state in told] == [0, 1, 2]
    assert all(state[key].shape == (2, 4, 8, 6) for state in told for key in ("x", "pred_x0"))


@pytest.mark.parametrize("name", ["ootd", "catvton", "deco"])
def test_the_less_strength_the_more_of_the_photo_stays(name):
    model, given = recipe(name), items()
    known = (
        model.scale_factor
        * model.encode_first_stage(
            torch.from_numpy(np.stack([item["jpg"] for item in given])).permute(0, 3, 1, 2)
        ).mode()
    )

    def far(strength):
        """How far what sampling starts from is from the photo's latents; the number of steps."""
        told = []
        put_on(model, given, [0, 1], FittingSettings(steps=10, strength=strength), told.append)
        return float((told[0]["x"] - known).std()), len(told)

    (little, one), (half, five), (all_new, ten) = map(far, (0.1, 0.5, 1.0))
    assert (one, five, ten) == (1, 5, 10) and little < half < all_new


def test_settings_that_cannot_be_are_named():
    for options, words in [
        (dict(repaint="always"), "repaint must be one of none, each_step, paste, blend, got 'always'"),
        (dict(sampler="euler"), "sampler must be one of ddim, dpmpp_2m, unipc"),
        (dict(strength=0), "strength must be above 0"),
        (dict(eta=2), "eta must be"),
        (dict(steps=0), "steps must be between 1 and 1000, got 0"),
    ]:
        with pytest.raises(ValueError, match=words):
            FittingSettings(**options)
    with pytest.raises(ValueError, match="a seed per picture is wanted, got 1 for 2 items"):
        put_on(recipe("ootd"), items(), [1])
