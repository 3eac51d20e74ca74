"""Rows of a raw folder, read without any check, and a smaller raw folder of some of its photos."""

from pathlib import Path

import numpy as np

COMMON_ROWS = 30


def read_rows(train_csv: Path) -> dict[str, list[list[str]]]:
    """The fields of all rows by image."""
    rows = {}
    for line in train_csv.read_text().splitlines()[1:]:
        fields = line.split(",")
        rows.setdefault(fields[0], []).append(fields)
    return rows


def make_sample(raw: Path, folder: Path, num: int) -> dict[str, float]:
    """A raw folder of some photos of another that have no fault; megapixels by image."""
    faulty = {line.split(",")[0] for line in (raw / "faults.csv").read_text().splitlines()[1:]}
    lines = (raw / "train.csv").read_text().splitlines()
    rows = {image: own for image, own in read_rows(raw / "train.csv").items() if image not in faulty}
    # the photo with most instances costs the baseline seconds, and there is one of its kind in 45,195
    images = sorted(image for image, own in rows.items() if len(own) <= COMMON_ROWS)
    chosen = {images[i] for i in np.random.default_rng(0).permutation(len(images))[:num]}
    (folder / "train").mkdir(parents=True)
    for image in chosen:
        (folder / "train" / image).symlink_to((raw / "train" / image).resolve())
    kept = [line for line in lines[1:] if line.split(",", 1)[0] in chosen]
    (folder / "train.csv").write_text("\n".join([lines[0], *kept]) + "\n")
    (folder / "label_descriptions.json").symlink_to((raw / "label_descriptions.json").resolve())
    return {image: int(rows[image][0][2]) * int(rows[image][0][3]) / 1e6 for image in chosen}
