"""Visits to the fitting room in a headless Chromium: choose, paint, try on, compare, cancel, download."""

import io
import zipfile

import numpy as np
from PIL import Image

from browser_visit import nameless, new_page
from demo_server import wait_for


def opened_room(page, url):
    page.goto(url)
    page.locator("#mask canvas").first.wait_for()
    page.locator("#people .thumbnail-item").nth(3).wait_for()
    wait_for(lambda: pink_share(page) > 0.01)


def visit(browser, url, folder) -> list[str]:
    """The addresses that the page asked for; fails where it does not do what it should."""
    requests = []
    with new_page(browser) as page:
        page.on("request", lambda request: requests.append(request.url))
        opened_room(page, url)
        choose_and_try_on(page)
        edit_the_mask(page)
        compare_and_go_on(page)
        cancel(page)
        download(page, folder)
        meet_an_error(page, folder)
        assert nameless(page) == []
    return requests


def choose_and_try_on(page):
    """Another person and garment are chosen by a click; the mask follows; a picture comes."""
    before = canvas(page)
    page.locator("#people").get_by_role("button", name="Person 3", exact=True).click()
    wait_for(lambda: (canvas(page) != before).mean() > 0.05)
    wait_for(lambda: pink_share(page) > 0.01)
    page.locator("#clothes .thumbnail-item").nth(4).click()
    page.locator("#mask:not(.waiting)").wait_for()
    set_number(page, "steps", 3)
    page.locator("#generate").click()
    caption = page.locator("#results .caption-label", has_text="seed").first
    caption.wait_for()
    assert "Orange jacket" in caption.inner_text() and "details right" in caption.inner_text()
    page.locator("#compare img").first.wait_for()


def edit_the_mask(page):
    """What is painted is pink then, and the request is drawn from it: the corner of the picture is new."""
    page.locator("#mask:not(.waiting)").wait_for()
    before = pink_share(page)
    page.locator("#mask_brush").get_by_text("draw anew").click()
    box = page.locator("#mask canvas").first.bounding_box()
    photo = picture_box(page, box)
    for height in (0.06, 0.1, 0.14):
        y = photo[1] + height * photo[3]
        page.mouse.move(photo[0] + 0.05 * photo[2], y)
        page.mouse.down()
        page.mouse.move(photo[0] + 0.9 * photo[2], y, steps=6)
        page.mouse.up()
    wait_for(lambda: pink_share(page) > before + 0.01)
    was = newest(page)
    page.locator("#generate").click()
    wait_for(lambda: newest(page) != was and "blob" not in newest(page))
    page.locator("#status", has_text="2 pictures").wait_for()
    drawn = load(page, newest(page))
    before = load(page, page.locator("#person img").first.get_attribute("src"))
    changed = (drawn != before).any(-1)
    assert changed[4:16, 20:80].mean() > 0.5 and not changed[120:, 90:].any()


def compare_and_go_on(page):
    """The line between before and after can be dragged; the picture tries on what comes next."""
    assert page.locator("#compare img").count() == 2
    page.locator("#next").click()
    wait_for(lambda: page.locator("#person img").first.get_attribute("src").endswith(".png"))
    chosen = load(page, newest(page))
    wait_for(
        lambda: np.array_equal(load(page, page.locator("#person img").first.get_attribute("src")), chosen)
    )
    wait_for(lambda: pink_share(page) > 0.01)


def cancel(page):
    set_number(page, "steps", 100)
    set_number(page, "num_samples", 6)
    page.locator("#generate").click()
    page.locator("#results .caption-label", has_text="preview after").wait_for()
    page.locator("#cancel").click()
    page.locator("#status", has_text="Cancelled").wait_for()
    set_number(page, "steps", 3)
    set_number(page, "num_samples", 1)


