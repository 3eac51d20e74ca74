"""Control mIoU of short runs over learning rate, zero-convolution factor and seed, on the embedded default.

python benchmarks/sweep_control.py --max-steps 400 --jobs 2          # about 1.5 minutes a run and core
python benchmarks/sweep_control.py --rates 3e-4 1e-3 --factors 1 --seeds 0
"""

import argparse
import csv
import itertools
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rates", type=float, nargs="+", default=[3e-4, 1e-3, 3e-3], help="learning rates")
    parser.add_argument("--factors", type=float, nargs="+", default=[1, 10], help="zero_conv_factor")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="seeds")
    parser.add_argument(
        "--max-steps", type=int, default=400, help="optimizer steps a run (default: %(default)s)"
    )
    parser.add_argument(
        "--jobs", type=int, default=2, help="runs at a time, one thread each (default: %(default)s)"
    )
    parser.add_argument(
        "--out", default="runs/sweep", help="folder of the runs and sweep.csv (default: %(default)s)"
    )
    return parser.parse_args()


def run(rate, factor, seed, arguments):
    """Train one setting in a process of its own; (rate, factor, seed, floor, ceiling, {step: mIoU})."""
    folder = Path(arguments.out) / f"lr{rate:g}_factor{factor:g}_seed{seed}"
    options = dict(
        run=folder, learning_rate=rate, zero_conv_factor=factor, seed=seed, max_steps=arguments.max_steps
    )
    options |= dict(
        measure_every=arguments.max_steps // 4, checkpoint_every=arguments.max_steps, image_log_every=0
    )
    command = [sys.executable, "tutorial_train.py", "--config", "models/train_tiny.yaml"]
    command += [f"{key}={value}" for key, value in options.items()]
    threads = str(max(1, (os.cpu_count() or 1) // arguments.jobs))
    log = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": threads}, capture_output=True, text=True
    )
    if log.returncode:
        sys.exit(f"{folder} failed:\n{log.stderr[-2000:]}")
    with open(ROOT / folder / "control_miou.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    curve = {int(row["step"]): float(row["miou"]) for row in rows}
    return rate, factor, seed, float(rows[-1]["floor"]), float(rows[-1]["ceiling"]), curve


def main():
    arguments = parse_arguments()
    settings = list(itertools.product(arguments.rates, arguments.factors, arguments.seeds))
    results = []
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for result in pool.map(lambda setting: run(*setting, arguments), settings):
            results.append(result)
            rate, factor, seed, floor, ceiling, curve = result
            steps = "  ".join(f"{step}: {miou:.3f}" for step, miou in curve.items())
            print(f"lr {rate:g}  factor {factor:g}  seed {seed}  floor {floor:.3f}  {steps}", flush=True)
    path = ROOT / arguments.out / "sweep.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["learning_rate", "zero_conv_factor", "seed", "floor", "ceiling", *results[0][-1]])
        writer.writerows([*result[:-1], *result[-1].values()] for result in results)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
