"""Draw the pictures of docs/tour.md and docs/for_designers.md under a control of paper dolls.

python benchmarks/draw_tour.py runs/dolls/control.safetensors docs          # a minute on a CPU
"""

import argparse
import io
import json
import sys
from dataclasses import replace
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import numpy as np  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from PIL import Image  # noqa: E402

from cldm.controls import Control  # noqa: E402
from demo.loading import load_for_demo  # noqa: E402
from generation.generate import Settings, generate  # noqa: E402
from generation.inpainting import Photo, region_mask  # noqa: E402
from learning.segmenter.distorted_dolls import doll_regions  # noqa: E402
from paperdoll import draw  # noqa: E402
from pictures.hint import HintEncoder  # noqa: E402
from pictures.regions import REGIONS_FILE  # noqa: E402

DOLLS, SEED, SIZE = (5, 31), 0, 128  # neither base nor control was trained on this seed
FIRST_PART = 27  # iMaterialist's categories from here on lie on a garment: sleeves, pockets, ...
COLOURS = ("red", "green", "yellow", "purple")


def show(axes, pixels, title: str) -> None:
    axes.imshow(pixels, interpolation="antialiased")
    axes.set_title(title, fontsize=8)
    axes.axis("off")


def save(figure: Figure, path: Path) -> None:
    """As a PNG of 192 colours: a third of the bytes."""
    data = io.BytesIO()
    figure.savefig(data, dpi=110)
    image = Image.open(data).convert("RGB")
    image.quantize(192, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB, {image.width} x {image.height}")


class Painter:
    """What a control draws for region maps uint8 (SIZE, SIZE)."""

    def __init__(self, control):
        regions = HintEncoder.from_file(REGIONS_FILE)
        self.demo = load_for_demo(control, None, regions, "cpu")
        self.encoder, self.settings = self.demo.encoder, Settings(scale=3.0, seed=SEED)

    def colours(self, ids):
        return self.encoder.to_rgb(ids)

    def draw(self, ids, prompt, photo=None, strength=1.0, **settings):
        """Pictures uint8 (n, SIZE, SIZE, 3)."""
        chosen = replace(self.settings, prompt=prompt, **settings)
        control = Control(self.encoder.to_hint(ids), strength=strength)
        return generate(self.demo.model, control, chosen, photo=photo)


def draw_annotation(painter, path: Path) -> None:
    """A drawn photo, the outlines of its rows, and its map."""
    doll = draw(SEED, DOLLS[0], 512)
    labels = category_names()
    figure = Figure(figsize=(8.4, 3.2), layout="constrained")
    photo, outlines, painted = figure.subplots(1, 3)
    show(photo, doll.photo, "the photo")
    show(outlines, np.full_like(doll.photo, 255), "its rows in train.csv, as outlines")
    for number, instance in enumerate(doll.instances):
        outlines.contour(instance.mask, [0.5], colors=f"C{number}", linewidths=1)
        if instance.class_id >= FIRST_PART:
            continue
        y, x = np.argwhere(instance.mask).mean(0)
        name = labels[instance.class_id].split(",")[0]
        outlines.text(x, y, name, color=f"C{number}", fontsize=8, ha="center", va="center")
    show(painted, painter.colours(doll_regions(doll)), "its region map")
    save(figure, path)


def category_names() -> dict[int, str]:
    """iMaterialist's names of categories, by id."""
    labels = json.loads(REGIONS_FILE.with_name("label_descriptions.json").read_text(encoding="utf-8"))
    return {category["id"]: category["name"] for category in labels["categories"]}


def draw_seeds(painter, path: Path, num=4) -> None:
    """The same prompt and seeds from words alone, and with the map."""
    doll = draw(SEED, DOLLS[0], SIZE)
    ids = doll_regions(doll)
    figure = Figure(figsize=(8.4, 3.9), layout="constrained")
    figure.suptitle(f'"{doll.caption}"', fontsize=8)
    rows = figure.subplots(2, num + 1)
    shown = {"no map": np.zeros_like(ids), "this map": ids}
    for cells, (title, drawn), strength in zip(rows, shown.items(), (0.0, 1.0), strict=True):
        show(cells[0], painter.colours(drawn), title)
        pictures = painter.draw(ids, doll.caption, num_samples=num, strength=strength)
        for seed, (cell, picture) in enumerate(zip(cells[1:], pictures, strict=True), SEED):
            show(cell, picture, f"seed {seed}")
    save(figure, path)


def draw_inpainting(painter, path: Path) -> None:
    """A photo, the region that is painted anew, and what came of four prompts."""
    doll = draw(SEED, DOLLS[0], SIZE)
    ids = doll_regions(doll)
    mask = region_mask(ids, painter.encoder, "top", grow=3)
    figure = Figure(figsize=(8.4, 1.9), layout="constrained")
    cells = figure.subplots(1, 2 + len(COLOURS))
    show(cells[0], doll.photo, "the photo")
    show(cells[1], np.where(mask[..., None], np.uint8([255, 0, 0]), doll.photo), "what is repainted")
    for cell, colour in zip(cells[2:], COLOURS, strict=True):
        prompt = f"a person in a {colour} short sleeve shirt"
        [picture] = painter.draw(ids, prompt, Photo(doll.photo, 1.0, mask, feather=3))
        show(cell, picture, f"a {colour} shirt")
    save(figure, path)


def draw_words(painter, path: Path) -> None:
    """Two maps, and what each gives with the colours of the garments changed in the words."""
    figure = Figure(figsize=(8.4, 3.7), layout="constrained")
    forms = "a person in a {} shirt, {} pants and a black hat", "a person in a {} maxi dress and a {} cap"
    for cells, index, form in zip(figure.subplots(2, 5), DOLLS, forms, strict=True):
        ids = doll_regions(draw(SEED, index, SIZE))
        show(cells[0], painter.colours(ids), "the map")
        for cell, colour, other in zip(cells[1:], COLOURS, COLOURS[::-1], strict=True):
            prompt = form.format(colour, other)
            said = prompt.removeprefix("a person in ").replace(" and ", "\nand ")
            show(cell, painter.draw(ids, prompt)[0], said)
    save(figure, path)


def main():
    kind = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=kind)
    parser.add_argument("control", help="control.safetensors of a run on paper dolls")
    parser.add_argument("docs", type=Path, help="folder that gets the pictures")
    arguments = parser.parse_args()
    painter = Painter(arguments.control)
    draw_annotation(painter, arguments.docs / "tour_annotation.png")
    draw_seeds(painter, arguments.docs / "tour_seeds.png")
    draw_inpainting(painter, arguments.docs / "tour_inpainting.png")
    draw_words(painter, arguments.docs / "tour_words.png")


if __name__ == "__main__":
    main()
