"""Whatever a program sends to the demo, it gets a plain error, and the server lives on."""

import io
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image

from demo.errors import NOT_UPLOADED
from demo_requests import REGIONS, top_and_bottom
from demo_server import Files, answer, connected, refused

NAN = float("nan")
QUICK = dict(prompt="a", num_samples=1, ddim_steps=1, seed=1, preview=False, api_name="/process")
VALUES = {
    "pictures beyond": (dict(num_samples=13), "Pictures: a number from 1 to 12 is wanted, got 13"),
    "pictures zero": (dict(num_samples=0), "Pictures: a number from 1 to 12"),
    "pictures text": (dict(num_samples="many"), "Pictures: a number from 1 to 12 is wanted, got many"),
    "pictures none": (dict(num_samples=None), "Pictures: a number from 1 to 12 is wanted, got None"),
    "pictures list": (dict(num_samples=[1]), "Pictures: a number from 1 to 12"),
    "pictures nan": (dict(num_samples=NAN), "Pictures: a number|num_samples must be|Out of range"),
    "resolution huge": (dict(image_resolution=10**9), "Resolution: a number from 32 to 96"),
    "resolution text": (dict(image_resolution="64px"), "Resolution: a number"),
    "steps negative": (dict(ddim_steps=-5), "Steps: a number from 1 to 100 is wanted, got -5"),
    "steps huge": (dict(ddim_steps=10**12), "Steps: a number from 1 to 100"),
    "steps object": (dict(ddim_steps={"a": 1}), "Steps: a number from 1 to 100"),
    "guess text": (dict(guess_mode="yes"), "guess_mode must be true or false"),
    "strength negative": (dict(strength=-0.1), "Control strength: a number from 0 to 2"),
    "strength nan": (dict(strength=NAN), "strength must be|Control strength|Out of range"),
    "scale infinite": (dict(scale=float("inf")), "Guidance scale: a number|Out of range"),
    "scale zero": (dict(scale=0), "Guidance scale: a number from 0.1 to 30"),
    "seed below": (dict(seed=-2), "a number from -1 to 4294967295 is wanted, got -2"),
    "seed beyond": (dict(seed=2**40), "a number from -1 to 4294967295"),
    "seed text": (dict(seed="lucky"), "a number from -1 to 4294967295 is wanted, got lucky"),
    "eta beyond": (dict(eta=1.5), "Eta .*a number from 0 to 1"),
    "eta of dpmpp": (dict(sampler="dpmpp_2m", eta=1), "eta must be 0"),
    "sampler unknown": (dict(sampler="euler"), "Sampler: choose from ddim, dpmpp_2m, unipc; got 'euler'"),
    "sampler list": (dict(sampler=["ddim"]), "Sampler: choose from|sampler must be"),
    "range reversed": (dict(control_start=0.9, control_end=0.1), "start 0.9 lies behind"),
    "prompt long": (dict(prompt="a " * 5000), "Prompt has 9999 characters: 2000 at most"),
    "negative prompt long": (dict(n_prompt="a" * 9000), "Negative prompt has 9000 characters"),
    "prompt null byte": (dict(prompt="a\0b"), "Prompt holds characters that no file takes"),
    "use unknown": (dict(photo_use="maybe"), "Use the photo: choose from not at all"),
    "photo missing": (dict(photo_use="to start from"), "no photo to start from"),
    "region unknown": (dict(repaint=["shoes"]), "Regions to repaint: choose from background, top"),
    "regions none": (dict(repaint=None), "Regions to repaint: choose from"),
    "change zero": (dict(denoise=0), "Change: a number from 0.05 to 1"),
    "grow text": (dict(grow="a lot"), "Grow: a number from 0 to 64"),
    "soften negative": (dict(feather=-1), "Soften: a number from 0 to 64"),
    "compare text": (dict(compare="no"), "compare must be true or false"),
    "model outside": (dict(model="../full.safetensors"), "Model: choose from full.safetensors"),
    "model path": (dict(model="/etc/passwd"), "Model: choose from full.safetensors"),
    "further beyond": (dict(further_strength_1=9), "Strength of pose.safetensors: a number from 0 to 2"),
}


