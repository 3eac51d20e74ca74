"""Each input of the page acts on the pictures, and on the facts that go with them."""

import json

import numpy as np
import pytest
from PIL import Image

from demo.garments.page_request import NO, REPAINT, START
from demo.photo import read_photo
from demo_requests import drawn, editor_value, request, small_demo, top_and_bottom
from generation.picture_text import parameters


@pytest.fixture
def photo(tmp_path):
    """A photo's file, and its pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png"), pixels


def pixels(finished):
    return [picture.pixels.astype(int) for picture in finished]


def test_previews_are_a_few_and_change_nothing(demo):
    plain, steps = drawn(demo, ddim_steps=10)
    assert not any(step.preview is not None for step in steps)
    shown, steps = drawn(demo, ddim_steps=10, preview=True)
    assert np.array_equal(pixels(plain), pixels(shown))
    previews = [step.preview for step in steps if step.preview is not None]
    assert 3 <= len(previews) <= 5 and {preview.shape for preview in previews} == {(64, 64, 3)}


def test_pictures_drawn_one_by_one_are_those_drawn_together(demo):
    together, _ = drawn(demo)
    alone, steps = drawn(small_demo(low_memory=True))
    assert np.abs(np.subtract(pixels(together), pixels(alone))).max() <= 1
    assert [p.caption for p in alone] == [p.caption for p in together]
    assert [(step.done, step.total) for step in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_comparison_puts_the_uncontrolled_picture_of_a_seed_behind_the_other(demo):
    finished, steps = drawn(demo, compare=True)
    assert [picture.caption for picture in finished] == [
        "seed 7",
        "seed 7 without the map",
        "seed 8",
        "seed 8 without the map",
    ]
    assert np.array_equal(pixels(finished[::2]), pixels(drawn(demo)[0]))
    floor = pixels(drawn(demo, strength=0.0)[0])
    assert np.abs(np.subtract(pixels(finished[1::2]), floor)).max() <= 1
    assert steps[-1].done == steps[-1].total == 4 and finished[1].facts["controls"] == []


def test_the_measured_miou_stands_under_the_picture_and_in_its_facts():
    def segment(images):
        found = np.stack([top_and_bottom()] * len(images))
        found[found == 2] = 0
        return found

    finished, _ = drawn(small_demo(judge=segment), num_samples=1)
    assert finished[0].caption == "seed 7 · control mIoU 0.50" and finished[0].facts["control_miou"] == 0.5


def test_the_facts_name_all_that_a_picture_depends_on_but_no_folder(demo, photo):
    choices = dict(photo=photo[0], photo_use=REPAINT, repaint=["top"], denoise=0.5, grow=2, feather=3)
    facts = drawn(demo, strength=0.7, control_end=0.5, **choices)[0][1].facts
    assert facts["seed"] == 8 and facts["prompt"] == "a red top" and facts["size"] == [64, 64]
    control = facts["controls"][0]
    assert (control["file"], control["strength"], control["end"]) == ("small.safetensors", 0.7, 0.5)
    told = facts["photo"]
    assert (told["denoise"], told["inpaint"], told["grow"], told["feather"]) == (0.5, "top", 2, 3)
    assert "folder" not in json.dumps(facts) and photo[0] not in json.dumps(facts)
    assert "Seed: 8" in parameters(facts) and "Denoising strength: 0.5" in parameters(facts)


def test_only_the_chosen_regions_of_a_photo_are_repainted(demo, photo):
    path, before = photo
    choices = dict(photo=path, photo_use=REPAINT, repaint=["top"], denoise=1.0)
    after = drawn(demo, **choices)[0][0].pixels
    outside = top_and_bottom() != 1
    assert (
        np.array_equal(after[outside], before[outside]) and (after[~outside] != before[~outside]).mean() > 0.5
    )


def test_a_photo_to_start_from_shows_the_more_the_less_is_changed(demo, photo):
    path, before = photo
    distance = [
        np.abs(
            pixels(drawn(demo, photo=path, photo_use=START, denoise=d, ddim_steps=10)[0])[0] - before
        ).mean()
        for d in (0.1, 1.0)
    ]
    assert distance[0] < distance[1]
    assert np.array_equal(pixels(drawn(demo, photo=path, photo_use=NO)[0]), pixels(drawn(demo)[0]))


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(photo_use=START), "no photo to start from: add one"),
        (dict(photo_use=REPAINT, repaint=[]), "No region is chosen"),
        (dict(photo_use=REPAINT, repaint=["head"]), "the map has no region head"),
        (dict(photo_use=START, input_image=editor_value(top_and_bottom(64, 128))), "not of one shape"),
        (dict(photo_use="always"), "a photo is used not at all"),
        (dict(photo_use=START, denoise=0), "denoise must be above 0"),
        (dict(prompt="a" * 10_000), "Prompt has 10000 characters: 2000 at most"),
        (dict(n_prompt="\0"), "Negative prompt holds characters"),
        (dict(image_resolution=float("nan")), "image_resolution must be between"),
        (dict(compare="yes"), "compare must be true or false"),
    ],
)
def test_inputs_that_cannot_be_met_are_named(demo, photo, changes, message):
    needs_photo = "no photo" not in message
    with pytest.raises(ValueError, match=message):
        request(demo, **(dict(photo=photo[0]) if needs_photo else {}) | changes)


def test_photos_are_read_upright_in_colour_and_on_white(tmp_path):
    image = Image.new("RGB", (40, 20), (255, 0, 0))
    exif = image.getexif()
    exif[274] = 6  # turned by a quarter
    image.save(tmp_path / "turned.png", exif=exif)
    assert read_photo(tmp_path / "turned.png").shape == (40, 20, 3)
    Image.new("RGBA", (20, 20), (9, 9, 9, 0)).save(tmp_path / "clear.png")
    assert (read_photo(tmp_path / "clear.png") == 255).all()
    Image.new("CMYK", (20, 20), (0, 255, 255, 0)).save(tmp_path / "print.jpg")
    assert read_photo(tmp_path / "print.jpg")[0, 0, 0] > 200
    Image.new("RGB", (3000, 1500)).save(tmp_path / "large.png")
    assert read_photo(tmp_path / "large.png").shape == (1024, 2048, 3)


def test_photos_that_are_none_are_refused_in_plain_words(tmp_path):
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    Image.fromarray(np.zeros((20, 20), np.uint16)).save(tmp_path / "deep.png")
    Image.new("RGB", (200, 20)).save(tmp_path / "long.png")
    (tmp_path / "text.png").write_bytes(b"hello")
    words = dict(
        moving="an animation", deep="16 bits", long="at most 4 times", text="no picture that can be read"
    )
    for path in tmp_path.iterdir():
        with pytest.raises(ValueError, match=words[path.stem]):
            read_photo(path)
