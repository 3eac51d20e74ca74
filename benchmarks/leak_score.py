"""How much of the worn garment a mask gives away: a small network guesses sleeve and kind from masks alone.

python benchmarks/leak_score.py                          # the mask styles on drawn dolls; minutes on a CPU
python benchmarks/leak_score.py --category lower --styles box body_part
python benchmarks/leak_score.py --folder training/vitonhd --labels sleeves.csv     # a prepared folder's masks

The score is the accuracy on persons that the network never saw, beside chance: always guessing what is most
frequent. A model that is trained with masks that leak draws the old garment's shape, whatever it is given.
The row "silhouette" is the worn garment's outline itself, the most that a mask can tell. sleeves.csv has the
column name, of prompt.json's names, and a column for each thing to guess.
"""

import argparse
import csv
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from einops import rearrange
from torch import nn
from torch.nn.functional import cross_entropy

sys.path.insert(0, str(Path(__file__).parent.parent))

from annotator.agnostic import STYLES, Person, Pose, agnostic_mask  # noqa: E402
from annotator.agnostic.style import read_styles  # noqa: E402
from jobs.parallel import run_jobs  # noqa: E402
from paperdoll.labels import ATR, BODY_25, COCO_18, LIP, list_keypoints  # noqa: E402
from paperdoll.tryon import CATEGORIES, SIZE, arrange  # noqa: E402
from pictures.masks import open_mask  # noqa: E402
from pictures.pairs import read_items  # noqa: E402
from preparation.fittings.one_fitting import to_regions  # noqa: E402

MASKED = 512, 384  # (H, W) at which masks are made: the published styles' widths are meant for it
SEEN = 64, 48  # (H, W) at which the network sees them
THINGS = "sleeve", "kind"  # of a doll's garment
BATCH, RATE, MOST_SHIFTED = 64, 3e-3, 3
CHUNK = 50


@dataclass
class Masks:
    """Masks uint8 (n, 64, 48) by row of the table, and by thing the class of each person, int (n,)."""

    rows: dict
    classes: dict
    num_train: int


class MaskReader(nn.Module):
    """Guesses things from masks.

    Args:
        num_classes: of each thing, by name.
    """

    def __init__(self, num_classes: dict[str, int], width: int = 16):
        super().__init__()
        widths = [1, width, 2 * width, 4 * width]
        layers = []
        for before, after in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.GroupNorm(4, after), nn.SiLU()]
        self.trunk = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3))
        places = SEEN[0] // 8 * (SEEN[1] // 8)
        self.heads = nn.ModuleDict({n: nn.Linear(widths[-1] * places, c) for n, c in num_classes.items()})

    def forward(self, x):
        """Masks (b, 1, 64, 48) in [-1, 1] -> logits (b, classes) by thing."""
        features = self.trunk(x)
        return {name: head(features) for name, head in self.heads.items()}


def shrink(mask):
    """A mask bool (H, W) as the network sees it, uint8 (64, 48)."""
    return cv2.resize(mask.astype(np.uint8) * 255, SEEN[::-1], interpolation=cv2.INTER_AREA)


def to_input(masks):
    return rearrange(torch.from_numpy(masks), "b h w -> b 1 h w").float() / 127.5 - 1


