"""Further visits to the demo's page in a headless Chromium, each of a page of its own."""

import base64
import io
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from browser_visit import clear, load_picture, nameless, new_page, paint, set_number, shows
from demo_requests import REGIONS
from demo_server import wait_for

# functions that run in the page: `low_contrast` and `unseen_focus`
CHECKS = Path(__file__).with_name("page_checks.js").read_text(encoding="utf-8")


@contextmanager
def opened(browser, url):
    """The page, ready to be painted on."""
    with new_page(browser) as page:
        page.goto(url)
        page.locator("#painter button[aria-label=Color]").wait_for()
        yield page


def trace_a_photo(page, folder):
    """Regions are painted over a photo; what is drawn from is their map alone, through every change."""
    photo = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    Image.fromarray(photo).resize((600, 600)).save(folder / "photo.jpg")
    clear(page)
    page.locator("#photo_panel button").first.click()
    page.locator("#show_photo input").check()
    page.get_by_text("There is no photo yet").wait_for()
    page.locator("#photo input[type=file]").set_input_files(folder / "photo.jpg")
    wait_for(lambda: not shows(page, "background"))
    paint(page, "top", 0.4)
    wait_for(lambda: shows(page, "top"))
    paint(page, "bottom", 0.7)
    wait_for(lambda: shows(page, "bottom"))
    page.locator("#painter").get_by_role("button", name="Undo").click()
    wait_for(lambda: not shows(page, "bottom"))
    assert not shows(page, "background")
    assert drawn_regions(page) == {0, 1}
    page.locator("#show_photo input").uncheck()
    wait_for(lambda: shows(page, "background") and shows(page, "top"))
    page.locator("#show_photo input").check()
    wait_for(lambda: not shows(page, "background"))
    assert not shows(page, "top")  # the stroke is of the map now, and the photo seen under it
    paint(page, "head", 0.15)
    assert saved_regions(page, folder) == {0, 1, 4}


def take_over_settings(page, folder):
    """A picture that is dropped on the page sets map, words and numbers as they were; bad ones say why."""
    page.locator("#templates").get_by_role("button", name="Maxi dress, cap").click()
    wait_for(lambda: shows(page, "whole"))
    words = page.locator("#prompt").get_by_role("textbox")
    words.fill("a red top, and a hat")
    for name, value in dict(ddim_steps=4, num_samples=1, seed=77).items():
        set_number(page, name, value)
    page.locator("#generate").click()
    page.locator("#results .caption-label", has_text="seed 77").wait_for()
    picture = page.request.get(page.locator("#results .thumbnail-item img").nth(1).get_attribute("src"))
    (folder / "made.png").write_bytes(picture.body())
    page.reload()
    page.locator("#painter button[aria-label=Color]").wait_for()
    wait_for(lambda: words.input_value().startswith("a person in a pink short sleeve shirt"))
    clear(page)
    drop(page, folder / "made.png")
    page.locator("#taken", has_text="Taken over: the map and").wait_for()
    wait_for(lambda: shows(page, "whole"))
    assert words.input_value() == "a red top, and a hat"
    page.locator("#generate").click()
    page.locator("#results .caption-label", has_text="seed 77").wait_for()
    again = page.request.get(page.locator("#results .thumbnail-item img").nth(1).get_attribute("src"))
    assert pixels_of(again.body()) == pixels_of(picture.body())
    Image.new("RGB", (64, 64)).save(folder / "other.png")
    drop(page, folder / "other.png")
    page.locator("#taken", has_text="Nothing was taken over. The picture does not say").wait_for()
    assert words.input_value() == "a red top, and a hat"
    assert nameless(page) == []


def go_without_a_mouse(page, folder):
    """All from brush and template to the download is reached and done by keys."""
    page.on("filechooser", lambda chooser: None)  # without a listener in time, a real dialog would open
    clear(page)
    tab_to(page, "#templates [aria-label='Template: Shirt, pants, hat']")
    page.keyboard.press("Enter")
    wait_for(lambda: shows(page, "head"))
    tab_to(page, "#brush input")
    page.keyboard.press("ArrowRight")
    colour = "rgb({}, {}, {})".format(*REGIONS.colours[2])
    page.locator(f"#painter button[aria-label=Color][style*='{colour}']").wait_for()
    page.evaluate("document.activeElement.blur()")
    tab_to(page, "#prompt textarea")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("a red top, and a hat")
    tab_to(page, "#generate", most=4)
    page.keyboard.press("Enter")
    page.locator("#results .caption-label", has_text="seed").first.wait_for()
    assert saved_by_keys(page, "#save_map", folder).mode == "P"
    tab_to(page, "#history_panel button")
    page.keyboard.press("Enter")
    page.locator("#download").wait_for()
    assert saved_by_keys(page, "#download", folder).namelist()[-1] == "sheet.png"
    tab_to(page, "#take_over button")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    Image.new("RGB", (64, 64)).save(folder / "other.png")
    chooser.value.set_files(folder / "other.png")
    page.locator("#taken", has_text="Nothing was taken over").wait_for()


