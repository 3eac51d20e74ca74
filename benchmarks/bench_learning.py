"""Control mIoU against steps and seconds: this project and diffusers' ControlNetModel on the tiny base.

    python benchmarks/bench_learning.py --plot docs/learning.png                      # hours of one core
    python benchmarks/bench_learning.py --steps 20 --measure-every 10 --seeds 0 --maps 4 --out runs/try

Both start from the same weights and see the same pictures in the same order with the same noise, timesteps,
dropped prompts, rates, schedule and clipping. This project trains from its cache, whose making is timed once
and told beside; diffusers' loop, as in its script, encodes in every step. Runs take turns, each in a process
of its own, and leave weights that are measured afterwards by the same code, in no one's time.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT), str(ROOT / "tests" / "helpers")]

SIDES = "ours", "diffusers"
TIME_GOAL = 0.67  # of diffusers' time to the same control mIoU
COLOURS = dict(ours="tab:blue", diffusers="tab:orange")


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=600, help="default: %(default)s")
    parser.add_argument("--measure-every", type=int, default=50, help="steps (default: %(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    parser.add_argument("--levels", type=float, nargs="+", default=[0.3, 0.4, 0.5], help="of control mIoU")
    parser.add_argument("--maps", type=int, default=32, help="held-out ones (default: %(default)s)")
    parser.add_argument("--precision", default="32-true", help="32-true or bf16-mixed (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of a run (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time (default: %(default)s)")
    parser.add_argument("--data", default="training/dolls", help="training folder (default: %(default)s)")
    parser.add_argument(
        "--out", default="runs/learning", help="finished runs there are kept (default: %(default)s)"
    )
    parser.add_argument("--plot", help="default: OUT/learning.png")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def run(task, folder, settings):
    command = [sys.executable, __file__, "--child", task, str(folder), json.dumps(settings)]
    environment = os.environ | dict(OMP_NUM_THREADS=str(settings["threads"]))
    if subprocess.run(command, cwd=ROOT, env=environment).returncode:
        raise RuntimeError(f"{task} in {folder} failed")


def linked(data, folder):
    """The training folder without its cache, by links: this benchmark makes and times its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in Path(data).iterdir():
        if path.name != "cache" and not (folder / path.name).exists():
            (folder / path.name).symlink_to(path.absolute())
    return folder


def train_and_measure(side, seed, out, arguments, settings):
    """The curve of one run, rows of step, seconds, cpu, miou, and its losses."""
    folder = out / f"{side}_seed{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    options = dict(seed=seed, max_steps=arguments.steps, precision=arguments.precision, run=str(folder))
    settings = settings | dict(options=options)
    if not (folder / "times.json").exists():
        print(f"training {folder.name}", flush=True)
        run(side, folder, settings)
    if not (folder / "curve.csv").exists():
        run("measure", folder, settings)
    with open(folder / "curve.csv", newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    return rows, json.loads((folder / "times.json").read_text())["losses"]


def reached(curve, level, key):
    """Where a curve first reaches a level of control mIoU, between measurements by interpolation; or None."""
    last = dict.fromkeys(("step", "seconds", "cpu", "miou"), 0.0)
    for row in curve:
        if row["miou"] >= level:
            share = (level - last["miou"]) / (row["miou"] - last["miou"])
            return last[key] + share * (row[key] - last[key])
        last = row
    return None


def spread(values, digits=0):
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def print_verdicts(curves, levels, seeds):
    """To each level: steps and seconds of both sides, their ratio seed by seed, and what was aimed at."""
    print("\n| control mIoU | | ours | diffusers | ours / diffusers |\n|---|---|---|---|---|")
    for level in levels:
        for key in ("step", "seconds", "cpu"):
            found = {side: [reached(curves[side, seed], level, key) for seed in seeds] for side in SIDES}
            if None in found["ours"] + found["diffusers"]:
                print(f"| {level} | {key} | not reached by all runs | | |")
                continue
            ratios = [a / b for a, b in zip(found["ours"], found["diffusers"], strict=True)]
            goal = 1.0 if key == "step" else TIME_GOAL
            verdict = "met" if statistics.median(ratios) <= goal else "short"
            cells = [spread(found[side]) for side in SIDES]
            print(f"| {level} | {key} | {cells[0]} | {cells[1]} | {spread(ratios, 2)}, {goal}: {verdict} |")
    for key in ("seconds", "cpu"):
        each = {s: [curves[s, seed][-1][key] / curves[s, seed][-1]["step"] for seed in seeds] for s in SIDES}
        print(f"{key} a step: ours {spread(each['ours'], 3)}, diffusers {spread(each['diffusers'], 3)}")


def plot(curves, path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, key, label in zip(
        figure.subplots(1, 2), ("step", "cpu"), ("steps", "CPU seconds"), strict=True
    ):
        for (side, seed), curve in curves.items():
            axes.plot(
                [row[key] for row in curve], [row["miou"] for row in curve],
                color=COLOURS[side], alpha=0.8, label=side if seed == min(s for _, s in curves) else None,
            )  # fmt: skip
        axes.set(xlabel=label, ylabel="control mIoU")
    figure.axes[0].legend(frameon=False)
    figure.savefig(path, dpi=90)


def main():
    arguments = parse_arguments()
    if arguments.child:
        from learning_runs import child

        task, folder, settings = arguments.child
        child(task, folder, json.loads(settings))
        return
    out = ROOT / arguments.out
    for path in (ROOT / arguments.data / "prompt.json", ROOT / "models" / "control_tiny_ini.ckpt"):
        if not path.exists():
            sys.exit(f"error: {path} does not exist: python tutorial_train.py max_steps=1 makes it")
    settings = dict(threads=arguments.threads, maps=arguments.maps, every=arguments.measure_every)
    settings |= dict(data=str(linked(ROOT / arguments.data, out / "data")), options={})
    if not (out / "cache.json").exists():
        run("cache", out, settings)
    tasks = [(side, seed) for seed in arguments.seeds for side in SIDES]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        done = list(pool.map(lambda task: train_and_measure(*task, out, arguments, settings), tasks))
    curves = {task: curve for task, (curve, _) in zip(tasks, done, strict=True)}
    with open(out / "learning.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["side", "seed", "step", "seconds", "cpu_seconds", "control_miou"])
        writer.writerows([*task, *row.values()] for task, curve in curves.items() for row in curve)
    print_verdicts(curves, arguments.levels, arguments.seeds)
    first = max(abs(a[1][0] / b[1][0] - 1) for a, b in zip(done[::2], done[1::2], strict=True))
    cache = json.loads((out / "cache.json").read_text())
    print(f"first losses of a seed differ by {first:.1e} at most")
    print(f"the cache took {cache['seconds']:.0f} s, {cache['cpu']:.0f} CPU seconds, once for all runs")
    picture = Path(arguments.plot or out / "learning.png")
    plot(curves, picture)
    print(f"wrote {out / 'learning.csv'} and {picture}")


if __name__ == "__main__":
    main()
