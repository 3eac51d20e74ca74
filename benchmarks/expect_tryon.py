"""What a training of each try-on recipe needs of memory: counted on tensors without content, nothing is run.

python benchmarks/expect_tryon.py            # the table of docs/tryon.md, some minutes on a CPU
python benchmarks/expect_tryon.py --write    # and puts it there
"""

import argparse
import sys
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

PAGE, BEGIN, END = ROOT / "docs" / "tryon.md", "<!-- expect_tryon.py begins -->\n", "<!-- and ends -->\n"
SIZE = 512, 384
ATTENTION = dict(unet="attn1", garment="attn1")
COLUMNS = (
    "recipe",
    "trains, million",
    "locked, encoders",
    "trained, gradients, moments",
    "a picture",
    "recomputed",
)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="put the table into docs/tryon.md")
    parser.add_argument("recipes", nargs="*", help="names of yamls in models/ (default: all of SD's size)")
    return parser.parse_args()


def list_runs(names):
    """(name of a recipe, what trains of it otherwise than the recipe says)."""
    found = sorted(path.stem for path in (ROOT / "models").glob("tryon_*.yaml") if "_tiny_" not in path.stem)
    runs = [(name, {}) for name in names or found]
    return runs + [("tryon_ootd", ATTENTION)] * ("tryon_ootd" in dict(runs))


def count(name, train):
    """(million numbers that train, Memory by whether it recomputes) of a recipe."""
    import torch

    from batches.cache.choices import check_conditions
    from cldm.parts_present import STAGES
    from learning.build import outline_model
    from learning.dry_run import estimate_memory
    from learning.options import TrainOptions

    torch.set_num_threads(1)
    found = {}
    for recompute in (False, True):
        yaml = str(ROOT / "models" / f"{name}.yaml")
        options = TrainOptions(model=yaml, precision="bf16-mixed", recompute=recompute, train=train)
        model = outline_model(options)
        model.dream = None  # whose forward pass keeps nothing
        try:
            check_conditions(SimpleNamespace(conditions=model.conditions, flow_weight=model.flow_weight))
            model.leave_out_stages(STAGES)
        except ValueError:
            pass  # no cache holds what it reads
        found[recompute] = estimate_memory(model, options, SIZE)
    return sum(p.numel() for p in model.parameters() if p.requires_grad) / 1e6, found


def format_row(name, train, millions, found):
    """A row of the table: what a recipe needs, and how many pictures each preset takes in how many GiB."""
    from learning.dry_run import GIB, OPTIMIZER_BYTES
    from learning.options import PRESETS, find_tryon_presets

    parts = found[False].parts
    fixed = sum(size for part, size in parts.items() if part.startswith(("locked", "encoders")))
    learned = sum(parts.values()) - fixed - parts["workspace"]
    told = " ".join(f"train.{part}={choice}" for part, choice in train.items())
    cells = [f"{name.removeprefix('tryon_')} {told}".strip(), f"{millions:,.0f}"]
    cells += [
        f"{size / GIB:.2f}" for size in (fixed, learned, found[False].per_picture, found[True].per_picture)
    ]
    for preset in PRESETS:
        options = find_tryon_presets(millions).get(preset)
        if options is None:
            cells.append("no")
            continue
        saved = 8 - OPTIMIZER_BYTES[options["optimizer"]]
        total = found[options["recompute"]].total(options["batch_size"]) - saved * millions * 1e6
        marks = "r" * options["recompute"] + "8" * (saved > 0)
        cells.append(f"{options['batch_size']}{marks}: {total / GIB:.1f}")
    return "| " + " | ".join(cells) + " |\n"


def main():
    from learning.options import PRESETS

    arguments = parse_arguments()
    columns = [*COLUMNS, *PRESETS]
    table = "| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|\n"
    print(table, end="", flush=True)
    for run in list_runs(arguments.recipes):
        # in a process of its own, as counting leaves memory in pieces behind
        with get_context("spawn").Pool(1) as process:
            row = format_row(*run, *process.apply(count, run))
        print(row, end="", flush=True)
        table += row
    if arguments.write:
        before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
        PAGE.write_text(before + BEGIN + table + END + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
