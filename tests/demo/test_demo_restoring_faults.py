"""Pictures that say nothing, or what cannot be, are refused in plain words; nothing they say is trusted."""

import base64
import io
import json
import time
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from demo.picture_texts import MAX_TEXT
from demo_pictures import altered, draw_one, texts_of, with_texts
from demo_requests import REGIONS
from generation.picture_text import KEY, MAP_KEY, MAX_MAP_TEXT
from photo_files import png_of_size

DEEP = "[" * 200_000 + "]" * 200_000


@pytest.fixture(scope="module")
def good(page, tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "good.png"
    draw_one(page.demo, path, num_samples=1)
    return path


@pytest.fixture
def copy(good, path):
    path.write_bytes(good.read_bytes())
    return path


def encoded(content):
    return base64.b64encode(content).decode()


def refused(page, path, message):
    with pytest.raises(ValueError, match=message) as caught:
        page.restored(path)
    assert str(path) not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "no PNG that can be read"),
        (b"hello", "no PNG that can be read"),
        (b"\x89PNG\r\n\x1a\n", "no PNG that can be read"),
        (png_of_size(64, 64), "does not say how it was made"),
        (png_of_size(2**31 - 1, 2**31 - 1), "far too large"),
        (bytes(33 * 2**20), "has 33 MB: at most 32 MB"),
    ],
)
def test_a_file_that_is_none_or_says_nothing_is_refused(page, tmp_path, content, message):
    (tmp_path / "x.png").write_bytes(content)
    refused(page, tmp_path / "x.png", message)


def test_a_jpeg_and_a_cut_picture_are_refused_or_read_but_never_crash(page, good, tmp_path):
    Image.open(good).save(tmp_path / "x.jpg")
    refused(page, tmp_path / "x.jpg", "copies as JPEG and screenshots have lost them")
    content = good.read_bytes()
    for length in range(0, len(content), 499):
        (tmp_path / "cut.png").write_bytes(content[:length])
        with suppress(ValueError):
            page.restored(tmp_path / "cut.png")


@pytest.mark.parametrize(
    "text", ["{", "null", "[]", "3", '"a"', "{}", DEEP, "NaN", '{"page": 3}', '{"page": {}}']
)
def test_a_text_that_is_no_json_or_lacks_what_it_must_have_is_refused(page, tmp_path, text):
    refused(page, with_texts(tmp_path / "x.png", **{KEY: text}), f"text {KEY} is damaged")


@pytest.mark.parametrize("name", [KEY, MAP_KEY, "parameters"])
def test_texts_without_end_are_refused(page, copy, name):
    facts, stored = texts_of(copy)
    texts = {KEY: json.dumps(facts), MAP_KEY: stored, name: " " * (MAX_TEXT + 1)}
    refused(page, with_texts(copy, **texts), "far too long")
    bomb = texts | {name: " " * 30 * 2**20}
    refused(page, with_texts(copy, packed=[name], **bomb), "no PNG that can be read")


VALUES = {
    "steps beyond": ("ddim_steps", 10**12),
    "steps none": ("ddim_steps", None),
    "steps true": ("ddim_steps", True),
    "steps nan": ("ddim_steps", float("nan")),
    "pictures beyond": ("num_samples", 10**6),
    "scale infinite": ("scale", float("inf")),
    "strength below": ("strength", -1),
    "strength list": ("strength", [1, 2]),
    "seed beyond": ("seed", 2**70),
    "eta beyond": ("eta", 2),
    "prompt list": ("prompt", ["a"]),
    "prompt long": ("prompt", "a" * 5000),
    "prompt null": ("n_prompt", "a\0"),
    "prompt surrogate": ("prompt", "\ud800"),
    "guess text": ("guess_mode", "yes"),
    "compare number": ("compare", 1),
    "range reversed": ("control_start", 1.0),
    "photo use": ("photo_use", "maybe"),
    "grow nan": ("grow", float("nan")),
    "change zero": ("denoise", 0),
    "preview none": ("preview", None),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_off_its_range_is_refused_by_name(page, copy, name):
    field, value = VALUES[name]

    def change(facts):
        facts["page"]["inputs"][field] = value
        if field == "seed":
            facts["seed"] = value
        if name == "range reversed":
            facts["page"]["inputs"]["control_end"] = 0.5

    refused(page, altered(copy, change), "The picture's settings are damaged.")


def test_what_is_no_setting_is_never_handed_to_the_page(page, copy):
    file = dict(path="/etc/passwd", meta={"_type": "gradio.FileData"})

    def change(facts):
        names = "photo", "input_image", "further", "__class__", "<b>"
        facts["page"]["inputs"] |= dict.fromkeys(names, file) | dict(model="../x", ddim_steps=3)

    found = page.restored(altered(copy, change))
    assert not {"photo", "input_image", "further", "__class__", "<b>"} & found.values.keys()
    assert found.values["model"] == "small.safetensors" and found.values["ddim_steps"] == 3
    assert len(found.missing) == 6 and all("no setting of this page" in said for said in found.missing)


@pytest.mark.parametrize("resolution", [10**9, "64", None, float("nan"), True, 0])
def test_a_resolution_that_no_page_has_is_refused(page, copy, resolution):
    change = lambda facts: facts["page"]["inputs"].update(image_resolution=resolution)  # noqa: E731
    refused(page, altered(copy, change), "image_resolution must be")


def map_with_text_bomb():
    from PIL.PngImagePlugin import PngInfo

    info, buffer = PngInfo(), io.BytesIO()
    info.add_text("bomb", " " * 50 * 2**20, zip=True)
    Image.new("P", (64, 64)).save(buffer, "png", pnginfo=info)
    return buffer.getvalue()


MAPS = {
    "no base64": "%%%",
    "letters beyond ASCII": "é",
    "no picture": encoded(b"hello"),
    "empty": "",
    "a bomb of pixels": encoded(png_of_size(2**31 - 1, 2**31 - 1)),
    "wide": encoded(png_of_size(65_000, 4)),
    "cut": encoded(png_of_size(64, 64)[:60]),
    "a bomb of text": encoded(map_with_text_bomb()),
    "of endless text": "A" * (MAX_MAP_TEXT + 4),
}


@pytest.mark.parametrize("name", MAPS)
def test_a_hostile_map_is_refused(page, copy, name):
    before = time.process_time()
    refused(
        page, altered(copy, lambda _: None, **{MAP_KEY: MAPS[name]}), "map in the picture is|far too long"
    )
    assert time.process_time() - before < 5


def test_another_map_than_the_pictures_own_is_refused(page, copy):
    buffer = io.BytesIO()
    Image.fromarray(REGIONS.to_rgb(np.full((64, 64), 3, np.uint8))).save(buffer, "png")
    refused(
        page, altered(copy, lambda _: None, **{MAP_KEY: encoded(buffer.getvalue())}), "the file was changed"
    )
