"""What the memory presets need and how fast cards could be: counted and projected, nothing is measured here.

python benchmarks/expect.py                       # the tables of docs/expect.md, minutes on a CPU
python benchmarks/expect.py --share 0.45           # at another share of a card's matrix rate
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "helpers")]
# dense bf16 matrix rate with fp32 accumulation, in TFLOP/s, as NVIDIA's data sheets give it
CARDS = {"RTX 3090, 24 GB": 71, "RTX 4090, 24 GB": 165, "A100, 40 or 80 GB": 312, "H100 SXM, 80 GB": 989}
PHOTOS, STEPS = 45_195, 10_000


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--share", type=float, default=0.3, help="of the matrix rate that is reached (default: %(default)s)"
    )
    parser.add_argument("--yaml", default="models/cldm_v15.yaml", help="default: %(default)s")
    parser.add_argument("--size", type=int, default=512, help="side in pixels (default: %(default)s)")
    return parser.parse_args()


def empty_model(yaml):
    """A model of a yaml whose weights take address space and no memory."""
    import torch

    from cldm.model import create_model

    with torch.device("meta"):
        model = create_model(yaml)
    model.leave_out_stages()
    model.lock()
    model.cast_locked(torch.bfloat16)
    return model.to_empty(device="cpu").train()


def print_memory(model, size):
    from learning.dry_run import GIB, estimate_memory
    from learning.options import PRESETS, parse_options

    columns = None
    for preset in PRESETS:
        options = parse_options([], [f"preset={preset}"])
        for module in model.modules():
            if hasattr(module, "use_checkpoint"):
                module.use_checkpoint = options.recompute
        memory = estimate_memory(model, options, (size, size))
        if columns is None:
            columns = ["preset", "recompute", "at a time", *memory.parts, "a picture", "in all"]
            print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
        sizes = [*memory.parts.values(), memory.per_picture, memory.total(options.batch_size)]
        row = [preset, str(options.recompute).lower(), str(options.batch_size)]
        print("| " + " | ".join(row + [f"{n / GIB:.2f}" for n in sizes]) + " |", flush=True)


def main():
    from learning.dry_run import count_step_flops
    from learning.options import parse_options

    arguments = parse_arguments()
    model = empty_model(arguments.yaml)
    print(f"GiB, {arguments.yaml}, {arguments.size} x {arguments.size} pixels, from a cache:\n")
    print_memory(model, arguments.size)
    mixed, size = parse_options([], ["precision=bf16-mixed"]), (arguments.size, arguments.size)
    flops = count_step_flops(model, mixed, size)
    print(f"\n{flops / 1e9:,.0f} GFLOP a picture and step. At {arguments.share:.0%} of the matrix rate:\n")
    print("| card | TFLOP/s | pictures/s | an epoch of 45,195, minutes | 10,000 steps of 32, hours |")
    print("|---|---|---|---|---|")
    for card, rate in CARDS.items():
        speed = arguments.share * rate * 1e12 / flops
        times = f"{PHOTOS / speed / 60:.0f} | {STEPS * 32 / speed / 3600:.1f}"
        print(f"| {card} | {rate} | {speed:.0f} | {times} |")


if __name__ == "__main__":
    main()
