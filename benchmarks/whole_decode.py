"""Region maps by another way: every mask decoded at its full size by pycocotools, painted, then sampled."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from pycocotools import mask
from raw_rows import read_rows

REAL = Path(__file__).parent.parent / "tests" / "helpers" / "data" / "imaterialist" / "train.csv"
NAMES = "top", "bottom", "whole", "head"
# whole, bottom, top, outer, accessories: the order that the table `official` paints in
ORDER = [10, 11], [6, 7, 8], [0, 1, 2, 3, 4, 5], [9, 12], [13, 14, 15]
REGION = {
    **dict.fromkeys(range(6), 1),
    6: 2,
    7: 2,
    8: 2,
    **dict.fromkeys(range(9, 13), 3),
    13: 4,
    14: 4,
    15: 4,
}


def whole_map(rows: list[list[str]]):
    """The region map uint8 (h, w) of a photo's rows at its own size, by pycocotools."""
    height, width = int(rows[0][2]), int(rows[0][3])
    ids, masks = np.zeros((height, width), np.uint8), []
    for _, rle, _, _, class_id in rows:
        category = int(class_id.split("_")[0])
        if category not in REGION:
            continue
        counts, end = [], 0
        numbers = list(map(int, rle.split()))
        for start, length in zip(numbers[0::2], numbers[1::2], strict=True):
            counts += [start - 1 - end, length]
            end = start - 1 + length
        code = {"size": [height, width], "counts": [*counts, height * width - end]}
        masks.append((category, mask.decode(mask.frPyObjects(code, height, width)) > 0))
    for group in ORDER:
        for category, m in sorted((m for m in masks if m[0] in group), key=lambda m: -m[1].sum()):
            ids[m] = REGION[category]
    return ids


def check_decode(outcome, num: int) -> int:
    """Compare a sample of maps and pictures with those cut from whole ones; returns how many maps differ."""
    lines = sorted((outcome.kept | outcome.left_out).values(), key=lambda line: line["source"])
    turned = [line for line in lines if outcome.kinds.get(line["photo"], "").startswith("exif")]
    order = np.random.default_rng(0).permutation(len(lines))[: num - len(turned)]
    wrong, differences = 0, []
    for line in turned + [lines[i] for i in order]:
        good = {n for n in outcome.lines[line["photo"]] if (line["photo"], n) not in outcome.rejected}
        size, crop = (line["size"][1], line["size"][0]), line["crop"]
        whole = Image.fromarray(whole_map([outcome.rows[n] for n in sorted(good)]))
        wanted = np.asarray(whole.resize(size, Image.Resampling.NEAREST, crop))
        found = np.asarray(Image.open(outcome.out / line["source"]))
        areas = np.bincount(found.ravel(), minlength=5)[1:] / found.size
        names = zip(NAMES, areas, strict=True)
        told = {name: round(area, 6) for name, area in names if area}
        wrong += not np.array_equal(wanted, found) or told != line["areas"]
        photo = Image.open(outcome.raw / "train" / line["photo"]).convert("RGB")
        if photo.size != whole.size:
            photo = ImageOps.exif_transpose(photo)
        picture = np.asarray(photo.resize(size, Image.Resampling.LANCZOS, crop), np.int16)
        target = np.asarray(Image.open(outcome.out / line["target"]).convert("RGB"), np.int16)
        differences.append(float(np.abs(picture - target).mean()))
    print(f"maps and areas that differ from a whole decode: {wrong or 'none'} of {len(differences)}")
    print(f"pictures: {np.mean(differences):.2f} of 255 apart from it, {max(differences):.2f} at most")
    return wrong + (max(differences) > 8)


def check_real() -> int:
    """Compare region areas of the real annotation with those of our own decode; returns 1 if they differ."""
    from annotator.imaterialist import Row, region_map

    [rows] = read_rows(REAL).values()
    ours = [Row(image, rle, int(h), int(w), int(c.split("_")[0]), ()) for image, rle, h, w, c in rows]
    found = np.bincount(region_map(ours, ours[0].height, ours[0].width).ravel(), minlength=5)[1:]
    wanted = np.bincount(whole_map(rows).ravel(), minlength=5)[1:]
    areas = ", ".join(f"{name} {area}" for name, area in zip(NAMES, found, strict=True))
    print(
        f"real annotation, pixels: {areas}; {'the same' if (found == wanted).all() else f'WANTED {wanted}'}"
    )
    return int((found != wanted).any())
