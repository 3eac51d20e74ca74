"""Small raw folders: iMaterialist's with every kind of fault, and photos with masks."""

import json

import numpy as np
from PIL import Image

from annotator.imaterialist import LABELS_FILE, rle_encode
from preparation import PrepareOptions
from preparation.checks import CHECKS

HEADER = "ImageId,EncodedPixels,Height,Width,ClassId\n"
TOP, BOTTOM, WHOLE, HEAD = 1, 2, 3, 4
UNCHECKED = tuple(f"{name}=off" for name in CHECKS if name != "incomplete")


def options(**more):
    """Small pictures, no check but for garments that a map lacks, one process."""
    return PrepareOptions(**dict(size=128, square=True, thresholds=UNCHECKED, test=0, workers=1) | more)


def box(top, left, bottom, right, shape):
    mask = np.zeros(shape, bool)
    mask[top:bottom, left:right] = True
    return mask


def photo(shape, seed=0):
    """Coarse noise, uint8 (h, w, 3)."""
    height, width = shape
    small = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    return np.kron(small, np.ones((8, 8, 1), np.uint8))[:height, :width]


def write_raw(folder, lines):
    """A raw iMaterialist folder without photos."""
    (folder / "train").mkdir(parents=True)
    (folder / "label_descriptions.json").write_bytes(LABELS_FILE.read_bytes())
    (folder / "train.csv").write_text(HEADER + "".join(line + "\n" for line in lines))
    return folder


def make_raw(folder):
    """Two good photos (one of them wide), and one for every way an image can be unusable: 11 rows."""
    shape = (128, 256)
    dress = rle_encode(box(8, 150, 120, 190, shape))
    lines = [
        f"good.jpg,{rle_encode(box(0, 0, 64, 64, (128, 128)))},128,128,1",
        f"good.jpg,{rle_encode(box(0, 0, 9, 9, (128, 128)))},128,128,31",
        *(f"{name}.jpg,{dress},128,256,10_8" for name in ("wide", "missing", "broken", "turned")),
        f"broken.jpg,{dress},128,256,31",
        f"spoilt.jpg,{dress},128,256,10",
        "spoilt.jpg,1 2 3,128,256,6",
        f"small.jpg,{rle_encode(box(0, 0, 9, 9, (64, 96)))},64,96,6",
        f"strange.jpg,{dress},128,256,99",
    ]
    write_raw(folder, lines)
    sizes = {"good": (128, 128), "wide": shape, "turned": shape[::-1], "spoilt": shape}
    for number, (name, size) in enumerate({**sizes, "small": (64, 96), "alone": (9, 9)}.items()):
        pixels = photo(size, number) // 4
        if name == "wide":
            pixels[8:120, 150:190] += 180
        Image.fromarray(pixels).save(folder / "train" / f"{name}.jpg", quality=95)
    whole = (folder / "train" / "wide.jpg").read_bytes()
    (folder / "train" / "broken.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "captions.csv").write_text('ImageId,caption\ngood.jpg,"a person, smiling"\nwide.jpg,\n')
    return folder


def make_many(folder, num_photos):
    """A raw iMaterialist folder of photos that are all good: a top and a bottom each."""
    shape, lines = (160, 144), []
    top, bottom = (rle_encode(box(rows, 40, rows + 60, 100, shape)) for rows in (10, 80))
    for index in range(num_photos):
        lines += [f"{index:04d}.jpg,{top},160,144,1", f"{index:04d}.jpg,{bottom},160,144,6"]
    write_raw(folder, lines)
    for index in range(num_photos):
        Image.fromarray(photo(shape, index)).save(folder / "train" / f"{index:04d}.jpg")
    return folder


def all_files(folder):
    """Contents of all files by their path in the folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def read_reasons(out):
    """The reasons of rejected.csv by image, joined."""
    import csv

    reasons = {}
    with open(out / "rejected.csv", newline="") as file:
        for entry in csv.DictReader(file):
            reasons.setdefault(entry["image"], []).append(f"{entry['line']}: {entry['reason']}")
    return reasons
