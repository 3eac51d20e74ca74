"""Parts of the pictures that draw_data_docs.py makes: photos, maps, crops, and the files."""

import io
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from pictures.crops import Crop, buckets, choose_crops
from pictures.photo import open_photo
from pictures.regions import Regions
from preparation.imaterialist import GarmentAnnotation, IMaterialist


def annotation_in(rows, table: str) -> GarmentAnnotation:
    return GarmentAnnotation(rows, Regions.read(table=table), [], "")


def coloured(annotation, crop):
    """The map of a crop in its colours, uint8 (h, w, 3)."""
    return np.array(annotation.regions.colours, np.uint8)[annotation.draw(crop)]


def crops_of(annotation, size=512, square=False, margin=0.1, second_crop=False) -> list[Crop]:
    where = annotation.height, annotation.width, annotation.boxes
    return choose_crops(*where, buckets(size, square), margin, 1.5, second_crop)


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


def find(source: IMaterialist, wanted) -> tuple:
    """(photo, rows) of the first example that is wanted: wanted(photo, rows, categories)."""
    for example in source.examples:
        try:
            annotation = example.annotation()
            photo = open_photo(example.photo, annotation.height, annotation.width)
        except ValueError:
            continue
        if wanted(photo, annotation.rows, {row.category for row in annotation.rows}):
            return photo, annotation.rows
    raise ValueError("no photo of the raw folder shows what is wanted: make one with more photos")


def persons(rows) -> int:
    """How many crops the photo of these rows gives."""
    annotation = annotation_in(rows, "official")
    return len(crops_of(annotation, second_crop=True)) if annotation.boxes else 0
