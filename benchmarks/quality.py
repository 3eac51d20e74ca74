"""What each quality option does to the control of the tiny model: one table, the same seeds for each.

python benchmarks/quality.py                       # 36 runs of 400 steps, two at a time
python benchmarks/quality.py --steps 20 --num 8 --variants ema min_snr --seeds 0 --out runs/quality_trial

Trains from the cache of training/dolls, which is computed first where there is none. What has been measured
is not run again: the same command goes on with the rest.
"""

import argparse
import csv
import json
import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, stdev

ROOT = Path(__file__).parent.parent
BASELINE = "baseline"  # models/train_tiny.yaml: prompt_dropout 0.1, gradient_clip 1, constant rate
VARIANTS = {
    BASELINE: {},
    "ema": dict(ema_decay=0.99),
    "min_snr": dict(min_snr_gamma=5),
    "zero_terminal_snr": dict(zero_terminal_snr="true"),
    "cosine": dict(lr_schedule="cosine"),
    "no_clip": dict(gradient_clip=0),
    "prompts_kept": dict(prompt_dropout=0),
    "prompts_half": dict(prompt_dropout=0.5),
    "hint_dropout": dict(hint_dropout=0.1),
    "rough_maps": dict(mask_dilation=6, mask_simplification=6),
    "attributes": dict(prompts="attributes"),  # which leaves out the colours
    "mixed": dict(prompts="mixed"),
}
COLUMNS = {
    "miou": "mIoU, exact maps",
    "rough_meant": "rough maps: mIoU with what was meant",
    "rough_followed": "with what was drawn",
    "colours": "colours as in the prompt",
}


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="NAME")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds (default: 0 1 2)")
    for name, default, meaning in (
        ("steps", 400, "optimizer steps a run"),
        ("num", 64, "dolls that each run is measured on"),
        ("jobs", 2, "runs at a time, one thread each"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{meaning} (default: {default})")
    parser.add_argument("--data", default="training/dolls", help="training folder (default: %(default)s)")
    parser.add_argument("--out", default="runs/quality", help="runs and table (default: %(default)s)")
    return parser.parse_args()


def python(*command):
    """Run a script in a process of its own, with one thread; stop with its message if it fails."""
    environment = os.environ | dict(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    done = subprocess.run(
        [sys.executable, *map(str, command)], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{(done.stderr or done.stdout)[-2000:]}")


def make_cache(data):
    """Latents and embeddings of the training folder, made first if it is the default one."""
    from batches.cache.build import build_cache
    from learning.embedded_default import complete_default
    from learning.options import parse_options
    from tutorial_dataset import MyDataset

    options = parse_options(["models/train_tiny.yaml"], [f"data={data}"])
    complete_default(options)
    build_cache(MyDataset(data), options.base, options.model, dtype="float32")


def run(variant, seed, arguments) -> dict:
    """Train and measure one variant, unless that has been done; its numbers."""
    folder = Path(arguments.out, f"{variant}_seed{seed}")
    measured = ROOT / folder / f"measured_{arguments.steps}_{arguments.num}.json"
    if not measured.exists():
        options = dict(run=folder, data=arguments.data, segmenter="", image_log_every=0, seed=seed)
        options |= dict(max_steps=arguments.steps, checkpoint_every=arguments.steps, precision="32-true")
        options = [f"{key}={value}" for key, value in (options | VARIANTS[variant]).items()]
        python("tutorial_train.py", "--config", "models/train_tiny.yaml", *options)
        sizes = ["--num", arguments.num, "--out", measured, *["--floor"] * (variant == BASELINE)]
        python("benchmarks/quality_measure.py", folder / "control.safetensors", *sizes)
    return dict(variant=variant, seed=seed, **json.loads(measured.read_text()))


def spread(values) -> str:
    """0.123 ± 0.004: mean and standard deviation over the seeds."""
    return f"{mean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


def table(results, arguments) -> str:
    """Markdown: a line a variant, and its gain over the baseline of the same seeds."""
    found = {(row["variant"], row["seed"]): row for row in results}
    head = ["variant", "options", *COLUMNS.values(), "mIoU against baseline, same seeds"]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for variant in arguments.variants:
        rows = [found[variant, seed] for seed in arguments.seeds]
        gain = "n/a"
        if variant != BASELINE and BASELINE in arguments.variants:
            gain = spread([row["miou"] - found[BASELINE, row["seed"]]["miou"] for row in rows])
        options = " ".join(f"`{key}={value}`" for key, value in VARIANTS[variant].items())
        cells = [variant, options, *(spread([row[key] for row in rows]) for key in COLUMNS), gain]
        lines.append(f"| {' | '.join(cells)} |")
    first = results[0]
    floor = f"floor (no control) {first['floor']:.3f}, " if "floor" in first else ""
    return "\n".join(lines) + (
        f"\n\n{arguments.steps} steps of 8 pictures, {len(arguments.seeds)} seeds, mean ± deviation; "
        f"{arguments.num} dolls: {floor}ceiling (photos) {first['ceiling']:.3f}, rough maps against exact "
        f"{first['rough_maps']:.3f}; fp32, one thread a run, {platform.machine()} {platform.system()}.\n"
    )


def main():
    arguments = parse_arguments()
    sys.path.insert(0, str(ROOT))
    os.chdir(ROOT)
    if not Path(arguments.data, "cache", "index.json").exists():
        make_cache(arguments.data)
    settings = [(variant, seed) for seed in arguments.seeds for variant in arguments.variants]
    results = []
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for result in pool.map(lambda setting: run(*setting, arguments), settings):
            results.append(result)
            numbers = (f"{key} {value:.3g}" for key, value in result.items() if key != "variant")
            print(result["variant"], *numbers, flush=True)
    keys = list(dict.fromkeys(key for result in results for key in result))
    with open(Path(arguments.out, "quality.csv"), "w", newline="") as file:
        writer = csv.DictWriter(file, keys, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(results)
    text = table(results, arguments)
    Path(arguments.out, "quality.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
