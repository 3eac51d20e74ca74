"""The demo as users meet it: the script in its own process, through gradio_client and in a real browser."""

import io
import json
import time
import urllib.request
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demo.garments.map_over_photo import blend_over_photo
from demo_pictures import with_texts
from demo_requests import REGIONS, top_and_bottom
from demo_server import Files, connected, wait_for

REQUEST = dict(prompt="a red top", num_samples=2, ddim_steps=3, seed=7, api_name="/process")
# the original demo's, in its order
INFOTEXT = "a red top\nSteps: 3, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 64x64, Model: v1-5"
POSITIONAL = ["a red top", "", "", 2, 64, 3, False, 1.0, 3.0, 7, 0.0]


@pytest.fixture(scope="module")
def client(demo_server):
    return connected(demo_server.url)


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def pixels(shown):
    return np.asarray(Image.open(shown["image"]).convert("RGB"))


def test_gradio_client_gets_the_map_and_pictures_and_sees_progress(client, files):
    job = client.submit(input_image=files.editor(), **REQUEST | dict(ddim_steps=40))
    seen = set()
    while not job.done():
        seen |= {(unit.index, unit.length) for unit in job.status().progress_data or []}
        time.sleep(0.02)
    first, *pictures = job.result()
    assert np.array_equal(REGIONS.to_ids(pixels(first)), top_and_bottom())
    assert Image.open(first["image"]).mode == "P"
    assert [Image.open(picture["image"]).size for picture in pictures] == [(64, 64)] * 2
    measured = [picture["caption"].split(" · control mIoU ") for picture in pictures]
    assert [seed for seed, _ in measured] == ["seed 7", "seed 8"]
    assert all(0 <= float(miou) <= 1 for _, miou in measured)
    assert seen and all(0 < step <= 40 and steps == 40 for step, steps in seen)
    previews = [shown[-1]["caption"] for shown in job.outputs()[:-1]]
    assert previews and all(caption.startswith("preview after") for caption in previews)


def test_the_originals_positional_inputs_are_still_taken(client, files):
    pictures = client.predict(files.editor(), *POSITIONAL, api_name="/process")
    named = client.predict(input_image=files.editor(), **REQUEST | dict(image_resolution=64, scale=3.0))
    assert [p["caption"] for p in pictures] == [p["caption"] for p in named]
    assert np.array_equal(pixels(pictures[2]), pixels(named[2]))


def test_pictures_say_how_they_were_made_and_come_in_one_zip(demo_server, files):
    client = connected(demo_server.url)  # a session of its own
    with pytest.raises(Exception, match="no pictures yet"):
        client.predict(api_name="/download")
    client.predict(input_image=files.editor(), **REQUEST | dict(compare=True, num_samples=1))
    client.predict(input_image=files.editor(), **REQUEST)
    with zipfile.ZipFile(client.predict(api_name="/download")) as archive:
        names = archive.namelist()
        assert names[:3] == ["0001_map.png", "0001_seed_7.png", "0001_seed_7_without_map.png"]
        assert names[3:] == ["0002_map.png", "0002_seed_7.png", "0002_seed_8.png", "sheet.png"]
        picture = Image.open(io.BytesIO(archive.read("0002_seed_8.png")))
        facts = json.loads(picture.text["garment_controlnet"])
        assert facts["seed"] == 8 and "Seed: 8" in picture.text["parameters"]
        assert str(demo_server.folder) not in picture.text["garment_controlnet"]


def test_a_pictures_settings_and_map_give_the_same_picture_again(client, files):
    made = client.predict(input_image=files.editor(), **REQUEST | dict(strength=0.6, a_prompt="sharp"))
    content = Path(made[2]["image"]).read_bytes()
    settings, region_map = client.predict(path=files.file(content), api_name="/settings_of")
    assert settings["missing"] == [] and settings["inputs"]["seed"] == 8
    value = files.editor(Path(region_map).read_bytes())
    again = client.predict(input_image=value, **settings["inputs"], api_name="/process")
    assert again[1]["caption"] == made[2]["caption"]
    assert np.abs(pixels(again[1]).astype(int) - pixels(made[2])).max() <= 1
    settings, region_map = client.predict(
        path=files.file(with_texts(files.folder / "a.png", parameters=INFOTEXT).read_bytes()),
        api_name="/settings_of",
    )
    assert region_map is None and settings["inputs"]["prompt"] == "a red top"
    assert "the map: AUTOMATIC1111 keeps none in its pictures" in settings["missing"]


