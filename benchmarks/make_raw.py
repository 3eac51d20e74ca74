"""A raw iMaterialist folder of drawn photos: the real set's sizes and rows, and faults of every kind, known.

    python benchmarks/make_raw.py data/raw                        # 1,000 photos, 8 minutes on 2 cores
    python benchmarks/make_raw.py data/raw_small --photos 120     # a minute

Sizes go from 375 x 500 to 6000 x 4000; between these facts of the real set, how many photos are how large is
assumed. 7.3 rows per photo, 74 in one of them, attributes in 15 % of the photos. About one photo in a hundred
has each of the faults in raw_faults.py; OUT/faults.csv lists them (line 0: the photo as a whole).
Run it again to go on after an interruption. A folder holds what its arguments say, whatever the workers.
"""

import argparse
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import raw_faults as faults  # noqa: E402
import raw_scene as scenes  # noqa: E402

from annotator.imaterialist import rle_encode  # noqa: E402
from jobs.parallel import num_cores, run_jobs  # noqa: E402
from jobs.progress import Progress  # noqa: E402
from jobs.whole_files import write_atomically  # noqa: E402
from pictures.regions import REGIONS_FILE  # noqa: E402

HEADER = "ImageId,EncodedPixels,Height,Width,ClassId"
# megapixels from, to, and the share of photos between them
SIZES = [(0.19, 0.19, 0.05), (0.5, 1, 0.13), (1, 3, 0.42), (3, 6, 0.2), (6, 12, 0.12), (12, 24, 0.07)]
SIZES += [(24, 24, 0.01)]
ASPECTS, ASPECT_SHARES = (2 / 3, 3 / 4, 4 / 5, 1, 4 / 3, 3 / 2), (0.35, 0.25, 0.1, 0.05, 0.1, 0.15)
MOST_ROWS, SHORTEST = 74, 375
# kinds that show only in small photos, width / height in [from, to], and their megapixels
OF_SIZE = {
    "tiny": (0.01, 0.03),
    "jpeg_wreck": (0.3, 1.2),
    "wreck_saved_again": (0.3, 0.7),
    "person_apart": (0.2, 0.26),
    "person_near": (0.6, 2),
}


@dataclass(frozen=True)
class Shot:
    """One photo to draw: the number of its scene, its size, its fault, and whose copy it is."""

    image: str
    scene: int
    height: int
    width: int
    kind: str = "good"
    of: str = ""


def plan(num_photos: int, seed: int) -> list[Shot]:
    """All photos, by the names of their files: each kind of fault on a hundredth of them, the rest good."""
    count = max(1, round(num_photos / 100))
    kinds = [kind for kind in faults.KINDS for _ in range(count)]
    kinds = ["good"] * (num_photos - len(kinds)) + kinds
    if kinds.count("good") < 5 * count:
        raise ValueError(f"--photos {num_photos} leaves no room for good ones: give 60 at least")
    shots = []
    for index, kind in enumerate(kinds):
        rng = np.random.default_rng([seed, index])
        image = hashlib.md5(f"{seed} {index}".encode()).hexdigest() + ".jpg"
        if kind in faults.COPIES:
            # each original is copied once, so that one of the two must stay; no copy is too small to be used
            original = next(s for s in shots if s.kind == "good" and 0.9e6 < s.height * s.width < 6e6)
            shots.remove(original)
            shots.append(Shot(original.image, original.scene, original.height, original.width, "original"))
            shots.append(Shot(image, original.scene, original.height, original.width, kind, original.image))
        else:
            shots.append(Shot(image, index, *_size(rng, kind, index), kind))
    return sorted(shots, key=lambda shot: shot.image)


def _size(rng, kind: str, index: int) -> tuple[int, int]:
    """Height and width of a photo; the first ones are the real set's extremes."""
    if kind == "good" and index < 4:
        return [(500, 375), (4000, 6000), (6000, 4000), (375, 500)][index]
    low, high, _ = SIZES[rng.choice(len(SIZES), p=[share for *_, share in SIZES])]
    low, high = OF_SIZE.get(kind, (low, high))
    pixels, aspect = (
        1e6 * np.exp(rng.uniform(np.log(low), np.log(high))),
        rng.choice(ASPECTS, p=ASPECT_SHARES),
    )
    if kind == "person_apart":
        aspect = 1.9
    elif kind in faults.GOOD_TURNS:
        # a turned square has the size of one that is not
        aspect = 2 / 3
    shortest = SHORTEST if kind not in OF_SIZE else 0
    pixels = max(pixels, shortest**2 * max(aspect, 1 / aspect))
    return round((pixels / aspect) ** 0.5), round((pixels * aspect) ** 0.5)


