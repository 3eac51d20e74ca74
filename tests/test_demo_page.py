"""The demo as users meet it: the script in its own process, through gradio_client and in a real browser."""

import io
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from annotator.imaterialist import REGIONS_FILE
from cldm.hint import HintEncoder
from ldm.checkpoint import write_state_dict
from small import small_config, small_model

ROOT = Path(__file__).parent.parent
REGIONS = HintEncoder.from_file(REGIONS_FILE)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = (
    "--no-sandbox --disable-quic --no-first-run --disable-background-networking --disable-component-update"
)
REQUEST = dict(prompt="a red top", num_samples=2, ddim_steps=3, seed=7, api_name="/process")
# put before the script's own imports: writes down every name that the server looks up
SPY = """
import socket
original = socket.getaddrinfo
def getaddrinfo(host, *arguments, **options):
    with open({log!r}, "a") as log:
        print(host, file=log)
    return original(host, *arguments, **options)
socket.getaddrinfo = getaddrinfo
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """(url, file with the host names that were looked up) of the script, serving a model of a few layers."""
    folder = tmp_path_factory.mktemp("server")
    log = folder / "lookups.txt"
    log.touch()
    (folder / "sitecustomize.py").write_text(SPY.format(log=str(log)))
    OmegaConf.save(OmegaConf.create(dict(model=small_config())), folder / "small.yaml")
    write_state_dict(small_model(zeros=False).state_dict(), folder / "full.safetensors")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "gradio_seg2image.py", "--port", port, "--device", "cpu"]
    command += ["--checkpoint", folder / "full.safetensors", "--config", folder / "small.yaml"]
    paths = os.pathsep.join(map(str, [folder, ROOT / "tests", ROOT]))
    # a proxy that nobody answers on, as behind many a company's wall
    environment = os.environ | dict(
        PYTHONPATH=paths, GRADIO_TEMP_DIR=str(folder), http_proxy="http://127.0.0.1:9"
    )
    with open(folder / "output.txt", "w") as output:
        process = subprocess.Popen(
            list(map(str, command)), cwd=ROOT, env=environment, stdout=output, stderr=output
        )
    try:
        wait_for(lambda: process.poll() is not None or "Open http" in (folder / "output.txt").read_text())
        assert process.poll() is None, (folder / "output.txt").read_text()
        yield f"http://127.0.0.1:{port}", log
    finally:
        process.terminate()
        process.wait()


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def client(server):
    from gradio_client import Client

    return Client(server[0], verbose=False, analytics_enabled=False)


def editor_value(folder, picture):
    """An image editor's value with a picture, saved in `folder`, as background."""
    from gradio_client import handle_file

    path = folder / f"{len(list(folder.iterdir()))}.png"
    picture.save(path) if isinstance(picture, Image.Image) else path.write_bytes(picture)
    return dict(background=handle_file(str(path)), layers=[], composite=None)


def top_and_bottom():
    ids = np.zeros((64, 128), np.uint8)
    ids[10:30, 40:80], ids[30:60, 45:75] = 1, 2
    return Image.fromarray(REGIONS.to_rgb(ids))


def test_gradio_client_gets_the_map_and_pictures_and_sees_progress(client, tmp_path):
    job = client.submit(input_image=editor_value(tmp_path, top_and_bottom()), **REQUEST | dict(ddim_steps=40))
    seen = set()
    while not job.done():
        seen |= {(unit.index, unit.length) for unit in job.status().progress_data or []}
        time.sleep(0.02)
    first, *pictures = job.result()
    assert np.array_equal(Image.open(first["image"]).convert("RGB"), top_and_bottom())
    assert [Image.open(picture["image"]).size for picture in pictures] == [(128, 64)] * 2
    assert [picture["caption"] for picture in pictures] == ["seed 7", "seed 8"]
    assert seen and all(0 < step <= 40 and steps == 40 for step, steps in seen)


