"""A picture says how it was made, and the page can be set so that it makes the same picture again."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from demo.garments.canvas import scale_to_canvas
from demo.garments.page_request import REPAINT
from demo_pictures import Page, draw_one
from demo_requests import REGIONS, drawn, editor_value, request, small_demo, top_and_bottom
from generation.control_files import ControlFile, Steering
from small import small_model


def drawn_again(demo, found, **changes):
    """The first picture of what was restored, with the values that the page would send."""
    ids = scale_to_canvas(found.ids, 2048)
    return drawn(demo, input_image=editor_value(ids), **found.values | changes)[0][0]


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("shape", [(64, 64), (100, 140), (512, 700)])
def test_a_picture_of_the_page_is_drawn_again_by_what_it_says(demo, page, path, index, shape):
    ids = np.asarray(Image.fromarray(top_and_bottom()).resize(shape[::-1], 0))
    changes = dict(input_image=editor_value(ids), strength=0.7, control_end=0.5, guess_mode=True)
    changes |= dict(a_prompt="sharp", n_prompt="lowres", sampler="dpmpp_2m", num_samples=2, seed=11)
    picture = draw_one(demo, path, index, **changes)
    found = page.restored(path)
    assert found.missing == [] and found.values["seed"] == 11 + index
    wanted = {name: value for name, value in changes.items() if name not in ("input_image", "seed")}
    assert wanted.items() <= found.values.items() and found.values["prompt"] == "a red top"
    again = drawn_again(demo, found)
    assert np.abs(again.pixels.astype(int) - picture.pixels).max() <= 1
    differing = {name for name in again.facts if again.facts[name] != picture.facts[name]}
    assert not differing


def test_the_map_comes_back_as_it_was_painted_not_as_small_as_the_picture(demo, page, path):
    ids = np.zeros((512, 512), np.uint8)
    ids[100:300, 101:333] = 1
    draw_one(demo, path, input_image=editor_value(ids))
    assert np.array_equal(page.restored(path).ids, ids)


def test_a_programs_large_map_gives_the_same_map_again(demo, page, path):
    ids = np.random.default_rng(0).integers(0, 5, (1000, 1000), np.uint8)
    picture = draw_one(demo, path, input_image=editor_value(ids))
    again = drawn_again(demo, page.restored(path))
    assert again.facts["controls"][0]["map_sha256"] == picture.facts["controls"][0]["map_sha256"]


def test_the_picture_without_the_map_restores_the_comparison(demo, page, path):
    draw_one(demo, path, 1, compare=True, strength=0.4)
    found = page.restored(path)
    assert found.values["compare"] is True and found.values["strength"] == 0.4 and found.ids is not None


def test_photo_and_further_controls_are_named_unless_they_are_there(page, path, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(
        tmp_path / "photo.png"
    )
    Image.new("RGB", (64, 64), "red").save(tmp_path / "pose.png")
    branch = small_model(zeros=False).control_model
    steering = Steering(ControlFile("pose.safetensors", 0.5), branch, REGIONS, "1234")
    further = small_demo(further=(steering,))
    start = dict(photo=str(tmp_path / "photo.png"), photo_use=REPAINT, repaint=["top"], denoise=0.5, grow=2)
    draw_one(further, path, feather=3, further=[str(tmp_path / "pose.png"), 1.5], **start)
    found = Page(further).restored(path)
    assert found.values["photo_use"] == REPAINT and found.values["repaint"] == ["top"]
    assert (found.values["grow"], found.values["further_strength_1"]) == (2, 1.5)
    assert [said.split(",")[0] for said in found.missing] == ["the map of pose.safetensors", "the photo"]
    assert len(Page(further).restored(path, start["photo"]).missing) == 1
    said = page.restored(path).missing
    assert said[0].startswith("the further control pose.safetensors (SHA-256 1234): start the demo with it")


def test_another_checkpoint_is_named_with_its_hash(page, demo, path):
    other = replace(
        demo, file="folder/other.safetensors", digest="abcd", source="other.safetensors on b.ckpt"
    )
    draw_one(other, path)
    assert page.restored(path).missing == [
        "the checkpoint other.safetensors (SHA-256 abcd): this page has small.safetensors",
        "the base b.ckpt: this page draws with small.safetensors",
    ]
    draw_one(replace(demo, digest="abcd"), path)
    (said,) = page.restored(path).missing
    assert said.endswith("(SHA-256 abcd): the file of this name here is another, 0")


def test_a_map_of_other_regions_is_named_and_the_settings_are_kept(page, demo, path):
    encoder = replace(REGIONS, colours=((0, 0, 0), (9, 9, 200), (0, 99, 0), (1, 2, 3), (4, 4, 44)))
    value = dict(background=np.dstack([encoder.to_rgb(top_and_bottom()), np.full((64, 64), 255, np.uint8)]))
    draw_one(replace(demo, encoder=encoder), path, input_image=value)
    found = page.restored(path)
    assert found.ids is None and found.values["ddim_steps"] == 2
    assert found.missing == ["the map, which has other regions or colours than this page's"]


def test_the_largest_seeds_pictures_can_be_restored(demo, page, path):
    draw_one(demo, path, 1, seed=2**32 - 2)
    found = page.restored(path)
    assert (found.values["seed"], found.values["num_samples"]) == (2**32 - 1, 1)
    with pytest.raises(ValueError, match="seed 4294967295 is too large for 2 pictures"):
        request(demo, seed=2**32 - 1)
