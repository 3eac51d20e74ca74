"""Pictures of tool_generate.py and of AUTOMATIC1111 set the page to what they say; the rest is named."""

import time

import pytest
from PIL import Image

from demo.garments.page_request import NO, REPAINT, START
from demo.garments.page_settings import as_html
from demo_pictures import altered, draw_one, with_texts

INFOTEXT = """a red (dress:1.2), Steps: none
on a street
Negative prompt: lowres,
blurred
Steps: 25, Sampler: DPM++ 2M, CFG scale: 6.5, Seed: 4294967295, Size: 64x96, Model hash: 6ce0161689, \
Model: v1-5-pruned, Clip skip: 2, ControlNet 0: "Module: none, Model: control_seg [b9c1cc12], Weight: 0.8, \
Guidance Start: 0.1, Guidance End: 0.9", Version: v1.9.4"""


SHORT_INFOTEXT = "a\nSteps: {}, Sampler: DDIM, CFG scale: 7, Seed: 1, Size: 64x64"


def test_pictures_of_tool_generate_say_all_but_their_map_and_photo(page, demo, path):
    draw_one(demo, path, strength=0.6, control_start=0.25)

    def as_tool(facts):
        del facts["page"]
        facts["controls"][0] |= dict(file="runs/dolls/small.safetensors", map="source/7.png")
        facts["photo"] = dict(file="photos/7.jpg", denoise=1.0, inpaint="top,bottom", grow=3, feather=4)
        facts["model"] = "models/small.safetensors"

    found = page.restored(altered(path, as_tool, garment_map=None))
    assert found.ids is None and found.values["repaint"] == ["top", "bottom"]
    assert (found.values["strength"], found.values["control_start"]) == (0.6, 0.25)
    assert (found.values["photo_use"], found.values["grow"], found.values["denoise"]) == (REPAINT, 3, 1.0)
    assert found.missing == ["the map, source/7.png: upload it", "the photo, 7.jpg: add it under Photo"]

    def from_photo(facts):
        facts["photo"]["inpaint"], facts["steps"] = "", 400

    found = page.restored(altered(path, from_photo, garment_map=None))
    assert found.values["photo_use"] == START and "ddim_steps" not in found.values
    assert "steps must be between 1 and 100, got 400" in found.missing
    found = page.restored(altered(path, lambda facts: facts.update(photo=None), garment_map=None))
    assert found.values["photo_use"] == NO


def test_pictures_of_automatic1111_say_what_they_say(page, path):
    found = page.restored(with_texts(path, parameters=INFOTEXT))
    assert found.values == dict(
        prompt="a red (dress:1.2), Steps: none\non a street",
        a_prompt="",
        n_prompt="lowres,\nblurred",
        ddim_steps=25,
        scale=6.5,
        seed=4294967295,
        image_resolution=64,
        sampler="dpmpp_2m",
        strength=0.8,
        control_start=0.1,
        control_end=0.9,
    )
    said = " | ".join(found.missing)
    for wanted in ("the map", "base v1-5-pruned (hash 6ce0161689)", "control_seg [b9c1cc12]", "Clip skip 2"):
        assert wanted in said
    assert "Version" not in said


def test_what_automatic1111_has_and_the_page_has_not_is_named(page, path):
    text = INFOTEXT.replace("Steps: 25", "Steps: 150").replace("DPM++ 2M", "Euler a")
    text = text.replace("Size", "Denoising strength: 0.4, Size")
    found = page.restored(with_texts(path, parameters=text))
    said = " | ".join(found.missing)
    assert "steps must be between 1 and 100, got 150" in said and "the sampler Euler a" in said
    assert "denoising strength 0.4" in said and not {"ddim_steps", "sampler"} & found.values.keys()


def test_the_pages_own_text_for_automatic1111_is_read_again(demo, page, path):
    picture = draw_one(demo, path, n_prompt="lowres", strength=0.5)
    with Image.open(path) as image:
        text = image.text["parameters"]
    found = page.restored(with_texts(path, parameters=text))
    assert found.values["seed"] == picture.facts["seed"] and found.values["strength"] == 0.5
    assert found.values["n_prompt"] == "lowres" and not [s for s in found.missing if s.startswith("the base")]


def test_what_a_strangers_file_says_is_no_markup(page, path):
    text = INFOTEXT.replace("v1-5-pruned", "<img src=x.png>")
    html = as_html(page.restored(with_texts(path, parameters=text)))
    assert "&lt;img" in html and "<img" not in html


@pytest.mark.parametrize("text", ["", "hello", "a\nb: c", "\n" * 1000, "Steps: 1", '": ' * 9000])
def test_parameters_of_another_kind_are_refused(page, tmp_path, text):
    with pytest.raises(ValueError, match="none of AUTOMATIC1111's|does not say"):
        page.restored(with_texts(tmp_path / "x.png", parameters=text))


@pytest.mark.parametrize(
    "steps", ["x", "1e999", "-1", "20, CFG scale: nan", "9" * 50, '"\\"', "1" + " " * 90_000 + ","]
)
def test_hostile_parameters_leave_what_they_cannot_set(page, tmp_path, steps):
    before = time.process_time()
    try:
        found = page.restored(with_texts(tmp_path / "x.png", parameters=SHORT_INFOTEXT.format(steps)))
    except ValueError as error:
        assert "none of AUTOMATIC1111's" in str(error)
    else:
        assert found.values.get("ddim_steps", 20) in range(1, 101) and found.values["prompt"] == "a"
        assert found.values.get("scale", 7) == 7
    for text in ("a" * 10**6, "a-" * 500_000, '"' * 10**6, "a:" * 500_000, " " * 10**6):
        path = with_texts(tmp_path / "x.png", parameters=f"x\nSteps: 1, Seed: 1, {text}")
        page.restored(path)
    assert time.process_time() - before < 10
