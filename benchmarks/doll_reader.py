"""A network that reads dolls: where eyes, mouths and garments of each kind are. It takes no part in training.

python benchmarks/doll_reader.py        # trains it: runs/doll_reader.safetensors, minutes on a CPU
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
# tops and sweaters may look alike
KINDS = (
    ("top", "sweater"), ("shirt",), ("jacket",), ("vest",), ("pants",), ("shorts",), ("skirt",), ("dress",),
    ("coat",), ("jumpsuit",), ("beanie",), ("hat",), ("cap",), ("headband",), ("sunglasses",),
)  # fmt: skip
NAMES = ("nothing", "eyes", "mouth", *(kinds[0] for kinds in KINDS))
READER = Path("runs/doll_reader.safetensors")
SEED = 31


def things(doll):
    """What each pixel of a doll shows, uint8 (H, W), a number of NAMES."""
    import numpy as np

    paints, numbers = doll.drawing.paints, {k: n for n, kinds in enumerate(KINDS, 3) for k in kinds}
    ids = np.zeros(len(paints), np.uint8)
    for i, paint in enumerate(paints):
        if paint.label in ("eyes", "mouth"):
            ids[i] = NAMES.index(paint.label)
        elif paint.garment:
            ids[i] = numbers.get(doll.outfit[paint.garment - 1].kind, 0)
    return ids[doll.drawing.middle()]


def number_of(kind: str) -> int:
    """The number in NAMES of a garment's kind."""
    return next(n for n, kinds in enumerate(KINDS, 3) if kind in kinds)


def has_face(ids) -> bool:
    """Whether two eyes lie side by side with a mouth below and between, in things (H, W)."""
    import cv2
    import numpy as np

    num, _, _, middles = cv2.connectedComponentsWithStats((ids == 1).astype(np.uint8))
    mouth = np.argwhere(ids == 2)
    if num < 3 or len(mouth) < 3:
        return False
    (y, x), eyes = mouth.mean(axis=0), middles[1:]
    left, right = eyes[eyes[:, 0] < x], eyes[eyes[:, 0] >= x]
    return len(left) > 0 and len(right) > 0 and eyes[:, 1].max() < y + 1


def kinds_shown(ids, doll) -> tuple[int, int]:
    """(right, named): garments of a region that the caption names, and those whose kind is shown.

    It is shown where at least 20 pixels have it, more than any other kind of that region has.
    """
    import numpy as np

    regions = {"top": range(3, 7), "bottom": range(7, 10), "whole": range(10, 13), "head": range(13, 18)}
    counts = np.bincount(ids.ravel(), minlength=len(NAMES))
    right = named = 0
    for garment in named_garments(doll):
        number = number_of(garment.kind)
        rivals = [counts[n] for n in regions[garment.region]]
        named += 1
        right += counts[number] >= 20 and counts[number] == max(rivals)
    return right, named


def named_garments(doll):
    """The garments that a doll's caption names."""
    seen = {i.region for i in doll.instances if i.region}
    return [garment for garment in doll.outfit if garment.region in seen]


def train(path: Path, num_dolls: int, num_steps: int):
    """Train the reader on dolls and distorted copies of them."""
    import numpy as np
    import pytorch_lightning as pl
    import torch
    from torch.utils.data import TensorDataset

    from annotator.segment import PixelSegmenter
    from learning.segmenter.distorted_dolls import DistortedDolls
    from learning.segmenter.train import Dolls, SegmenterTraining, fit
    from paperdoll import draw

    pl.seed_everything(0, verbose=False)
    dolls = [draw(SEED, i) for i in range(num_dolls)]
    photos, maps = np.stack([d.photo for d in dolls]), np.stack([things(d) for d in dolls])
    items = DistortedDolls(photos[:-64], maps[:-64], 0, num_steps * 16)
    held_out = TensorDataset(torch.from_numpy(photos[-64:]), torch.from_numpy(maps[-64:]))
    reader = PixelSegmenter.fresh(NAMES, 128)
    training = SegmenterTraining(reader, 4e-3, num_steps)
    fit(training, Dolls(items, held_out, 16, 100), path.parent / f"{path.stem}_{num_steps}", "bf16-mixed")
    reader.as_saved().save(path, {})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=READER, help="default: %(default)s")
    parser.add_argument("--dolls", type=int, default=3000, help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=2000, help="default: %(default)s")
    arguments = parser.parse_args()
    train(arguments.out, arguments.dolls, arguments.steps)
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