def test_a_map_over_a_photo_is_drawn_from_as_the_map_alone(client, files):
    photo = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    seen = Image.fromarray(blend_over_photo(top_and_bottom(), photo, REGIONS))
    first, second = (client.predict(input_image=files.editor(v), **REQUEST) for v in (None, seen))
    assert all(np.array_equal(pixels(a), pixels(b)) for a, b in zip(first, second, strict=True))


def test_a_further_control_and_another_model_act(client, files):
    first = pixels(client.predict(input_image=files.editor(), **REQUEST)[1])
    pose = dict(further_map_1=files.file(Image.new("RGB", (64, 64), "white")), further_strength_1=2)
    steered = client.predict(input_image=files.editor(), **REQUEST | pose)
    louder = client.predict(input_image=files.editor(), **REQUEST | dict(model="louder.safetensors"))
    again = client.predict(input_image=files.editor(), **REQUEST)
    assert (pixels(steered[1]) != first).any() and (pixels(louder[1]) != first).any()
    assert np.array_equal(pixels(again[1]), first)
    with pytest.raises(Exception, match="other regions, colours or sizes than this page"):
        client.predict(input_image=files.editor(), **REQUEST | dict(model="other.safetensors"))
    assert len(client.predict(input_image=files.editor(), **REQUEST)) == 3


def test_a_saved_map_is_a_palette_file_of_the_same_regions(client, files):
    path = client.predict(value=files.editor(), api_name="/save_map")
    image = Image.open(path)
    assert image.mode == "P" and np.array_equal(np.asarray(image), top_and_bottom())


def test_a_photo_of_a_doll_becomes_its_map(client, files):
    from learning.segmenter.distorted_dolls import doll_regions
    from paperdoll import draw

    doll = draw(0, 21, 128)
    value = client.predict(photo=files.file(Image.fromarray(doll.photo)), api_name="/find_garments")
    found = REGIONS.to_ids(np.asarray(Image.open(value["background"]).convert("RGB")))
    assert found.shape == (512, 512)
    assert (found[2::4, 2::4] == doll_regions(doll)).mean() > 0.95


def test_a_cancelled_request_stops_and_the_next_one_runs(client, files):
    job = client.submit(input_image=files.editor(), **REQUEST | dict(ddim_steps=100, num_samples=12))
    wait_for(lambda: job.status().progress_data)
    job.cancel()
    assert len(client.predict(input_image=files.editor(), **REQUEST)) == 3
    with zipfile.ZipFile(client.predict(api_name="/download")) as archive:
        requests = Counter(name[:4] for name in archive.namelist() if "map" in name or "seed" in name)
    cancelled, after = list(requests.values())[-2:]
    assert cancelled < 1 + 12 and after == 1 + 2


def test_a_template_that_is_no_map_is_named_at_the_start(demo_server):
    assert "bad.png is no template: The picture is greyscale" in demo_server.output()


@pytest.mark.browser
@pytest.mark.parametrize(
    "name",
    [
        "trace_a_photo",
        "take_over_settings",
        "go_without_a_mouse",
        "keep_a_thin_brush",
        "see_and_read_everything",
        "find_everything_on_a_phone",
    ],
)
def test_a_visit_to_the_page_finds_what_it_wants(demo_server, tmp_path, browser, name):
    import demo_visits

    with demo_visits.opened(browser, demo_server.url) as page:
        getattr(demo_visits, name)(page, tmp_path)


@pytest.mark.browser
def test_painting_editing_cancelling_and_downloading_work_in_the_browser(demo_server, tmp_path, browser):
    from browser_visit import visit

    requests = visit(browser, demo_server.url, tmp_path)
    assert not [url for url in requests if not url.startswith((demo_server.url, "blob:", "data:"))]


def test_the_server_looked_up_no_name_but_its_own(demo_server, client):
    with urllib.request.urlopen(demo_server.url) as answer:
        assert answer.status == 200
    names = demo_server.looked_up()
    assert names and names <= {"127.0.0.1", "localhost"}
