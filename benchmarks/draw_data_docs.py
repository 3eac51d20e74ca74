"""Draw the pictures of docs/data.md: what each option of tool_prepare_data.py does.

python benchmarks/make_raw.py data/raw_small --photos 120
python tool_prepare_data.py data/raw_small training/raw_small
python benchmarks/draw_data_docs.py data/raw_small training/raw_small docs
"""

import argparse
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import numpy as np  # noqa: E402
from data_figures import annotation_in, coloured, crops_of, find, persons, save, show  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.patches import Patch, Rectangle  # noqa: E402
from PIL import Image  # noqa: E402

from annotator.imaterialist import index_annotations, read_rows  # noqa: E402
from annotator.imaterialist.rle import sample_runs  # noqa: E402
from pictures.crops import Crop  # noqa: E402
from pictures.regions import REGIONS_FILE, Regions  # noqa: E402
from preparation.imaterialist import IMaterialist  # noqa: E402

REAL = Path(__file__).parent.parent / "tests" / "helpers" / "data" / "imaterialist" / "train.csv"
TABLES = ("official", "split", "detailed", "legacy")
# the check and the planted fault that shows it
CLEANING = {
    "near_duplicate": "copy_mirrored",
    "blurred": "blurred",
    "too_dark": "dark",
    "too_bright": "bright",
    "greyscale": "grey",
    "jpeg_wreck": "jpeg_wreck",
    "jpeg_blocks": "wreck_saved_again",
    "no_garment": "only_bag",
    "incomplete": "rle_odd",
    "maybe_unlabelled_people": "person_apart",
}


def draw_real(path: Path) -> None:
    """The one real annotation of the repository: its rows, and its map in two tables."""
    index = index_annotations(REAL, REGIONS_FILE.with_name("label_descriptions.json"))
    [places] = index.places.values()
    rows, _ = read_rows(REAL, places)
    height, width = rows[0].height, rows[0].width
    crop = Crop(0.0, 0.0, float(width), float(height), 704, 496)
    figure = Figure(figsize=(8.4, 4.4), layout="constrained")
    outlines, *maps = figure.subplots(1, 3)
    show(outlines, np.full((704, 496, 3), 255, np.uint8), f"{len(rows)} rows of {height} x {width} pixels")
    for number, row in enumerate(rows):
        mask = sample_runs(row.runs, height, *crop.sample_points())
        colour, name = f"C{number}", index.categories[row.category].split(",")[0]
        outlines.contour(mask, [0.5], colors=colour, linewidths=1)
        y, x = np.argwhere(mask)[mask.sum() // 2]
        outlines.text(x, y, name, color=colour, fontsize=7, ha="center")
    for axes, table in zip(maps, ("official", "legacy"), strict=True):
        annotation = annotation_in(rows, table)
        ids = annotation.draw(crop)
        names = annotation.regions.names
        shares = [f"{names[i]} {(ids == i).mean():.2%}" for i in np.unique(ids[ids > 0])]
        show(axes, coloured(annotation, crop), f"{table}: {', '.join(shares)}")
    save(figure, path)


def draw_tables(photos: list, path: Path) -> None:
    figure = Figure(figsize=(8.4, 2.6 * len(photos) + 0.4), layout="constrained")
    for row, (photo, rows) in zip(figure.subplots(len(photos), 5), photos, strict=True):
        [crop] = crops_of(annotation_in(rows, "detailed"), margin=0.2)
        show(row[0], photo.cut(crop), "photo")
        for axes, table in zip(row[1:], TABLES, strict=True):
            show(axes, coloured(annotation_in(rows, table), crop), table)
    regions = Regions.read(table="detailed")
    pairs = list(zip(regions.names, regions.colours, strict=True))[1:]
    patches = [Patch(color=np.array(colour) / 255, label=name) for name, colour in pairs]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), fontsize=8, frameon=False)
    save(figure, path)


def draw_choices(photo, rows, choices: dict[str, list[Crop]], axes) -> None:
    """A photo with frames, then the picture and map of each choice."""
    show(axes[0], photo.cut(whole(photo)), f"photo, {photo.height} x {photo.width}")
    scale = whole(photo).width / photo.width
    crops = [(title, crop) for title, crops in choices.items() for crop in crops]
    for number, ((title, crop), cell) in enumerate(zip(crops, axes[1:], strict=True)):
        box = np.array(crop.to_list()) * scale
        frame = Rectangle(box[:2], *(box[2:] - box[:2]), fill=False, edgecolor=f"C{number}", linewidth=1.6)
        axes[0].add_patch(frame)
        picture, drawn = photo.cut(crop), coloured(annotation_in(rows, "official"), crop)
        show(cell, np.concatenate([picture, drawn], axis=1), f"{title}: {crop.height} x {crop.width}")
        cell.title.set_color(f"C{number}")


