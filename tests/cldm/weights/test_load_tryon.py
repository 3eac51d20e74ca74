"""What drawing must know is in a try-on checkpoint: written, read back, and overridden by hand alone."""

import numpy as np
import pytest
import torch

from cldm.guidance import guide_by
from cldm.tryon.record import TryonRecord
from cldm.weights.graft import add_control
from cldm.weights.load_tryon import load_tryon
from generation.fitting import FittingSettings, put_on
from ldm.checkpoint import CheckpointError, read_metadata, read_state_dict, write_state_dict
from learning.run_metadata import describe_fitting
from small_tryon import batch
from sources import ROOT

BASE, RECIPE = ROOT / "models" / "tiny" / "base.safetensors", ROOT / "models" / "tryon_tiny_ootd.yaml"
LINES = [dict(mask_style="body_part", size=[128, 96])] * 2


@pytest.fixture(scope="module")
def grafted(tmp_path_factory):
    """The recipe on the tiny base, as tool_add_control.py writes it."""
    path = tmp_path_factory.mktemp("grafted") / "ini.safetensors"
    add_control(BASE, path, str(RECIPE))
    return path


TRAIN = dict(unet="all", garment="all")  # as the recipe says


@pytest.fixture(scope="module")
def trained(grafted, tmp_path_factory):
    """(what training left, as it writes it: the trained tensors alone, with metadata; those tensors)."""
    model = load_tryon(grafted).model
    model.lock()
    model.guidance, model.repaint, model.scale_factor = guide_by("garment", 2.5), "paste", 0.9
    state = {name: p.detach() + 0.001 for name, p in model.named_parameters() if p.requires_grad}
    metadata = dict(config=f"elsewhere/models/{RECIPE.name}", base=str(grafted), step="7")
    path = tmp_path_factory.mktemp("run") / "control.safetensors"
    write_state_dict(state, path, metadata | describe_fitting(model, LINES))
    return path, state


def items():
    given = batch(1)
    given["mask"] = given["mask"][..., None]
    keys = "jpg", "agnostic", "mask", "garment"
    return [{key: given[key][0].numpy() for key in keys} | dict(txt=given["txt"][0])]


def test_a_graft_says_its_recipe_and_how_it_draws(grafted):
    loaded = load_tryon(grafted)
    assert loaded.config == str(RECIPE) and not loaded.notes
    wanted = TryonRecord(guide_by("garment", 1.5), repaint="each_step", scale_factor=1.0)
    assert loaded.record == wanted and loaded.model.repaint == "each_step"
    assert not any(p.requires_grad for p in loaded.model.parameters())


def test_what_training_wrote_draws_as_it_says(grafted, trained):
    path, state = trained
    loaded = load_tryon(path)
    wanted = TryonRecord(guide_by("garment", 2.5), "paste", 0.9, "body_part", (128, 96), TRAIN)
    assert loaded.record == wanted
    assert loaded.model.guidance == guide_by("garment", 2.5) and loaded.source == f"{path} on {grafted}"
    assert (loaded.model.repaint, loaded.model.scale_factor) == ("paste", 0.9)
    found, base = loaded.model.state_dict(), read_state_dict(grafted)
    assert all(torch.equal(found[name], state[name]) for name in state)
    locked = [name for name in base if name.startswith("first_stage_model.")]
    assert locked and all(torch.equal(found[name], base[name].float()) for name in locked)


def test_pictures_are_drawn_by_the_record_unless_settings_say_otherwise(trained):
    model = load_tryon(trained[0]).model
    own = put_on(model, items(), [3], FittingSettings(steps=2))
    recorded = FittingSettings(steps=2, guidance=guide_by("garment", 2.5), repaint="paste")
    other = FittingSettings(steps=2, guidance=guide_by("garment", 9.0), repaint="none")
    assert np.array_equal(own, put_on(model, items(), [3], recorded))
    assert not np.array_equal(own, put_on(model, items(), [3], other))


