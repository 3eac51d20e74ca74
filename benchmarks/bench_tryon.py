"""One training step of each tiny try-on recipe beside the plain control's: what trains, time, memory, cache.

    python benchmarks/bench_tryon.py                    # some minutes on any CPU
    python benchmarks/bench_tryon.py --clock cpu        # where others compute on the machine, too

Pictures are noise, as no time depends on what they show. Steps of all recipes take turns in one process of
one thread, and a ratio is that of two steps of the same round. A step is forward, backward and AdamW. Peak
memory is that of a process for each recipe, beyond what it holds before the model is built.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import default_collate

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT), str(ROOT / "tests" / "helpers")]

from train_child import peak, reset_peak  # noqa: E402

from batches.cache.build import build_cache  # noqa: E402
from batches.cache.items import CachedFittings, CachedItems  # noqa: E402
from cldm.model import load_model  # noqa: E402
from cldm.tryon.conditions import GarmentReference, ImageTokens, StackedGarment  # noqa: E402
from cldm.weights.graft import add_control  # noqa: E402
from tutorial_dataset import MyDataset  # noqa: E402
from tutorial_tryon_dataset import TryonDataset  # noqa: E402

BASE = ROOT / "models" / "tiny" / "base.safetensors"
CONTROL = ROOT / "models" / "cldm_tiny.yaml"
RECIPES = [CONTROL, *sorted((ROOT / "models").glob("tryon_tiny_*.yaml"))]
SOURCES = "cached", "pictures"
TIMES = dict(zero="once at t = 0", sync="at every t", none="once, without t")
MIB = 2**10  # a GiB's


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=128, help="pixels a side (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=4, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=9, help="default: %(default)s")
    text = "wall seconds or the process's CPU seconds (default: %(default)s)"
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help=text)
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def write_folder(folder, size, num):
    """A training folder of noise, for controls and for try-on."""
    rng, lines = np.random.default_rng(0), []
    for i in range(num):
        line = {key: f"{key}{i}.png" for key in ("source", "target", "garment", "mask")}
        for key, name in line.items():
            picture = rng.integers(0, 255, (size, size, 3)).astype(np.uint8)
            cv2.imwrite(str(folder / name), picture // 128 * 255 if key == "mask" else picture)
        lines.append(line | dict(name=str(i), prompt=f"a person in coat {i}", size=[size, size]))
    (folder / "prompt.json").write_text("\n".join(map(json.dumps, lines)))


def prepare(recipe, folder):
    """Grafted weights, a batch of each of SOURCES, and what is cached, in folder/NAME."""
    out = folder / recipe.stem
    out.mkdir()
    add_control(BASE, out / "ini.safetensors", str(recipe))
    data, cached = (MyDataset, CachedItems) if recipe == CONTROL else (TryonDataset, CachedFittings)
    dataset = data(folder)
    index = json.loads(build_cache(dataset, out / "ini.safetensors", recipe).read_text())
    items = dict(cached=cached(dataset, out / "ini.safetensors", recipe), pictures=dataset)
    torch.save({name: default_collate([own[i] for i in range(len(own))]) for name, own in items.items()},
               out / "batches.pt")  # fmt: skip
    size = sum(path.stat().st_size for path in (folder / "cache").glob("*.safetensors"))
    kinds = dict.fromkeys(shard["kind"] for shard in index["shards"])
    return f"{', '.join(kinds)}: {size / len(dataset) / 1024:.1f} KiB"


class Step:
    """Calling it takes one training step from the cache, or from pictures."""

    def __init__(self, recipe, folder):
        out = folder / recipe.stem
        self.model = load_model(recipe, out / "ini.safetensors").float().train()
        # the same for all, so that times differ by the recipes alone
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=1e-5)
        self.batches = torch.load(out / "batches.pt", weights_only=True)

    def __call__(self, source, seed):
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        batch = self.model.drop_conditions(self.batches[source], generator)
        self.model.shared_step(batch, generator)[0].backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def measure_memory(name, folder):
    """MiB of a recipe's training from the cache, at most, beyond what the process had before."""
    (recipe,) = [recipe for recipe in RECIPES if recipe.stem == name]
    reset_peak("cpu")
    before = peak("cpu")["own"]
    step = Step(recipe, Path(folder))
    for seed in range(3):
        step("cached", seed)
    return (peak("cpu")["own"] - before) * MIB


