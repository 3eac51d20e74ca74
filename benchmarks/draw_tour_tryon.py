"""Draw the pictures of docs/tour_tryon.md and docs/for_designers_tryon.md by a run of try-on on paper dolls.

python benchmarks/draw_tour_tryon.py runs/tryon_dolls docs      # after `make tryon`; minutes on a CPU

Needs Chromium, for the picture of the report.
"""

import argparse
import io
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests" / "helpers"), str(ROOT)]

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402

import tool_generate  # noqa: E402
from cldm.weights.load import find_data  # noqa: E402
from cldm.weights.load_tryon import load_tryon  # noqa: E402
from demo_server import CHROMIUM, QUIET  # noqa: E402
from generation.fitting import FittingSettings, put_on  # noqa: E402
from generation.fitting_items import GarmentPhoto, PersonPhoto, dress, make_item  # noqa: E402
from paperdoll.labels import COCO_18, LIP, list_keypoints  # noqa: E402
from paperdoll.scene import draw_product  # noqa: E402
from paperdoll.tryon import arrange  # noqa: E402
from reporting.picture_sheet import Row, Tile, draw_sheet  # noqa: E402

SEED, SIZE = 41, (128, 96)  # of dolls that neither base nor try-on was trained on
PEOPLE, CLOTHES = (0, 3, 5), (24, 15, 19, 36)
TILE = 150  # pixels
SETTINGS = FittingSettings(repaint="blend")  # the photo is put back outside of the mask


def save(png: bytes, path: Path) -> None:
    """In all its colours, which are what people look at."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image.save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB, {image.width} x {image.height}")


class Fitter:
    """What a checkpoint draws of dolls of SEED, by their indices."""

    def __init__(self, checkpoint: Path):
        self.loaded = load_tryon(checkpoint)

    def person(self, index: int) -> PersonPhoto:
        """A doll with what the mask style reads: joints and a label map."""
        worn = arrange(SEED, index, SIZE).wear()
        joints = np.array(list_keypoints(worn.keypoints, COCO_18, SIZE))
        return PersonPhoto(worn.drawing.photo, joints=joints, labels=dict(cihp=worn.drawing.labels(LIP)))

    def garment(self, index: int) -> GarmentPhoto:
        drawn = draw_product(arrange(SEED, index, SIZE).garment, SIZE)
        return GarmentPhoto(drawn.photo, "upper", mask=drawn.mask(garment=1))

    def dress(self, person: int, garment: int, seeds) -> np.ndarray:
        return dress(self.loaded, self.person(person), self.garment(garment), seeds, SETTINGS)

    def item(self, person: int, garment: int) -> dict:
        return make_item(self.loaded, self.person(person), self.garment(garment))


def draw_grid(fitter: Fitter, path: Path) -> None:
    """Each person in each garment."""
    rows = [Row("", [None, *(Tile(fitter.garment(index).photo) for index in CLOTHES)])]
    for person in PEOPLE:
        dressed = [fitter.dress(person, garment, [0])[0] for garment in CLOTHES]
        rows.append(Row("", [Tile(pixels) for pixels in (fitter.person(person).photo, *dressed)]))
    save(draw_sheet(rows, TILE), path)


def draw_seeds(fitter: Fitter, path: Path, num=3) -> None:
    """One person in one garment: what the model sees, several seeds, without the garment, and the truth."""
    person, garment = PEOPLE[0], CLOTHES[0]
    item = fitter.item(person, garment)
    kept = ((item["agnostic"] + 1) * 127.5).round().astype(np.uint8)
    without = FittingSettings(repaint="blend", guidance=fitter.loaded.model.guidance_without_garment())
    truth = arrange(SEED, person, SIZE).wear(arrange(SEED, garment, SIZE).garment).drawing.photo
    dressed = fitter.dress(person, garment, list(range(num)))
    tiles = [Tile(kept, "what stays"), Tile(fitter.garment(garment).photo, "the garment")]
    tiles += [Tile(pixels, f"seed {seed}") for seed, pixels in enumerate(dressed)]
    tiles.append(Tile(put_on(fitter.loaded.model, [item], [0], without)[0], "seed 0, no garment"))
    save(draw_sheet([Row("", [*tiles, Tile(truth, "what is right")])], TILE), path)


def draw_cut(checkpoint: Path, path: Path) -> None:
    """The sheet of garments that others wear, as tool_generate.py draws it."""
    folder = find_data(checkpoint)
    options = f"--fittings {folder} --pairs {folder}/test_unpaired.txt --cut top --repaint blend --limit 2"
    with tempfile.TemporaryDirectory() as out:
        sys.argv = ["tool_generate.py", "--control", str(checkpoint), *options.split(), "--out", out]
        tool_generate.main()
        save(Path(out, "sheet.png").read_bytes(), path)


def take_report(report: Path, path: Path) -> None:
    """The head of a run's report, to the end of its first chapter."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET.split())
        page = browser.new_page(viewport=dict(width=1080, height=1000))
        page.goto(report.absolute().as_uri())
        end = page.locator("h2").nth(1).bounding_box()["y"]
        save(page.screenshot(clip=dict(x=0, y=0, width=1080, height=end - 24)), path)
        browser.close()


def main():
    kind = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=kind)
    parser.add_argument("run", type=Path, help="folder of a run of try-on on paper dolls")
    parser.add_argument("docs", type=Path, help="folder that gets the pictures")
    arguments = parser.parse_args()
    checkpoint, docs = arguments.run / "tryon.safetensors", arguments.docs
    take_report(arguments.run / "report.html", docs / "tour_tryon_report.png")
    fitter = Fitter(checkpoint)
    draw_grid(fitter, docs / "tour_tryon_grid.png")
    draw_seeds(fitter, docs / "tour_tryon_seeds.png")
    draw_cut(checkpoint, docs / "tour_tryon_cut.png")


if __name__ == "__main__":
    main()
