"""A new user's way, timed: from `git clone` to a picture in the browser, from a map or of a person dressed.

python benchmarks/first_picture.py             # clones this repository; ten minutes on two cores
python benchmarks/first_picture.py --page tryon
python benchmarks/first_picture.py --repository ADDRESS --out first_picture.png

Runs what README says, `make demo` or `make tryon` and then the page, and is the visitor who paints a
dress or tries a garment on there. Needs what the tests need, and Chromium.
"""

import argparse
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests" / "helpers"), str(ROOT)]

from playwright.sync_api import sync_playwright  # noqa: E402

from browser_visit import clear, paint  # noqa: E402
from demo_server import CHROMIUM, QUIET  # noqa: E402

PYTHON = Path(".venv", "Scripts" if sys.platform == "win32" else "bin", "python")
PROMPT = "a person in a red dress and a green hat"
# brush, then height and span of each stroke, as shares of the painter
STROKES = dict(
    whole=[
        (0.36, 0.45, 0.55),
        (0.45, 0.45, 0.55),
        (0.54, 0.42, 0.58),
        (0.63, 0.39, 0.61),
        (0.72, 0.36, 0.64),
    ],
    head=[(0.14, 0.47, 0.53)],
)


@dataclass
class Way:
    """What make is asked for and what that does, the page's script, what shows that it is there, the visit.

    The visit is a list of (what is done, a function of the page).
    """

    target: str
    does: str
    script: str
    ready: str
    visit: list[tuple[str, Callable]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--repository", default=str(ROOT), help="what is cloned (default: this one's last commit)"
    )
    parser.add_argument("--page", choices=WAYS, default="maps", help="default: %(default)s")
    parser.add_argument("--out", type=Path, default="first_picture.png", help="the page in the end")
    arguments = parser.parse_args()
    way = WAYS[arguments.page]
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder, "clone")
        timed = [
            step("git clone", run, ["git", "clone", "--quiet", arguments.repository, str(clone)]),
            step(f"make {way.target}: the packages", run, ["make", ".venv/ready"], clone),
            step(f"make {way.target}: {way.does}", run, ["make", way.target], clone),
        ]
        with page_of(clone, way) as (page, seconds):
            timed += [(f"{way.script}, until it opens", seconds)]
            timed += [step(what, act, page) for what, act in way.visit]
            page.screenshot(path=arguments.out, full_page=True)
    for what, seconds in [*timed, ("together", sum(seconds for _, seconds in timed))]:
        print(f"{seconds:8.1f} s  {what}")
    print(f"the page: {arguments.out}")


def step(what, act, *arguments):
    """(what, seconds that it took)."""
    start = time.monotonic()
    act(*arguments)
    return what, time.monotonic() - start


def run(command, folder=None):
    subprocess.run(command, cwd=folder, check=True)


@contextmanager
def page_of(clone, way):
    """(A way's page in a browser, seconds until it was there)."""
    start = time.monotonic()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([PYTHON, way.script, "--port", str(port)], cwd=clone)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET.split())
            page = browser.new_page(viewport=dict(width=1280, height=1000))
            page.set_default_timeout(120_000)
            while not answers(port):
                if server.poll() is not None:
                    raise RuntimeError("the page ended, see above")
                time.sleep(0.2)
            page.goto(f"http://127.0.0.1:{port}")
            page.locator(way.ready).first.wait_for()
            yield page, time.monotonic() - start
    finally:
        server.terminate()
        server.wait()


def answers(port):
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def paint_dress(page):
    clear(page)
    for region, strokes in STROKES.items():
        for height, *span in strokes:
            paint(page, region, height, span)


def generate(page):
    page.locator("#prompt").get_by_role("textbox").fill(PROMPT)
    page.locator("#generate").click()
    page.locator("#results .thumbnail-item img").nth(3).wait_for()


def choose_garment(page):
    page.locator("#clothes .thumbnail-item").nth(1).click()
    page.locator("#mask:not(.waiting)").wait_for()


def try_on(page):
    page.locator("#generate").click()
    page.locator("#results .thumbnail-item img").first.wait_for()
    page.get_by_text("1 picture in this session").wait_for()


WAYS = dict(
    maps=Way(
        target="demo",
        does="dolls, control, report",
        script="gradio_seg2image.py",
        ready="#painter canvas",
        visit=[
            ("painting a dress and a hat, by strokes of a script", paint_dress),
            ("Generate, until the pictures are there", generate),
        ],
    ),
    tryon=Way(
        target="tryon",
        does="dolls, try-on, report",
        script="gradio_tryon.py",
        ready="#mask canvas",
        visit=[
            ("choosing a garment", choose_garment),
            ("Try on, until the picture is there", try_on),
        ],
    ),
)


if __name__ == "__main__":
    if CHROMIUM is None or shutil.which("make") is None:
        sys.exit("error: needs make and Chromium on the PATH")
    main()