@pytest.fixture(scope="module")
def client(demo_server):
    return connected(demo_server.url)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return Files(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def good(files):
    return files.editor()


@pytest.mark.parametrize("name", VALUES)
def test_a_value_out_of_its_range_is_named_with_what_is_wanted(client, good, name):
    changes, message = VALUES[name]
    refused(client, message, **QUICK | dict(input_image=good) | changes)


def picture(mode="RGB", size=(64, 64), colour=0):
    return Image.new(mode, size, colour)


def off_by_one():
    rgb = REGIONS.to_rgb(top_and_bottom())
    rgb[rgb == 255] = 254
    return Image.fromarray(rgb)


def cut(image):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(buffer, "png")
    return buffer.getvalue()[: len(buffer.getvalue()) // 2]


MAPS = {
    "no picture": (b"hello", {}, "Region map: this is no picture that can be read"),
    "of no bytes": (b"", {}, "Region map: this is no picture that can be read"),
    "cut": (cut(None), {}, "Region map: this is no picture that can be read"),
    "in other colours": (picture(colour=(12, 34, 56)), {}, "4096 of 4096 pixels are off the palette"),
    "one off the palette": (off_by_one(), {}, r"1200 of 4096 pixels are off the palette.*254"),
    "grey": (picture("L", colour=99), {}, "greyscale"),
    "of 16 bits": (Image.fromarray(np.full((64, 64), 999, np.uint16)), {}, "greyscale|off the palette"),
    "wide": (picture("P", (5000, 8)), {}, "5000 x 8 pixels: sides of at most 4096"),
    "of 8000 pixels a side": (picture("1", (8000, 8000)), {}, "8000 x 8000 pixels: sides of at most 4096"),
    "long": (Image.fromarray(REGIONS.to_rgb(top_and_bottom(64, 300))), {}, "at most|4 times the other"),
    "empty": (picture("P"), {}, "The map is empty"),
    "JPEG": (Image.fromarray(REGIONS.to_rgb(top_and_bottom())), dict(suffix=".jpg"), "off the palette"),
    "CMYK": (picture("CMYK", colour=(9, 99, 0, 0)), dict(suffix=".tif"), "off the palette"),
    "of 33 MB": (bytes(33 * 2**20), {}, "413|exceeds the maximum|too large"),
}


@pytest.mark.parametrize("name", MAPS)
def test_a_map_that_is_none_is_refused_with_the_remedy(client, files, name):
    content, options, message = MAPS[name]
    refused(client, message, **QUICK | dict(input_image=files.editor(content, **options)))


def test_a_photo_that_is_none_is_refused_with_the_remedy(client, files):
    frames = [picture(colour=colour) for colour in ("red", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, "gif", save_all=True, append_images=frames[1:])
    deep = Image.fromarray(np.zeros((64, 64), np.uint16))
    photos = {
        "an animation": files.file(buffer.getvalue(), ".gif"),
        "16 bits": files.file(deep),
        "at most 4 times": files.file(picture(size=(640, 32))),
        "Photo: this is no picture": files.file(b"\xff\xd8 nothing", ".jpg"),
        "no picture that can be read": files.file(b"<svg/>", ".svg"),
        "No garment was found": files.file(picture(colour=(200, 200, 200))),
    }
    for message, photo in photos.items():
        refused(client, message, photo=photo, api_name="/find_garments")


def test_a_picture_without_settings_is_refused_with_the_reason(client, files):
    pictures = {
        "does not say how it was made": files.file(picture()),
        "copies as JPEG and screenshots have lost them": files.file(picture(), ".jpg"),
        "no picture that can be read": files.file(b"hello", ".txt"),
        "no PNG that can be read": files.file(b"hello", ".png"),
    }
    for message, path in pictures.items():
        refused(client, message, path=path, api_name="/settings_of")
    refused(client, "There is no picture", path=None, api_name="/settings_of")


@pytest.mark.parametrize("path", ["/etc/passwd", "../../../etc/passwd", "models/README.md", "..\\secret", ""])
def test_files_of_the_server_cannot_be_read_by_their_path(demo_server, path):
    given = dict(path=path, meta={"_type": "gradio.FileData"})
    painting = dict(background=given, layers=[], composite=None)
    assert NOT_UPLOADED in answer(demo_server.url, "save_map", [painting])
    assert NOT_UPLOADED in answer(demo_server.url, "find_garments", [given, False])


@pytest.mark.parametrize("address", ["http://made-up.example/a.png", "https://made-up.example/a.png"])
def test_no_address_that_a_client_names_is_looked_up(demo_server, address):
    given = dict(path=address, url=address, meta={"_type": "gradio.FileData"})
    painting = dict(background=given, layers=[], composite=None)
    assert NOT_UPLOADED in answer(demo_server.url, "save_map", [painting])
    assert NOT_UPLOADED in answer(demo_server.url, "find_garments", [given, False])
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{demo_server.url}/gradio_api/file={address}")
    assert "made-up.example" not in demo_server.looked_up()


@pytest.mark.parametrize("value", ["hello", 5, [], dict(background=5), dict(layers="a"), None])
def test_an_editor_value_of_another_shape_is_refused(client, value):
    refused(client, "The map is empty|A value has not the form", **QUICK | dict(input_image=value))


def test_names_of_uploads_are_never_paths(client, files, demo_server, good):
    given = dict(good, background=dict(good["background"], orig_name="../../../evil.png"))
    assert len(client.predict(**QUICK | dict(input_image=given))) == 2
    assert not list(demo_server.folder.rglob("evil*")) and not list(demo_server.folder.parent.glob("evil*"))


def test_the_server_lives_on_and_kept_its_sessions_apart(client, demo_server, good):
    assert len(client.predict(**QUICK | dict(input_image=good))) == 2
    kept = list((demo_server.folder / "sessions").rglob("*.png"))
    assert kept and all(path.parent.parent.name.startswith("garments_") for path in kept)
    with pytest.raises(urllib.error.HTTPError, match="403|404"):
        urllib.request.urlopen(f"{demo_server.url}/gradio_api/file={kept[0]}")
