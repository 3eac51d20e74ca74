"""A garment that is read once beside one that is read anew at every step: equal pictures, and what it costs.

    python benchmarks/prove_reference.py                      # minutes on any CPU
    python benchmarks/prove_reference.py --checkpoint runs/tryon_dolls/tryon.safetensors

Recipes whose garment depends neither on the timestep nor on the person can read it once a picture, and
keep its keys and values. Both ways draw the same people from the same noise, in turns, in one process of one
thread; a ratio is that of the same round, in CPU seconds of the process. Without a checkpoint the recipes are
drawn with as grafted: neither the time nor the equality asks what is drawn well.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "helpers")]

from cldm.tryon.model import tryon_denoiser  # noqa: E402
from cldm.weights.graft import add_control  # noqa: E402
from cldm.weights.load_tryon import load_tryon  # noqa: E402
from generation import fitting  # noqa: E402
from small_fittings import draw_fittings  # noqa: E402
from tutorial_tryon_dataset import TryonDataset  # noqa: E402

BASE = ROOT / "models" / "tiny" / "base.safetensors"
RECIPES = "joint", "fastfit"


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", help="a trained model in place of the grafted recipes")
    parser.add_argument("--num", type=int, default=8, help="people (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=20, help="of DDIM (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    return parser.parse_args()


def read_anew(model, encoded, guidance=None):
    """A denoiser as `tryon_denoiser`'s, which reads the garment in every call."""
    return lambda x, t: tryon_denoiser(model, encoded, guidance)(x, t)


WAYS = {"read once": tryon_denoiser, "read at every step": read_anew}


def draw(model, items, settings, way):
    """(pictures, CPU seconds) of a way."""
    fitting.tryon_denoiser = WAYS[way]
    begun = time.process_time()
    try:
        pictures = fitting.put_on(model, items, range(len(items)), settings)
    finally:
        fitting.tryon_denoiser = tryon_denoiser
    return pictures, time.process_time() - begun


def compare(model, items, settings, rounds) -> dict:
    """Times a picture of both ways, their ratio, and by how much their pictures differ at most, of 255."""
    seconds, once, anew = {way: [] for way in WAYS}, *WAYS
    for turn in range(rounds):
        drawn = {}
        for way in WAYS if turn % 2 else reversed(WAYS):
            drawn[way], spent = draw(model, items, settings, way)
            seconds[way].append(spent / len(items))
        differs = int(np.abs(drawn[once].astype(int) - drawn[anew]).max())
    ratios = [a / b for a, b in zip(seconds[once], seconds[anew], strict=True)]
    times = {way: f"{statistics.median(values):.2f}" for way, values in seconds.items()}
    return times | dict(ratio=f"{statistics.median(ratios):.2f}", differs=differs)


def load(recipe, folder):
    path = folder / f"{recipe}.safetensors"
    add_control(BASE, str(path), str(ROOT / "models" / f"tryon_tiny_{recipe}.yaml"))
    return load_tryon(path).model


def main():
    arguments = parse_arguments()
    torch.set_num_threads(1)
    settings = fitting.FittingSettings(steps=arguments.steps)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        dataset = TryonDataset(draw_fittings(folder, 1, arguments.num), "test")
        items = [dataset[i] for i in range(len(dataset))]
        named = {arguments.checkpoint: lambda: load_tryon(arguments.checkpoint).model}
        if arguments.checkpoint is None:
            named = {recipe: lambda recipe=recipe: load(recipe, folder) for recipe in RECIPES}
        print("| recipe | " + " | ".join(f"{way}, CPU s a picture" for way in WAYS), end="")
        print(" | ratio | greatest difference of 255 |\n|---|---|---|---|---|")
        for name, load_model in named.items():
            found = compare(load_model(), items, settings, arguments.rounds)
            print(f"| {name} | {' | '.join(map(str, found.values()))} |", flush=True)


if __name__ == "__main__":
    main()