def test_what_is_given_by_hand_counts_before_the_record(trained):
    by_hand = dict(guidance=guide_by("garment", 4.0), repaint="none", mask_style="box", size=(256, 192))
    loaded = load_tryon(trained[0], **by_hand)
    assert loaded.record == TryonRecord(scale_factor=0.9, train=TRAIN, **by_hand)
    assert loaded.model.guidance == by_hand["guidance"] and loaded.model.repaint == "none"
    assert load_tryon(trained[0], repaint=None, size=None).record.size == (128, 96)


def test_masks_of_another_style_or_size_are_refused(trained):
    record = load_tryon(trained[0]).record
    record.check_data(LINES)
    record.check_data([{}])  # a folder of somebody's own, which does not say
    with pytest.raises(ValueError, match="learned masks of style body_part, the data have box"):
        record.check_data([dict(mask_style="box")])
    with pytest.raises(ValueError, match="learned 128 x 96, the data are 256 x 192"):
        record.check_data([dict(size=[256, 192])])
    record.changed(mask_style="box").check_data([dict(mask_style="box", size=[128, 96])])


def test_training_on_masks_of_two_styles_is_refused(trained):
    model = load_tryon(trained[0]).model
    with pytest.raises(ValueError, match="masks of one style, the data have body_part, box"):
        describe_fitting(model, [*LINES, dict(mask_style="box")])
    assert describe_fitting(torch.nn.Linear(1, 1), LINES) == {}


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (dict(guidance=[[["hat"], -1.0], [[], 2.0]]), "guidance drops 'hat', conditions are text, agnostic,"),
        (dict(guidance=[[["garment"], 1.0], [[], 1.0]]), "the weights of guidance must sum to 1"),
        (dict(guidance="much"), "values to unpack"),
        (dict(repaint="always"), "repaint must be one of none, each_step, paste, blend, got 'always'"),
        (dict(scale_factor=-1.0), "scale_factor must be a number from 0.001 to 1000, got -1"),
        (dict(scale_factor=1e30), "scale_factor must be a number from 0.001 to 1000, got 1e"),
        (dict(mask_style=3), "mask_style must be a text, got 3"),
        (dict(size=[128]), "it lacks something, or is of another kind"),
    ],
)
def test_damaged_metadata_are_named(trained, tmp_path, told, words):
    path, state = trained
    metadata = read_metadata(path)
    metadata["tryon"] |= told
    write_state_dict(state, tmp_path / "damaged.safetensors", metadata)
    with pytest.raises(CheckpointError, match=f"tryon of its metadata: .*({words})"):
        load_tryon(tmp_path / "damaged.safetensors")


def test_files_that_are_no_try_on_models_are_named(grafted, trained, tmp_path):
    path, state = trained
    with pytest.raises(CheckpointError, match="names no recipe: give --config"):
        load_tryon(BASE)
    with pytest.raises(CheckpointError, match="cldm_tiny.yaml is no try-on recipe"):
        load_tryon(grafted, ROOT / "models" / "cldm_tiny.yaml")
    with pytest.raises(CheckpointError, match="is .*tryon_tiny_ootd.yaml its recipe"):
        load_tryon(BASE, RECIPE)
    with pytest.raises(CheckpointError, match="lacks .* tensors, the first is"):
        load_tryon(path, base=path)
    write_state_dict(state | {"model.more": torch.zeros(1)}, tmp_path / "more.safetensors")
    with pytest.raises(CheckpointError, match="has no place for model.more"):
        load_tryon(tmp_path / "more.safetensors", RECIPE, base=grafted)


def test_a_file_without_a_record_draws_as_its_recipe_and_says_so(grafted, trained, tmp_path):
    write_state_dict(trained[1], tmp_path / "bare.ckpt")
    with pytest.raises(CheckpointError, match="does not say what its base is: give --base FILE"):
        load_tryon(tmp_path / "bare.ckpt", RECIPE)
    loaded = load_tryon(tmp_path / "bare.ckpt", RECIPE, base=grafted)
    assert loaded.record.guidance == guide_by("garment", 1.5)
    assert "does not say how to draw" in loaded.notes[0]
