"""Pictures with control by this project and by diffusers' pipeline: the same weights and the same work.

    python benchmarks/bench_generate.py                  # SD1.5, 256 px on a CPU; 512 px on a GPU
    python benchmarks/bench_generate.py --malloc         # neither side gives memory back to the system
    python benchmarks/bench_generate.py --yaml models/cldm_tiny.yaml --size 128 --rounds 2     # to try it

DDIM steps with guidance on random weights, against StableDiffusionControlNetPipeline. The sides take turns,
and in being first, in one process and on one set of tensors. A ratio is that of two steps of the same index,
or of two pictures, in the same round. An untimed round before counts the arithmetic; the exit code says
whether both drew the same pictures in it. The first step holds what is done once, and text is encoded within
this project's time and outside that of diffusers.
"""

import argparse
import os
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT), str(ROOT / "tests" / "helpers")]

PROMPT = "a photo of a person in a red dress"
TOLERANCE = {
    "float32": 3e-4,
    "float16": 2e-2,
    "bfloat16": 0.15,
}  # of latents and pictures, by their deviation
KEEP_MEMORY = dict(MALLOC_TRIM_THRESHOLD_="17179869184", MALLOC_TOP_PAD_="268435456", MALLOC_MMAP_MAX_="0")


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--yaml", default=str(ROOT / "models" / "cldm_v15.yaml"), help="default: SD1.5's")
    parser.add_argument("--device", help="default: the accelerator, else cpu")
    parser.add_argument("--dtype", choices=TOLERANCE, help="default: float32 on a CPU, float16 on a GPU")
    parser.add_argument("--size", type=int, help="pixels a side (default: 256 on a CPU, 512 on a GPU)")
    parser.add_argument("--batch", type=int, default=1, help="pictures at a time (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="timed ones (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--malloc", action="store_true", help="glibc never gives memory back to the system")
    arguments = parser.parse_args()
    if 1000 % arguments.steps:
        parser.error(f"--steps must divide 1000, or diffusers takes other timesteps, got {arguments.steps}")
    return arguments


def counted(side, request):
    """(what the side draws, GFLOP of it); a multiplication and an addition are 2 FLOP."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode, sdpa_flop

    # the counter knows attention on GPUs only; this is its own formula for it
    attention = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: sdpa_flop.__wrapped__}
    with FlopCounterMode(display=False, custom_mapping=attention) as counter:
        drawn = side.draw(*request)
    return drawn, counter.get_total_flops() / 1e9


def durations(drawn, clock):
    """(seconds of each step, seconds of the whole) by the wall's clock (0) or the process's (1)."""
    times = [stamp[clock] for stamp in drawn.clocks]
    return [b - a for a, b in zip(times, times[1:-1], strict=False)], times[-1] - times[0]


def spread(values):
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def print_times(rounds, clock, name):
    """A line per side and unit, then the ratios pair by pair."""
    times = {side: [durations(drawn[side], clock) for drawn in rounds] for side in rounds[0]}
    for unit, column in (("step", 0), ("picture", 1)):
        pairs = {side: _flat([pair[column] for pair in pairs]) for side, pairs in times.items()}
        ratios = [b / a for a, b in zip(pairs["ours"], pairs["diffusers"], strict=True)]
        cells = [spread(pairs["ours"]), spread(pairs["diffusers"]), spread(ratios)]
        print(f"| {name} a {unit} | {' | '.join(cells)} |")


def _flat(values):
    return [x for value in values for x in (value if isinstance(value, list) else [value])]


def same_pictures(drawn, tolerance) -> bool:
    """Whether latents and pictures of both sides agree, to `tolerance` times their standard deviation."""
    import numpy as np

    agree = True
    for name in ("latents", "pictures"):
        a, b = (
            np.asarray(getattr(d, name) if name == "pictures" else d.latents.float().cpu()) for d in drawn
        )
        allowed = tolerance + (0.5 / 255 / b.std() if name == "pictures" else 0)  # ours are rounded to 8 bit
        error, mean = np.abs(a - b).max() / b.std(), np.abs(a - b).mean() / b.std()
        agree &= bool(error <= allowed)
        print(
            f"{name}: deviation {b.std():.3f}; differ by {error:.1e} of it at most, {mean:.1e} on average; "
            f"allowed {allowed:.1e}"
        )
    print("the same pictures" if agree else "NOT THE SAME PICTURES")
    return agree


def main():
    arguments = parse_arguments()
    if arguments.malloc and any(os.environ.get(k) != v for k, v in KEEP_MEMORY.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | KEEP_MEMORY)
    import numpy as np
    import torch
    from generate_sides import Diffusers, Ours, random_model

    from jobs.devices import pick_device

    torch.set_num_threads(arguments.threads)
    device = torch.device(pick_device(arguments.device or "auto"))
    on_cpu = device.type == "cpu"
    dtype, size = (
        arguments.dtype or ("float32" if on_cpu else "float16"),
        arguments.size or (256 if on_cpu else 512),
    )
    model = random_model(arguments.yaml, getattr(torch, dtype), device)
    sides = {"ours": Ours(model), "diffusers": Diffusers(model, arguments.yaml)}
    hint = np.random.default_rng(0).random((size, size, 3), dtype=np.float32)
    request = (hint, PROMPT, arguments.batch, arguments.steps)
    print(
        f"{Path(arguments.yaml).name}, {size} px, {dtype}, batch {arguments.batch}, {arguments.steps} steps, "
        f"{arguments.rounds} rounds, {device}, {arguments.threads} of {os.cpu_count()} CPUs, "
        f"{'glibc keeps memory' if arguments.malloc else 'malloc as it is'}",
        flush=True,
    )
    first = {name: counted(side, request) for name, side in sides.items()}
    agree = same_pictures([drawn for drawn, _ in first.values()], TOLERANCE[dtype])
    ours, theirs = (flop for _, flop in first.values())
    print("| | ours | diffusers | diffusers / ours |\n|---|---|---|---|")
    print(f"| GFLOP a picture batch | {ours:.0f} | {theirs:.0f} | {theirs / ours:.3f} |", flush=True)
    rounds = []
    for i in range(arguments.rounds):
        names = list(sides) if i % 2 == 0 else list(reversed(sides))
        rounds.append({name: sides[name].draw(*request) for name in names})
    print_times(rounds, 0, "seconds")
    if on_cpu:
        print_times(rounds, 1, "CPU seconds")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