def download(page, folder):
    page.get_by_role("button", name="Pictures of this session").click()
    with page.expect_download() as download:
        page.locator("#download").click()
    download.value.save_as(folder / "all.zip")
    with zipfile.ZipFile(folder / "all.zip") as archive:
        names = archive.namelist()
        assert sum("_seed_" in name for name in names) == 2 and names[-1] == "sheet.png"
        made = next(name for name in names if "_seed_" in name)
        (folder / "made.png").write_bytes(archive.read(made))


def meet_an_error(page, folder):
    """A file that is no picture is refused in words, and what the page shows stays; settings come back."""
    (folder / "text.png").write_text("no picture")
    page.locator("#take_over input[type=file]").set_input_files(folder / "made.png")
    page.locator("#taken", has_text="Taken over").wait_for()
    page.locator("#take_over input[type=file]").set_input_files(folder / "text.png")
    page.locator("#taken", has_text="Nothing was taken over").wait_for()
    page.locator("#person").get_by_role("button").first.click()  # takes it away
    page.locator("#generate").click()
    page.get_by_text("There is no person yet").first.wait_for()
    assert page.locator("#results img:visible").count() > 0


def canvas(page):
    shot = page.locator("#mask canvas").first.screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)


def pink_share(page):
    """The share of the painter in which red is far above green, and blue is, too."""
    red, green, blue = np.moveaxis(canvas(page), -1, 0)
    return float(((red - green > 70) & (blue - green > 10) & (red > blue)).mean())


def picture_box(page, box):
    """(x, y, width, height) of the photo in the painter, whose ground is white."""
    inside = (canvas(page) < 250).any(-1)
    columns = np.flatnonzero(inside[inside.shape[0] // 4 : -inside.shape[0] // 4].mean(0) > 0.5)
    left, right = columns[0], columns[-1]
    rows = np.flatnonzero(inside[:, (left + right) // 2])
    return box["x"] + left, box["y"] + rows[0], right - left, rows[-1] - rows[0]


def newest(page):
    return page.locator("#results .thumbnail-item img").first.get_attribute("src") or "blob"


def load(page, source):
    return np.asarray(Image.open(io.BytesIO(page.request.get(source).body())).convert("RGB"))


def set_number(page, elem_id, value):
    if not page.locator(f"#{elem_id}").is_visible():
        page.locator("#options button").first.click()
    field = page.locator(f"#{elem_id} input[type=number]")
    field.fill(str(value))
    field.press("Tab")


def find_everything_on_a_phone(page, folder):
    """On a phone nothing is wider than the screen, and the button is always in sight."""
    page.set_viewport_size(dict(width=390, height=844))
    page.reload()
    page.locator("#mask canvas").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box = page.locator("#generate").bounding_box()
    assert 0 < box["y"] < 844 - box["height"]


def read_everything(page, folder):
    """Texts have a contrast of 4.5 to their ground and checkboxes one of 3."""
    from demo_visits import CHECKS

    page.evaluate(CHECKS)
    for panel in ("options", "ways_panel", "worn_panel", "pose_panel", "history_panel"):
        page.locator(f"#{panel} button").first.click()
    for dark in (False, True):
        page.evaluate("dark => document.body.classList.toggle('dark', dark)", dark)
        page.wait_for_timeout(600)  # colours fade
        pale = page.evaluate("lowContrast()")
        assert pale == [], f"in {'dark' if dark else 'light'} colours: {pale}"


def try_on_several(page, folder):
    """A lookbook of three garments: a picture each, and one sheet of all."""
    page.locator("#ways_panel button").first.click()
    page.locator("#way").get_by_text("each garment by itself").click()
    field = page.locator("#further_garments input")
    field.wait_for()
    for name in ("Purple top", "Red top, dots"):
        field.click()
        page.get_by_role("option", name=name, exact=True).click()
    set_number(page, "steps", 2)
    page.locator("#generate").click()
    page.locator("#results .caption-label", has_text="lookbook").wait_for()
    captions = page.locator("#results .caption-label").all_inner_texts()
    assert [caption.split(" · ")[0] for caption in captions[:3]] == [
        "Red top, bars",
        "Purple top",
        "Red top, dots",
    ]