def compose(rng, shot: Shot, seed: int) -> scenes.Scene:
    """The photo before anything is spoilt; person by person what is annotated."""
    pixels = scenes.background(rng, shot.height, shot.width)
    if shot.kind == "only_bag":
        persons = [scenes.add_bag(pixels, rng)]
    else:
        ends, share = [(0.02, 0.98)], rng.uniform(0.55, 0.95)
        if shot.kind == "person_apart":
            ends, share = [(0.18, 0.4), (0.5, 0.7)], 0.42
        elif shot.kind == "person_near" or rng.random() < 0.1:
            ends = [(0.02, 0.5), (0.5, 0.98)]
        persons = [
            scenes.add_person(pixels, rng, seed, 4 * shot.scene + number, room, share)
            for number, room in enumerate(ends)
        ]
        if shot.scene == 4:
            persons[0] += scenes.add_details(pixels, rng, persons[0], 58, scenes.RIVET)
            persons[0] += scenes.add_details(pixels, rng, persons[0], MOST_ROWS - sum(map(len, persons)))
        elif rng.random() < 0.4:
            persons[0] += scenes.add_details(pixels, rng, persons[0], int(rng.integers(1, 5)))
    scenes.add_grain(pixels, rng)
    return scenes.Scene(pixels, persons)


def make_photo(out: Path, shot: Shot, seed: int) -> None:
    """Write a photo, and then, as the sign that it is there, its rows and the number of the spoilt one."""
    rng, own = np.random.default_rng([seed, shot.scene, 1]), np.random.default_rng([seed, shot.scene, 2])
    has_attributes, quality = rng.random() < 0.15, int(rng.integers(85, 96))
    scene = faults.spoil_scene(shot.kind, own, compose(rng, shot, seed))
    if shot.of:
        quality = int(own.integers(70, 84)) if shot.kind != "copy_exact" else quality
    persons = scene.persons[:1] if shot.kind in ("person_apart", "person_near") else scene.persons
    height, width = scene.pixels.shape[:2]
    rows = [
        [
            shot.image,
            rle_encode(thing.full_mask(height, width)),
            str(height),
            str(width),
            "_".join(map(str, (thing.category, *(thing.attributes if has_attributes else ())))),
        ]
        for things in persons
        for thing in things
    ]
    spoilt = None
    if shot.kind in faults.ROW_FAULTS:
        # garments come first, parts of them last
        spoilt = int(own.choice([0, len(rows) - 1]))
        rows[spoilt] = faults.spoil_row(shot.kind, own, rows[spoilt])
    data = faults.photo_file(shot.kind, own, scene.pixels, quality)
    if data is not None:
        write_atomically(out / "train" / shot.image, data)
    rows = [] if shot.kind == "no_rows" else [",".join(row) for row in rows]
    write_atomically(out / ".rows" / f"{shot.image}.json", json.dumps([rows, spoilt]).encode())


def make_chunk(out: Path, shots: list[Shot], seed: int) -> int:
    cv2.setNumThreads(1)
    for shot in shots:
        make_photo(out, shot, seed)
    return len(shots)


def write_tables(out: Path, shots: list[Shot]) -> None:
    """train.csv and faults.csv of photos that are all there."""
    lines, truth = [HEADER], ["image,line,kind,of"]
    for shot in shots:
        rows, spoilt = json.loads((out / ".rows" / f"{shot.image}.json").read_text())
        line = 0 if spoilt is None else len(lines) + 1 + spoilt
        lines += rows
        if shot.kind not in ("good", "original"):
            truth.append(f"{shot.image},{line},{shot.kind},{shot.of}")
    labels = REGIONS_FILE.with_name("label_descriptions.json")
    write_atomically(out / "label_descriptions.json", labels.read_bytes())
    write_atomically(out / "faults.csv", ("\n".join(truth) + "\n").encode())
    write_atomically(out / "train.csv", ("\n".join(lines) + "\n").encode())


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--photos", type=int, default=1000, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--workers", type=int, default=num_cores(), help="default: %(default)s")
    arguments = parser.parse_args()
    out, shots = arguments.out, plan(arguments.photos, arguments.seed)
    for folder in ("train", ".rows"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    missing = [shot for shot in shots if not (out / ".rows" / f"{shot.image}.json").exists()]
    chunks = [missing[i : i + 8] for i in range(0, len(missing), 8)]
    progress = Progress(str(out), len(shots), "photos", len(shots) - len(missing))
    for done in run_jobs(make_chunk, ((out, chunk, arguments.seed) for chunk in chunks), arguments.workers):
        progress.add(done)
    write_tables(out, shots)


if __name__ == "__main__":
    main()
