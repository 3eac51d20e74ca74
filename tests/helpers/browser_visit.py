"""A visit to the demo's page in a headless Chromium: paint, generate, edit, cancel, download."""

import io
import zipfile
from contextlib import contextmanager

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

from demo_requests import REGIONS
from demo_server import wait_for


@contextmanager
def launched(chromium, flags):
    """A browser, for as many pages as are wanted: a start takes longer than most visits."""
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium, args=flags) as browser,
    ):
        yield browser


@contextmanager
def new_page(browser):
    """A page in a session of its own."""
    with browser.new_page(viewport=dict(width=1280, height=1000)) as page:
        page.set_default_timeout(300_000)
        yield page


def visit(browser, url, folder) -> list[str]:
    """The addresses that the page asked for; fails where it does not do what it should."""
    requests = []
    with new_page(browser) as page:
        page.on("request", lambda request: requests.append(request.url))
        page.goto(url)
        paint_and_generate(page)
        edit_and_save(page, folder)
        find_words(page)
        cancel(page)
        download(page, folder)
        meet_an_error(page, folder)
        assert nameless(page) == []
    return requests


def paint_and_generate(page):
    clear(page)
    for name, height in dict(top=0.4, bottom=0.7).items():
        paint(page, name, height)
    set_number(page, "ddim_steps", 5)
    page.locator("#generate").click()
    page.locator("#results .thumbnail-item img").nth(3).wait_for()
    region_map, picture = (load_picture(page, i) for i in (0, 1))
    shares = np.bincount(REGIONS.to_ids(region_map).ravel(), minlength=5) / region_map[..., 0].size
    assert 0.02 < shares[1] < 0.3 and 0.02 < shares[2] < 0.3 and not shares[3:].any()
    assert picture.shape == (64, 64, 3) and picture.std() > 1


def clear(page):
    """Take away the template that the page opens with, once it is there."""
    wait_for(lambda: shows(page, "head"))
    page.get_by_label("Clear canvas").click()
    wait_for(lambda: not shows(page, "head"))
    page.locator("#painter:not(.waiting)").wait_for()


def edit_and_save(page, folder):
    """A stroke can be undone, a template takes the place of the map, and what is seen is saved."""
    paint(page, "whole", 0.2)
    wait_for(lambda: shows(page, "whole"))
    page.keyboard.press("ControlOrMeta+z")
    wait_for(lambda: not shows(page, "whole"))
    page.keyboard.press("ControlOrMeta+Shift+z")
    wait_for(lambda: shows(page, "whole"))
    page.locator("#templates").get_by_role("button", name="Shirt, pants, hat").click()
    wait_for(lambda: shows(page, "head"))
    assert "hat" in page.locator("#prompt").get_by_role("textbox").input_value()
    with page.expect_download() as download:
        page.locator("#save_map").click()
    download.value.save_as(folder / "saved.png")
    assert set(np.unique(Image.open(folder / "saved.png"))) == {0, 1, 2, 4}


def find_words(page):
    page.get_by_text("Garment words").click()
    page.locator("#add_words").click()
    wait_for(lambda: page.locator("#prompt").get_by_role("textbox").input_value().endswith(", a top"))


def cancel(page):
    set_number(page, "ddim_steps", 100)
    page.locator("#generate").click()
    page.locator("#results .caption-label", has_text="preview after").wait_for()
    page.locator("#cancel").click()
    page.locator("#status", has_text="Cancelled").wait_for()


def download(page, folder):
    page.get_by_role("button", name="Pictures of this session").click()
    with page.expect_download() as download:
        page.locator("#download").click()
    download.value.save_as(folder / "all.zip")
    with zipfile.ZipFile(folder / "all.zip") as archive:
        names = [name for name in archive.namelist() if "seed" in name]
    # of the three that were cancelled, those that a fast processor had finished before a slow browser clicked
    assert 3 <= len(names) < 6, names


def meet_an_error(page, folder):
    clear(page)
    Image.new("L", (64, 64), 99).save(folder / "grey.png")
    page.locator("input[data-testid^='Upload a map']").set_input_files(folder / "grey.png")
    page.get_by_text("The picture is greyscale").wait_for()
    shown = page.locator("#results img:visible").count()
    page.locator("#generate").click()
    page.get_by_text("The map is empty").wait_for()
    page.wait_for_timeout(300)
    assert page.locator("#results img:visible").count() == shown > 0
    middle = "document.querySelector('#results img').getBoundingClientRect()"
    seen = f"(box => document.elementFromPoint(box.x + box.width / 2, box.y + 20).tagName)({middle})"
    page.locator("#results img").first.scroll_into_view_if_needed()
    assert page.evaluate(seen) == "IMG"  # nothing lies over it


def nameless(page) -> list[str]:
    """Controls that a screen reader could not name."""
    script = """() => [...document.querySelectorAll("button, input, textarea, select")].filter(e =>
        !(e.getAttribute("aria-label") || e.innerText.trim() || e.title || (e.labels && e.labels.length)))
        .map(e => e.outerHTML.slice(0, 120))"""
    return page.evaluate(script)


def paint(page, region, height, span=(0.35, 0.65)):
    """A stroke across the middle of the painter, begun as soon as its brush was clicked."""
    page.locator("#painter:not(.waiting)").wait_for()
    page.locator("#brush label", has_text=region).click()  # which may scroll the page
    box = page.locator("#painter canvas").first.bounding_box()
    y = box["y"] + height * box["height"]
    page.mouse.move(box["x"] + span[0] * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + span[1] * box["width"], y, steps=2)
    page.mouse.up()


def shows(page, region):
    """Whether the painter's middle shows a region's colour; at its border lie tools, one in the brush's."""
    canvas = Image.open(io.BytesIO(page.locator("#painter canvas").first.screenshot())).convert("RGB")
    width, height = canvas.size
    canvas = canvas.crop((width // 5, height // 10, width - width // 5, height))
    return REGIONS.colours[REGIONS.names.index(region)] in {colour for _, colour in canvas.getcolors(2**24)}


def set_number(page, elem_id, value):
    if not page.locator(f"#{elem_id}").is_visible():
        page.locator("#options").get_by_role("button", name="Options").click()
    field = page.locator(f"#{elem_id} input[type=number]")
    field.fill(str(value))
    field.press("Tab")


def load_picture(page, index):
    source = page.locator("#results .thumbnail-item img").nth(index).get_attribute("src")
    return np.asarray(Image.open(io.BytesIO(page.request.get(source).body())).convert("RGB"))
