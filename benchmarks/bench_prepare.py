"""CPU seconds and memory per item: decoding whole masks each epoch, preparing once, loading what is prepared.

    python benchmarks/make_raw.py data/raw
    python benchmarks/bench_prepare.py data/raw                  # some minutes

The straightforward way (straightforward.py) decodes all masks and the photo at full size for every item in
every epoch. Ours prepares a photo once, checks and measures included, and loads two small files in every
epoch. Each way runs in a process of its own with one thread, in turns.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT)]
REAL = ROOT / "tests" / "helpers" / "data" / "imaterialist" / "train.csv"
REAL_PHOTOS = 45195
CLASSES = [(0, 1), (1, 3), (3, 6), (6, 12), (12, 25)]  # megapixels


class Clock:
    """CPU seconds of each item, and the peak of memory before the first and after the last, in MiB."""

    def __init__(self):
        self.seconds, self.before = {}, self.peak()

    def run(self, name: str, function, *arguments):
        start = time.process_time()
        result = function(*arguments)
        self.seconds[name] = time.process_time() - start
        return result

    @staticmethod
    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    def report(self) -> None:
        total = time.process_time()
        print(json.dumps(dict(seconds=self.seconds, total=total, before=self.before, peak=self.peak())))


def measure(way: str, raw: Path, out: Path) -> None:
    """Run one way here on all photos of a raw folder, and print what it took."""
    if way == "straightforward":
        import cv2
        from raw_rows import read_rows
        from straightforward import straightforward_item

        cv2.setNumThreads(1)
        rows, clock = read_rows(raw / "train.csv"), Clock()
        for image, own in rows.items():
            clock.run(image, straightforward_item, raw / "train" / image, own)
    elif way == "prepare":
        import imagehash
        from PIL import Image

        from preparation import PrepareOptions, prepare_folder
        from preparation.checks import CHECKS
        from preparation.one_photo import Job

        # or the first photo pays for what this imports
        imagehash.phash(Image.new("L", (32, 32)))
        clock, prepare = Clock(), Job.prepare
        Job.prepare = lambda job, example: clock.run(example.photo.name, prepare, job, example)
        # nothing left out, so that all can be loaded
        options = PrepareOptions(workers=1, thresholds=tuple(f"{name}=off" for name in CHECKS))
        prepare_folder(raw, out, options)
    else:
        import cv2

        from tutorial_dataset import MyDataset

        cv2.setNumThreads(1)
        dataset = MyDataset(out)
        clock = Clock()
        for index, item in enumerate(dataset.data):
            clock.run(item["photo"], dataset.__getitem__, index)
    clock.report()


def run(way: str, raw: Path, out: Path) -> dict:
    """What `measure` prints in a process of its own."""
    command = [sys.executable, __file__, str(raw), "--measure", way, str(out)]
    single = {**os.environ, "OMP_NUM_THREADS": "1"}
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=single).stdout
    return json.loads(lines.splitlines()[-1])


def spread(values, form: str) -> str:
    """The median of all rounds, and the smallest and largest."""
    low, middle, high = (format(v, form) for v in (min(values), float(np.median(values)), max(values)))
    return f"{middle} ({low} to {high})"


def print_tables(rounds: list[dict], megapixels: dict[str, float]) -> None:
    print("\n| megapixels | photos | straightforward, ms | prepare, ms | load, ms | to prepare | to load |")
    print("|---|---|---|---|---|---|---|")
    for low, high in [*CLASSES, (0, 99)]:
        images = [image for image, size in megapixels.items() if low <= size < high]
        if not images:
            continue
        costs = {
            way: [1000 * np.mean([r[way]["seconds"][image] for image in images]) for r in rounds]
            for way in rounds[0]
        }
        ratios = {
            way: [b / c for b, c in zip(costs["straightforward"], costs[way], strict=True)]
            for way in ("prepare", "load")
        }
        title = "all" if high == 99 else f"{low} to {high}"
        cells = [f"{np.median(values):.1f}" for values in costs.values()]
        cells += [spread(values, ".1f") for values in ratios.values()]
        print(f"| {title} | {len(images)} | {' | '.join(cells)} |")
    print("\n| way | peak memory, MiB | before the first item |\n|---|---|---|")
    for way in rounds[0]:
        peaks, before = ([r[way][key] for r in rounds] for key in ("peak", "before"))
        print(f"| {way} | {max(peaks):.0f} | {max(before):.0f} |")
    print_projection(rounds, len(megapixels))


def print_projection(rounds: list[dict], num: int) -> None:
    """What it comes to over some epochs, and for all photos of the real set."""
    each = {way: [sum(r[way]["seconds"].values()) / num for r in rounds] for way in rounds[0]}
    for epochs in (1, 5, 20):
        costs = zip(*each.values(), strict=True)
        ratios = [epochs * b / (prepare + epochs * load) for b, prepare, load in costs]
        print(f"prepared once, then {epochs} x loaded: {spread(ratios, '.1f')} times less CPU time")
    rest = [r["prepare"]["total"] - num * cost for r, cost in zip(rounds, each["prepare"], strict=True)]
    print(f"prepare: {spread([1 / cost for cost in each['prepare']], '.1f')} photos/s on one core")
    print(f"    and {spread(rest, '.1f')} s for imports, tables and the report of {num} photos")
    for cores in (2, 8, 16):
        hours = [cost * REAL_PHOTOS / cores / 3600 for cost in each["prepare"]]
        print(f"{REAL_PHOTOS} photos on {cores} cores, if linear in cores: {spread(hours, '.2f')} h")


def print_real(rounds: int) -> None:
    """The masks of the one real annotation that the repository has: 9 of a photo of 5214 x 3676."""
    from raw_rows import read_rows
    from straightforward import SIZE, straightforward_hint

    from annotator.imaterialist import Row, find_painted_boxes, region_map_at
    from pictures.crops import choose_crops, list_buckets
    from pictures.regions import Regions
    from pictures.unusable import Box

    [rows] = read_rows(REAL).values()

    def ours():
        parsed = [Row(image, rle, int(h), int(w), int(c.split("_")[0]), ()) for image, rle, h, w, c in rows]
        regions = Regions.read()
        boxes = [Box(*box) for box in find_painted_boxes(parsed, regions)]
        [crop] = choose_crops(parsed[0].height, parsed[0].width, boxes, list_buckets(SIZE), 0.1, 1.5)
        return region_map_at(parsed, crop, regions)

    clock, ratios = Clock(), []
    for _ in range(rounds):
        clock.run("straightforward", straightforward_hint, rows)
        clock.run("ours", ours)
        ratios.append(clock.seconds["straightforward"] / clock.seconds["ours"])
    milliseconds = ", ".join(f"{way} {1000 * s:.1f} ms" for way, s in clock.seconds.items())
    print(f"\nmap of the real annotation, 19 megapixels: {milliseconds}; ratio {spread(ratios, '.1f')}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("raw", type=Path, help="raw folder of make_raw.py")
    parser.add_argument("--photos", type=int, default=150, help="drawn from it (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        return measure(arguments.measure[0], arguments.raw, Path(arguments.measure[1]))
    from raw_rows import make_sample

    with tempfile.TemporaryDirectory() as folder:
        raw, rounds = Path(folder) / "raw", []
        megapixels = make_sample(arguments.raw, raw, arguments.photos)
        print(f"{len(megapixels)} photos of {np.mean(list(megapixels.values())):.1f} megapixels on average")
        for number in range(arguments.rounds):
            out = Path(folder) / f"out{number}"
            rounds.append({way: run(way, raw, out) for way in ("straightforward", "prepare", "load")})
            totals = {way: round(sum(r["seconds"].values()), 1) for way, r in rounds[-1].items()}
            print(f"round {number + 1}: CPU seconds {totals}, load {os.getloadavg()[0]:.1f}", flush=True)
        print_tables(rounds, megapixels)
    print_real(arguments.rounds)
    return None


if __name__ == "__main__":
    main()