def describe_trained(model):
    """(parameters, in words)."""
    number = sum(p.numel() for p in model.parameters() if p.requires_grad)
    conditions = getattr(model, "conditions", None)
    if conditions is None:
        return number, "control branch"
    parts = [] if model.train_unet == "none" else [f"U-Net ({model.train_unet})"]
    parts += [
        part
        for condition in conditions.values()
        for part, module in condition.parts().items()
        if any(p.requires_grad for p in module.parameters())
    ]
    return number, ", ".join(parts)


def describe_seams(model):
    """Where the garment enters, or the map of a control."""
    seams = []
    for condition in getattr(model, "conditions", {}).values():
        if isinstance(condition, GarmentReference):
            whose = "a U-Net of its own" if condition.network else "the person's U-Net"
            seams.append(f"self-attention, read by {whose} {TIMES[condition.time]}")
        elif isinstance(condition, StackedGarment):
            seams.append("rows below the person" + ", anchored" * condition.anchored)
        elif isinstance(condition, ImageTokens):
            seams.append("tokens of the context")
    return "; ".join(seams) or "residuals on skips, of the map"


def measure_times(steps, rounds):
    """(recipe, source) -> (wall, CPU) seconds of each round."""
    times = {}
    for number in range(-1, rounds):  # the first is for warming up
        for name, step in steps.items():
            for source in SOURCES:
                start = time.perf_counter(), time.process_time()
                step(source, number + 1)
                spent = time.perf_counter() - start[0], time.process_time() - start[1]
                if number >= 0:
                    times.setdefault((name, source), []).append(spent)
    return times


def print_table(steps, times, memory, cached, clock):
    which = ("wall", "cpu").index(clock)
    plain = [spent[which] for spent in times[CONTROL.stem, "cached"]]
    print(f"| recipe | trainable | what trains | the garment enters by | cached, a fitting | {clock} ms from "
          "the cache | from pictures | peak, MiB |\n|---|---|---|---|---|---|---|---|")  # fmt: skip
    for name, step in steps.items():
        number, trained = describe_trained(step.model)
        cells = [name, f"{number / 1e6:.2f} M", trained, describe_seams(step.model), cached[name]]
        for source in SOURCES:
            own = [spent[which] for spent in times[name, source]]
            ratio = statistics.median(a / b for a, b in zip(own, plain, strict=True))
            cells.append(f"{statistics.median(own) * 1000:.0f} ({ratio:.2f})")
        cells.append(f"{memory[name]:.0f} ({memory[name] / memory[CONTROL.stem]:.2f})")
        print("| " + " | ".join(cells) + " |")


def main():
    arguments = parse_arguments()
    torch.set_num_threads(1)
    if arguments.memory:
        print(measure_memory(*arguments.memory))
        return
    with tempfile.TemporaryDirectory() as made:
        folder, memory = Path(made), {}
        write_folder(folder, arguments.size, arguments.batch_size)
        cached = {recipe.stem: prepare(recipe, folder) for recipe in RECIPES}
        for recipe in RECIPES:
            command = [sys.executable, __file__, "--memory", recipe.stem, made]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            memory[recipe.stem] = float(done.stdout.splitlines()[-1])
        steps = {recipe.stem: Step(recipe, folder) for recipe in RECIPES}
        times = measure_times(steps, arguments.rounds)
    print_table(steps, times, memory, cached, arguments.clock)


if __name__ == "__main__":
    main()
