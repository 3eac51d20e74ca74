"""Whether interrogated captions name the right garments in the right colours, by the dolls' annotation.

python benchmarks/caption_dolls.py runs/doll_clip      # of doll_clip.py; a minute on a CPU

The dolls are held out. With the map, mode classic says a garment for each region that the map has; without
it, mode fast is asked for the one best label, and mode best for a prompt of up to four. --sheet draws some.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
SEED = 79  # of the dolls: the CLIP has not seen these
LABELS = Path(__file__).with_name("doll_labels.yaml")
BATCH = 32


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clip", help="folder of the CLIP")
    parser.add_argument("--num", type=int, default=300, help="dolls (default: %(default)s)")
    parser.add_argument("--sheet", metavar="PNG", help="draw eight dolls with their captions")
    return parser.parse_args()


def draw_dolls(num):
    """(pictures uint8 (n, 128, 128, 3), lines with their regions, the garments of each)."""
    from dataclasses import asdict

    import numpy as np
    from doll_clip import garments_of

    from paperdoll import draw

    dolls = [draw(SEED, index) for index in range(num)]
    lines = [{"regions": sorted({i.region for i in doll.instances} - {None})} for doll in dolls]
    rows = [[asdict(i) | {"category": i.class_id} for i in doll.instances] for doll in dolls]
    return np.stack([doll.photo for doll in dolls]), lines, [garments_of(row) for row in rows]


def say(folder, pictures, lines, **options):
    """The phrases of each picture's caption, with its map's regions where `lines` are given."""
    from annotator.caption import load_captioner
    from annotator.caption.captioners import InterrogatorOptions

    captioner = load_captioner("clip_interrogator", folder, InterrogatorOptions(words=str(LABELS), **options))
    said = []
    for start in range(0, len(pictures), BATCH):
        batch = pictures[start : start + BATCH]
        part = lines and lines[start : start + BATCH]
        said += captioner.caption_lines(part, batch) if part else captioner.caption(batch)
    return [[text for text, _ in caption.phrases] for caption in said]


def percent(values) -> str:
    values = list(values)
    return f"{100 * sum(values) / len(values):.1f} %"


def measure(folder, pictures, lines, garments):
    """(text, value) of each figure, and what is said with the map."""
    named = say(folder, pictures, lines, mode="classic")
    one = say(folder, pictures, None, mode="fast", max_flavors=1)
    chained = say(folder, pictures, None, mode="best", max_flavors=4, min_flavors=0)
    pairs = [(text, own) for texts, own in zip(named, garments, strict=True) for text in texts]
    best = [(text, own) for texts, own in zip(chained, garments, strict=True) for text in texts]
    doll = zip(named, garments, strict=True)
    return [
        (
            "with the map: dolls whose every region has the right garment and colour",
            percent(own.issuperset(t) for t, own in doll),
        ),
        ("with the map: phrases that are right", percent(text in own for text, own in pairs)),
        (
            "... whose garment is right",
            percent(any(text.split()[1] == g.split()[1] for g in own) for text, own in pairs),
        ),
        (
            "... whose colour is right",
            percent(any(text.split()[0] == g.split()[0] for g in own) for text, own in pairs),
        ),
        (
            "without the map: dolls of which the best label names a garment and its colour",
            percent(t[0] in own for t, own in zip(one, garments, strict=True)),
        ),
        ("without the map, mode best: phrases that are right", percent(text in own for text, own in best)),
    ], named


def draw_sheet(path, pictures, named, garments) -> None:
    """Eight dolls, under each what is said of it; what is wrong is red."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 4, figsize=(11, 7), facecolor="white")
    for axis, picture, texts, own in zip(axes.flat, pictures, named, garments, strict=False):
        axis.imshow(picture)
        axis.set_axis_off()
        for row, text in enumerate(texts):
            colour = "black" if text in own else "firebrick"
            axis.text(0.5, -0.09 - 0.1 * row, text, transform=axis.transAxes, ha="center", color=colour)
    figure.subplots_adjust(hspace=0.5, bottom=0.16, top=0.98, left=0.02, right=0.98)
    figure.savefig(path, dpi=80)


def main():
    arguments = parse_arguments()
    pictures, lines, garments = draw_dolls(arguments.num)
    start = time.monotonic()
    figures, named = measure(arguments.clip, pictures, lines, garments)
    print(f"{arguments.num} held-out dolls (seed {SEED}), {time.monotonic() - start:.0f} s\n")
    print("| captions of a small CLIP | |\n|---|---|")
    for text, value in figures:
        print(f"| {text} | {value} |")
    if arguments.sheet:
        draw_sheet(arguments.sheet, pictures, named, garments)
        print(f"\nlook at {arguments.sheet}")


if __name__ == "__main__":
    main()
