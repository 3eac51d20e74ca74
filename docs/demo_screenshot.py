"""Take the picture of the demo's page that docs/demo.md shows: a template, and pictures with and without it.

python gradio_seg2image.py --port 7860              # in another terminal, with the model to be shown
python docs/demo_screenshot.py http://127.0.0.1:7860 docs/demo.png
"""

import argparse
import io
import shutil

from PIL import Image
from playwright.sync_api import sync_playwright

FLAGS = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"]


def take(url, template, seed):
    """The whole page as a PIL image."""
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport=dict(width=1280, height=900))
        page.set_default_timeout(120_000)
        page.goto(url)
        page.locator("#painter button[aria-label=Color]").wait_for()
        page.locator("#templates button").nth(template).click()
        page.wait_for_timeout(3000)
        page.get_by_role("button", name="Garment words").click()
        page.get_by_role("button", name="Options").click()
        field = page.locator("#seed input")
        field.fill(str(seed))
        field.press("Tab")
        page.get_by_role("button", name="Options").click()
        page.locator("#compare input").check()
        page.locator("#generate").click()
        page.locator("#results .thumbnail-item img").nth(8).wait_for()
        page.mouse.move(640, 60)
        page.wait_for_timeout(2000)
        return Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url")
    parser.add_argument("output")
    parser.add_argument("--template", type=int, default=0, help="which template to take (default: 0)")
    parser.add_argument("--seed", type=int, default=0, help="of the first picture (default: 0)")
    arguments = parser.parse_args()
    take(arguments.url, arguments.template, arguments.seed).save(arguments.output, optimize=True)


if __name__ == "__main__":
    main()