def keep_a_thin_brush(page, folder):
    """The size of the brush is chosen once for all regions; no tool works on strokes alone."""
    clear(page)
    page.locator("#brush_size input[type=number]").fill("4")
    page.locator("#brush_size input[type=number]").press("Tab")
    for region, height in dict(top=0.3, bottom=0.5, whole=0.7).items():
        paint(page, region, height)
        wait_for(lambda region=region: shows(page, region))
    with page.expect_download() as download:
        page.locator("#save_map").click()
    download.value.save_as(folder / "thin.png")
    ids = np.asarray(Image.open(folder / "thin.png"))
    thickness = [(ids == region).any(1).mean() for region in (1, 2, 3)]
    assert 0 < max(thickness) < 0.04 and max(thickness) < 1.5 * min(thickness)
    names = {button.get_attribute("aria-label") for button in page.locator("#painter button:visible").all()}
    assert "Undo" in names and not names & {"Erase", "Brush Size"}


def tab_to(page, selector, most=150):
    """Press Tab until what has the focus matches, at most so often: once around the page."""
    for _ in range(most):
        if page.evaluate("s => document.activeElement.matches(s)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{selector} is not reached by Tab")


def saved_by_keys(page, selector, folder):
    """What a button downloads when it is pressed by Enter: an image, or a zip."""
    tab_to(page, selector)
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    name = download.value.suggested_filename
    download.value.save_as(folder / name)
    return zipfile.ZipFile(folder / name) if name.endswith(".zip") else Image.open(folder / name)


def drop(page, path):
    """Let a file fall on where pictures are taken whose settings are wanted."""
    content = base64.b64encode(path.read_bytes()).decode()
    script = """([content, name]) => {
        const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0));
        const transfer = new DataTransfer();
        transfer.items.add(new File([bytes], name, {type: "image/png"}));
        return transfer;
    }"""
    transfer = page.evaluate_handle(script, [content, path.name])
    target = page.locator("#take_over button").first
    target.dispatch_event("dragenter", dict(dataTransfer=transfer))
    target.dispatch_event("drop", dict(dataTransfer=transfer))


def pixels_of(content):
    return Image.open(io.BytesIO(content)).convert("RGB").tobytes()


def drawn_regions(page):
    """The region ids of the map that a request was drawn from."""
    set_number(page, "ddim_steps", 5)
    page.locator("#generate").click()
    page.locator("#results .thumbnail-item img").nth(1).wait_for()
    return set(np.unique(REGIONS.to_ids(load_picture(page, 0))).tolist())


def saved_regions(page, folder):
    with page.expect_download() as download:
        page.locator("#save_map").click()
    download.value.save_as(folder / "saved.png")
    return set(np.unique(Image.open(folder / "saved.png")).tolist())


def see_and_read_everything(page, folder):
    """Texts have a contrast of 4.5 to their ground and checkboxes one of 3; the focus is always seen."""
    page.evaluate(CHECKS)
    for panel in ("options", "words_panel", "photo_panel", "history_panel"):
        page.locator(f"#{panel} button").first.click()
    for dark in (False, True):
        page.evaluate("dark => document.body.classList.toggle('dark', dark)", dark)
        page.wait_for_timeout(600)  # colours fade
        assert page.evaluate("lowContrast()") == [], f"in {'dark' if dark else 'light'} colours"
    page.evaluate("document.body.classList.remove('dark')")
    page.locator("body").click(position=dict(x=2, y=2))
    unseen, seen = set(), 0
    for _ in range(60):
        page.keyboard.press("Tab")
        state = page.evaluate("unseenFocus()")
        seen += state == ""
        unseen |= {state} - {""}
    assert unseen == set() and seen > 30


def find_everything_on_a_phone(page, folder):
    """On a phone the painter is in sight at first, Generate always, and the result once it is drawn."""
    page.set_viewport_size(dict(width=390, height=844))
    page.reload()
    page.locator("#painter button[aria-label=Color]").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    top = page.locator("#painter canvas").first.bounding_box()["y"]
    assert top < 844 - 64 - 120
    set_number(page, "ddim_steps", 2)
    box = page.locator("#generate").bounding_box()
    assert 0 < box["y"] < 844 - box["height"]
    page.locator("#generate").click()
    picture = page.locator("#results .caption-label", has_text="seed").first
    picture.wait_for()
    wait_for(lambda: 0 < picture.bounding_box()["y"] < 844 - 64)