def whole(photo) -> Crop:
    scale = 400 / max(photo.height, photo.width)
    size = round(photo.height * scale), round(photo.width * scale)
    return Crop(0.0, 0.0, float(photo.width), float(photo.height), *size)


def draw_geometry(alone, pair, path: Path) -> None:
    (photo, rows), figure = alone, Figure(figsize=(8.4, 6.6), layout="constrained")
    axes, annotation = figure.subplots(3, 4), annotation_in(rows, "official")
    choices = {"default": crops_of(annotation), "--square": crops_of(annotation, square=True)}
    draw_choices(photo, rows, choices, axes[0, :3])
    axes[0, 3].axis("off")
    margins = {f"--margin {margin:g}": crops_of(annotation, margin=margin) for margin in (0, 0.2, 0.5)}
    draw_choices(photo, rows, margins, axes[1])
    photo, rows = pair
    first, second = crops_of(annotation_in(rows, "official"), second_crop=True)
    draw_choices(photo, rows, {"first crop": [first], "--second-crop": [second]}, axes[2, :3])
    axes[2, 3].axis("off")
    save(figure, path)


def draw_sizes(photo, rows, path: Path) -> None:
    """Pictures of three sizes at one scale."""
    crops = {size: crops_of(annotation_in(rows, "official"), size)[0] for size in (512, 640, 768)}
    figure = Figure(figsize=(8.4, 4.6), layout="constrained")
    cells = figure.subplots(1, 3, width_ratios=[crop.width for crop in crops.values()])
    for cell, (size, crop) in zip(cells, crops.items(), strict=True):
        show(cell, photo.cut(crop), f"--size {size}: {crop.height} x {crop.width}")
        cell.set_anchor("S")
    save(figure, path)


def draw_cleaning(raw: Path, out: Path, path: Path) -> None:
    """For each check a picture that it has left out, for duplicates beside the one that stays."""
    from prepare_truth import Outcome

    outcome = Outcome(raw, out)
    figure = Figure(figsize=(8.4, 5.2), layout="constrained")
    cells = figure.subplots(2, 5, width_ratios=(1.6, 1, 1, 1, 1)).ravel()
    for cell, (check, kind) in zip(cells, CLEANING.items(), strict=True):
        lines = [
            line
            for image, line in outcome.left_out.items()
            if check in outcome.reasons(image)
            and kind in (outcome.kinds.get(image), outcome.kinds.get(outcome.originals.get(image)))
        ]
        if not lines:
            raise ValueError(f"{out} has left out no planted {kind} for {check}: make {raw} with more photos")
        pictures = [np.asarray(Image.open(out / lines[0]["target"]))]
        if check == "near_duplicate":
            pairs = outcome.originals | {copy: of for of, copy in outcome.originals.items()}
            stays = Image.open(out / outcome.kept[pairs[lines[0]["photo"]]]["target"])
            pictures.append(np.asarray(stays.resize(pictures[0].shape[1::-1])))
        show(cell, np.concatenate(pictures, axis=1), check)
    save(figure, path)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("raw", type=Path)
    parser.add_argument("out", type=Path, help="the raw folder, prepared")
    parser.add_argument("docs", type=Path)
    arguments = parser.parse_args()
    source, docs = IMaterialist(arguments.raw, Regions.read()), arguments.docs
    dressed = find(source, lambda photo, rows, ids: {10, 14, 23, 24} <= ids)
    skirt = find(source, lambda photo, rows, ids: {1, 8, 14, 23} <= ids)
    # so large that no crop ends at the photo's own pixels
    wide = find(source, lambda photo, rows, ids: photo.width > photo.height > 2000 and persons(rows) == 1)
    pair = find(
        source, lambda photo, rows, ids: photo.width > 1.2 * photo.height > 900 and persons(rows) == 2
    )
    draw_real(docs / "data_real.png")
    draw_tables([dressed, skirt], docs / "data_tables.png")
    draw_geometry(wide, pair, docs / "data_geometry.png")
    draw_sizes(*dressed, docs / "data_sizes.png")
    draw_cleaning(arguments.raw, arguments.out, docs / "data_cleaning.png")


if __name__ == "__main__":
    main()