def train_reader(masks, classes: dict, steps: int, seed: int = 0) -> MaskReader:
    """A network that was trained on masks uint8 (n, 64, 48) and their classes; the seed decides all of it."""
    torch.manual_seed(seed)
    reader = MaskReader({name: int(values.max()) + 1 for name, values in classes.items()})
    optimizer = torch.optim.AdamW(reader.parameters(), lr=RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    x, wanted = to_input(masks), {name: torch.from_numpy(values) for name, values in classes.items()}
    for _ in range(steps):
        chosen = torch.randint(len(x), (BATCH,))
        batch, shifts = x[chosen], torch.randint(-MOST_SHIFTED, MOST_SHIFTED + 1, (2,)).tolist()
        # neither a mirror image nor a small shift changes what is worn
        batch = torch.roll(batch.flip(3) if torch.rand(()) < 0.5 else batch, shifts, (2, 3))
        loss = sum(cross_entropy(logits, wanted[name][chosen]) for name, logits in reader(batch).items())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return reader.eval()


@torch.no_grad()
def measure_accuracy(reader, masks, classes: dict) -> dict[str, float]:
    """The share of masks uint8 (n, 64, 48) whose class the network guesses, by thing."""
    guesses = {name: logits.argmax(1).numpy() for name, logits in reader(to_input(masks)).items()}
    return {name: float((guesses[name] == values).mean()) for name, values in classes.items()}


def score_leak(masks, classes: dict, num_train: int, steps: int, seed: int = 0) -> dict[str, float]:
    """Accuracies by thing on all masks but the first `num_train`, of a network that was trained on these."""
    seen, held_out = ({n: v[part] for n, v in classes.items()} for part in _split(num_train))
    return measure_accuracy(train_reader(masks[:num_train], seen, steps, seed), masks[num_train:], held_out)


def find_chance(classes: dict, num_train: int) -> dict[str, float]:
    """How often what is most frequent in training is right, by thing."""
    seen, held_out = _split(num_train)
    return {n: float((v[held_out] == np.bincount(v[seen]).argmax()).mean()) for n, v in classes.items()}


def _split(num_train):
    return slice(0, num_train), slice(num_train, None)


def as_classes(labels: list[dict]) -> dict:
    """Texts by thing as class numbers int (n,); things that never differ are left out."""
    classes = {}
    for name in labels[0]:
        known, numbers = np.unique([row[name] for row in labels], return_inverse=True)
        if len(known) > 1:
            classes[name] = numbers
    return classes


def find_garment(regions, category: str):
    """Where a map of the standard regions (H, W) has a category's garment, bool (H, W)."""
    return np.isin(regions, read_styles()["regions"].groups["regions"]["garment"][category])


def describe_doll(worn, size) -> tuple[dict, dict]:
    """What mask rules are told of a drawn person: label maps by set, and poses by format."""
    labels = dict(cihp=worn.drawing.labels(LIP), atr=worn.drawing.labels(ATR))
    labels["regions"] = to_regions(labels["atr"], "atr")
    joints = dict(body25=BODY_25, coco18=COCO_18)
    keypoints = {form: list_keypoints(worn.keypoints, names, size) for form, names in joints.items()}
    return labels, {form: Pose.read(rows, form, size[0]) for form, rows in keypoints.items()}


def mask_doll(style: str, category: str, labels: dict, poses: dict):
    """The mask of a style bool (H, W), from the label set and the pose format that it reads."""
    chosen = read_styles()[style]
    names = [chosen.labels] if chosen.labels else [name for name in chosen.groups if name in labels][:1]
    pose = poses["body25" if names == ["cihp"] else "coco18"]
    return agnostic_mask(style, category, Person({name: labels[name] for name in names}, pose), MASKED)


def draw_chunk(styles, category: str, seed: int, start: int, stop: int):
    """(masks by row, labels) of some dolls."""
    masks, things = {row: [] for row in ("silhouette", *styles, "drawn")}, []
    for index in range(start, stop):
        fitting = arrange(seed, index, SIZE, category)
        worn = fitting.wear()
        labels, poses = describe_doll(worn, SIZE)
        masks["silhouette"].append(shrink(worn.drawing.mask(garment=1)))
        for style in styles:
            masks[style].append(shrink(mask_doll(style, category, labels, poses)))
        masks["drawn"].append(shrink(fitting.agnostic_mask()))
        things.append({name: getattr(fitting.garment, name) for name in THINGS})
    return masks, things


def draw_masks(styles, category: str, num_train: int, num_held_out: int, seed: int, workers: int) -> Masks:
    """The masks of dolls in each style, between their garments' silhouettes and masks by the body alone."""
    num = num_train + num_held_out
    jobs = [(styles, category, seed, a, min(a + CHUNK, num)) for a in range(0, num, CHUNK)]
    parts = list(run_jobs(draw_chunk, jobs, workers))
    rows = {row: np.stack(sum((masks[row] for masks, _ in parts), [])) for row in parts[0][0]}
    return Masks(rows, as_classes(sum((things for _, things in parts), [])), num_train)


def read_masks(folder, table) -> Masks:
    """The masks of a prepared folder's split train, then of its other splits, and what a table says of them.

    Raises:
        FileNotFoundError, ValueError: files are missing, or the table says nothing of persons in either part.
    """
    folder, items = read_items(folder)
    with open(table, newline="", encoding="utf-8") as file:
        said = {row.pop("name", ""): row for row in csv.DictReader(file)}
    items = [item for item in items if item.get("name") in said and "mask" in item]
    items.sort(key=lambda item: item["split"] != "train")
    num_train = sum(item["split"] == "train" for item in items)
    if not 0 < num_train < len(items):
        raise ValueError(f"{table} must name persons of {folder}'s split train and of another split")
    rows = {"silhouette": [], items[0]["mask_style"]: []}
    for item in items:
        mask = np.asarray(open_mask(folder / item["mask"]).convert("L")) >= 128
        rows[item["mask_style"]].append(shrink(mask))
        regions = np.asarray(open_mask(folder / item["source"]))
        rows["silhouette"].append(shrink(find_garment(regions, item["category"])))
    rows = {row: np.stack(masks) for row, masks in rows.items()}
    classes = as_classes([said[item["name"]] for item in items])
    if not classes:
        raise ValueError(f"{table} says the same of all persons: there is nothing to guess")
    return Masks(rows, classes, num_train)


def print_table(masks: Masks, steps: int, seed: int) -> None:
    """Accuracies beside chance, in Markdown."""
    chance = find_chance(masks.classes, masks.num_train)
    print(f"| mask | {' | '.join(masks.classes)} |\n|---|{'---|' * len(masks.classes)}")
    for row, pixels in masks.rows.items():
        found = score_leak(pixels, masks.classes, masks.num_train, steps, seed)
        print(f"| {row} | {' | '.join(f'{found[name]:.2f}' for name in masks.classes)} |", flush=True)
    print(f"| chance | {' | '.join(f'{chance[name]:.2f}' for name in masks.classes)} |")


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    # nobody draws DensePose's parts of a doll, which catvton reads
    able, text = [style for style in STYLES if style != "catvton"], "without them, all that the category has"
    add("--styles", nargs="+", choices=able, default=able, metavar="STYLE", help=text)
    add("--category", choices=tuple(CATEGORIES), default="upper", help="(default: %(default)s)")
    add("--num", type=int, default=2000, help="dolls to train on (default: %(default)s)")
    add("--held-out", type=int, default=1000, help="dolls to measure on (default: %(default)s)")
    add("--steps", type=int, default=800, help="of the network's training (default: %(default)s)")
    add("--seed", type=int, default=0, help="of dolls and network (default: %(default)s)")
    add("--workers", type=int, default=2, help="processes that draw (default: %(default)s)")
    add("--folder", type=Path, help="a prepared try-on folder, instead of dolls")
    add("--labels", type=Path, help="what its persons wear: a table with the column name")
    arguments = parser.parse_args()
    if (arguments.folder is None) != (arguments.labels is None):
        parser.error("--folder and --labels are given together")
    return arguments


def main():
    arguments, started = parse_arguments(), time.monotonic()
    torch.set_num_threads(1)  # the same sums on every machine; more would hardly help so small a network
    if arguments.folder:
        masks = read_masks(arguments.folder, arguments.labels)
    else:
        styles = [name for name in arguments.styles if arguments.category in read_styles()[name].categories]
        numbers = arguments.num, arguments.held_out, arguments.seed, arguments.workers
        masks = draw_masks(styles, arguments.category, *numbers)
    [num] = {len(values) for values in masks.classes.values()}
    print(f"{masks.num_train} persons to train on, {num - masks.num_train} to measure on\n")
    print_table(masks, arguments.steps, arguments.seed)
    print(f"\n{time.monotonic() - started:.0f} seconds")


if __name__ == "__main__":
    main()
