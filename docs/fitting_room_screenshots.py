"""Take the pictures of the fitting room that docs/fitting_room.md shows: on a desktop, a laptop, a phone.

python gradio_tryon.py --port 7860                       # in another terminal, with the model to be shown
python docs/fitting_room_screenshots.py http://127.0.0.1:7860 docs
"""

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

FLAGS = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"]
SCREENS = dict(desktop=(1600, 1000), laptop=(1280, 800), phone=(390, 844))


def take(browser, url, size, person, garment, seed):
    """The whole page, after a garment was tried on, as a PIL image."""
    with browser.new_page(viewport=dict(zip(("width", "height"), size, strict=True))) as page:
        page.set_default_timeout(300_000)
        page.goto(url)
        page.locator("#mask canvas").first.wait_for()
        page.locator("#people .thumbnail-item").nth(person).click()
        page.locator("#clothes .thumbnail-item").nth(garment).click()
        page.locator("#options button").first.click()
        field = page.locator("#seed input")
        field.fill(str(seed))
        field.press("Tab")
        page.locator("#options button").first.click()
        page.wait_for_timeout(3000)
        page.locator("#generate").click()
        page.locator("#results .caption-label", has_text="seed").first.wait_for()
        page.locator("#compare img").first.wait_for()
        page.mouse.move(size[0] // 2, 20)
        page.wait_for_timeout(3000)
        return Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")


def main():
    kind = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=kind)
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--person", type=int, default=2, help="which person to dress (default: 2)")
    parser.add_argument("--garment", type=int, default=6, help="which garment to try on (default: 6)")
    parser.add_argument("--seed", type=int, default=0, help="of the picture (default: 0)")
    arguments = parser.parse_args()
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        with playwright.chromium.launch(executable_path=chromium, args=FLAGS) as browser:
            for name, size in SCREENS.items():
                given = arguments.person, arguments.garment, arguments.seed
                picture = take(browser, arguments.url, size, *given)
                picture.save(arguments.folder / f"fitting_room_{name}.png", optimize=True)


if __name__ == "__main__":
    main()