def test_gradio_client_meets_plain_errors_and_the_server_lives_on(client, tmp_path):
    good = dict(input_image=editor_value(tmp_path, top_and_bottom()))
    pictures = {
        "4096 of 4096 pixels are off the palette": Image.new("RGB", (64, 64), (12, 34, 56)),
        "greyscale": Image.new("L", (64, 64), 99),
        "5000 x 8 pixels: sides of at most 4096": Image.new("P", (5000, 8)),
        "The map is empty": Image.new("P", (64, 64)),
        "cannot identify image file": b"hello",
        "413|exceeds the maximum|too large": bytes(33 * 2**20),
    }
    cases = {
        message: dict(input_image=editor_value(tmp_path, content)) for message, content in pictures.items()
    }
    cases["maximum value 12"] = good | dict(num_samples=13)
    cases["eta must be 0"] = good | dict(sampler="dpmpp_2m", eta=1)
    for message, changes in cases.items():
        with pytest.raises(Exception, match=message):  # AppError, or the HTTP client's for a refused upload
            client.predict(**REQUEST | changes)
    assert len(client.predict(**REQUEST | good)) == 3


@pytest.mark.browser
def test_a_painted_map_becomes_a_picture_in_the_browser(server, tmp_path):
    if CHROMIUM is None:
        reason = "no chromium: install Debian's packages chromium and fonts-dejavu-core"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET.split())
        page = browser.new_page(viewport=dict(width=1280, height=1000))
        page.set_default_timeout(60_000)
        requests = []
        page.on("request", lambda request: requests.append(request.url))
        page.goto(server[0])
        for name, height in dict(top=0.4, bottom=0.7).items():
            paint(page, name, height)
        page.locator("#generate").click()
        page.locator("#results .thumbnail-item img").nth(1).wait_for()
        region_map, picture = (load_picture(page, i) for i in (0, 1))
        shares = np.bincount(REGIONS.to_ids(region_map).ravel(), minlength=5) / region_map[..., 0].size
        assert 0.02 < shares[1] < 0.3 and 0.02 < shares[2] < 0.3 and not shares[3:].any()
        assert picture.shape == (64, 64, 3) and picture.std() > 1
        page.locator("#templates button").first.click()
        wait_for(lambda: shows(page, "head"))
        assert "hat" in page.locator("#prompt").get_by_role("textbox").input_value()
        page.get_by_label("Clear canvas").click()
        wait_for(lambda: not shows(page, "head"))
        Image.new("L", (64, 64), 99).save(tmp_path / "grey.png")
        page.locator("input[data-testid^='Upload a map']").set_input_files(tmp_path / "grey.png")
        page.get_by_text("The picture is greyscale").wait_for()
        browser.close()
    assert not [url for url in requests if not url.startswith((server[0], "blob:", "data:"))]


def paint(page, region, height):
    """A stroke with a region's brush across the middle of the painter, once the brush has its colour."""
    page.locator("#brush label", has_text=region).click()
    colour = "rgb({}, {}, {})".format(*REGIONS.colours[REGIONS.names.index(region)])
    page.locator(f"#painter button[aria-label=Color][style*='{colour}']").wait_for()
    box = page.locator("#painter canvas").first.bounding_box()
    y = box["y"] + height * box["height"]
    page.mouse.move(box["x"] + 0.35 * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.65 * box["width"], y, steps=2)
    page.mouse.up()


def shows(page, region):
    """Whether the painter shows a region's colour."""
    canvas = Image.open(io.BytesIO(page.locator("#painter canvas").first.screenshot())).convert("RGB")
    return REGIONS.colours[REGIONS.names.index(region)] in {colour for _, colour in canvas.getcolors(2**24)}


def load_picture(page, index):
    source = page.locator("#results .thumbnail-item img").nth(index).get_attribute("src")
    return np.asarray(Image.open(io.BytesIO(page.request.get(source).body())).convert("RGB"))


def test_the_server_looked_up_no_name_but_its_own(server, client):
    with urllib.request.urlopen(server[0]) as answer:
        assert answer.status == 200
    names = set(server[1].read_text().split())
    assert names and names <= {"127.0.0.1", "localhost"}
