"""One training step of the same work by this project, by diffusers' script and by the original's arithmetic.

    python benchmarks/bench_train.py                                # SD1.5, 256 px on a CPU; 512 px on a GPU
    python benchmarks/bench_train.py --malloc                       # no side gives memory back to the system
    python benchmarks/bench_train.py --yaml models/cldm_tiny.yaml --size 128 --batches 4      # to try it

Random weights, pictures, prompts, noise and timesteps are the same for all, so their losses must be; the exit
code says whether they are. Every way runs in a process of its own, the ways taking turns in rounds, and a
ratio is that of two steps on the same batch in the same round. Seconds are of one thread unless --threads.
The split into phases is of a further step; peak memory has no part that building alone takes.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT), str(ROOT / "tests" / "helpers")]

WAYS = "ours, cached", "ours, uncached", "diffusers", "diffusers, recompute", "original"
PHASES = "encode", "forward", "backward", "optimizer"
GOALS = {"diffusers": 1.6, "original": 2.2}  # how many times faster than either
MEMORY_GOAL = 0.65  # of either's peak
TOLERANCE = {"32-true": 2e-4, "bf16-mixed": 3e-2}  # of first losses, relative
KEEP_MEMORY = dict(MALLOC_TRIM_THRESHOLD_="17179869184", MALLOC_TOP_PAD_="268435456", MALLOC_MMAP_MAX_="0")


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--yaml", default=str(ROOT / "models" / "cldm_v15.yaml"), help="of CLIP's family (default: SD1.5)"
    )
    parser.add_argument("--device", help="default: the accelerator, else cpu")
    parser.add_argument("--size", type=int, help="pixels a side (default: 256 on a CPU, 512 on a GPU)")
    parser.add_argument("--batches", type=int, nargs="+", help="default: 1 on a CPU, 1 4 16 on a GPU")
    parser.add_argument(
        "--precisions", nargs="+", choices=TOLERANCE, help="default: 32-true on a CPU, both on a GPU"
    )
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="default: all")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=3, help="timed ones a round (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--malloc", action="store_true", help="glibc never gives memory back to the system")
    parser.add_argument("--folder", help="where 6 GB are written and removed (default: the system's)")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def run(task, folder, settings):
    """A task's result from a process of its own."""
    threads = str(settings["threads"])
    environment = os.environ | dict(OMP_NUM_THREADS=threads) | (KEEP_MEMORY if settings["malloc"] else {})
    command = [sys.executable, __file__, "--child", task, str(folder), json.dumps(settings)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"error: {task} ended with exit code {done.returncode}, -9 means that memory ran out")
    return json.loads(done.stdout.splitlines()[-1])


def compare(folder, settings, ways, rounds):
    """All rounds of one precision and batch size: way -> its results; says which did not fit the memory."""
    results = {way: [] for way in ways}
    for number in range(rounds):
        for way in ways if number % 2 == 0 else ways[::-1]:
            if results.get(way) is None:
                continue
            result = run(way, folder, settings)
            results[way] = None if result is None else [*results[way], result]
            if result is not None:
                seconds = " ".join(f"{step['wall']:.2f}" for step in result["steps"])
                print(f"round {number + 1}, {way}: {seconds} s a step", file=sys.stderr, flush=True)
    for way in [way for way in ways if results[way] is None]:
        print(f"{way}: out of memory")
    return {way: found for way, found in results.items() if found}


def steps(result, key):
    return [step[key] for part in result for step in part["steps"]]


def print_table(results, rate):
    """Medians over all steps, and the largest peak of memory, a row for each way."""
    own = "own" in next(iter(results.values()))[0]
    header = ["way", "wall, s", "CPU, s", *PHASES, "TFLOP", "share of matrix rate", "peak, GiB"]
    header += ["of it own, GiB"] * own + ["first loss"]
    print("| " + " | ".join(header) + " |\n" + "|---" * len(header) + "|")
    for way, result in results.items():
        wall, flops = statistics.median(steps(result, "wall")), result[0]["flops"]
        row = [way] + [f"{statistics.median(steps(result, key)):.3f}" for key in ("wall", "cpu")]
        row += [f"{statistics.median(part['phases'][phase] for part in result):.3f}" for phase in PHASES]
        row += [f"{flops / 1e12:.3f}", f"{flops / wall / rate:.0%}"]
        row += [f"{max(part[key] for part in result):.2f}" for key in ("peak", "own")[: 1 + own]]
        print("| " + " | ".join([*row, f"{result[0]['losses'][0]:.6f}"]) + " |")


def print_ratios(results, clock):
    """How many times ours is faster and smaller, pair by pair, beside what was aimed at."""
    ours = results.get("ours, cached")
    for way, result in results.items():
        if way.startswith("ours, cached") or not ours:
            continue
        ratios = [b / a for a, b in zip(steps(ours, clock), steps(result, clock), strict=True)]
        low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
        kind = "own" if "own" in ours[0] else "peak"  # pages of a mapped file cost nothing that is needed
        memory = max(part[kind] for part in ours) / max(part[kind] for part in result)
        goals = ""
        if way in GOALS:
            verdicts = [middle >= GOALS[way], memory <= MEMORY_GOAL]
            goals = f" (aimed at {GOALS[way]}: {'met' if verdicts[0] else 'short'}; at {MEMORY_GOAL}: "
            goals += f"{'met' if verdicts[1] else 'short'})"
        print(
            f"{way} / ours, cached: {middle:.2f} times the {clock} seconds (min {low:.2f}, max {high:.2f}), "
            f"ours has {memory:.2f} of its peak memory{goals}"
        )


def losses_agree(results, tolerance) -> bool:
    """Whether every way's first loss, on equal weights and inputs, is the first way's."""
    firsts = {way: part["losses"][0] for way, result in results.items() for part in result}
    wanted = next(iter(firsts.values()))
    off = {way: abs(loss / wanted - 1) for way, loss in firsts.items()}
    agree = all(error <= tolerance for error in off.values())
    print(
        f"first losses differ by {max(off.values()):.1e} at most, allowed {tolerance:g}: "
        f"{'the same work' if agree else 'NOT THE SAME WORK'}"
    )
    return agree


def main():
    arguments = parse_arguments()
    if arguments.child:
        from train_child import child

        task, folder, settings = arguments.child
        print(json.dumps(child(task, Path(folder), json.loads(settings))))
        return
    import torch

    found = torch.accelerator.current_accelerator(check_available=True)
    device = arguments.device or (found.type if found else "cpu")
    on_cpu = torch.device(device).type == "cpu"
    sizes = arguments.batches or ([1] if on_cpu else [1, 4, 16])
    settings = {k: getattr(arguments, k) for k in ("yaml", "steps", "threads", "malloc")}
    settings |= dict(device=device, size=arguments.size or (256 if on_cpu else 512), precision="32-true")
    settings["pictures"] = max(4, *sizes)
    agree = True
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        run("prepare", folder, settings | dict(threads=os.cpu_count()))
        for precision in arguments.precisions or (["32-true"] if on_cpu else list(TOLERANCE)):
            settings["precision"] = precision
            rate = run("peak", folder, settings)
            name = torch.cpu.get_capabilities()["cpu_name"] if on_cpu else torch.cuda.get_device_name()
            print(f"\n{device} ({name}), torch {torch.__version__}, {settings['threads']} threads", end="")
            print(f", {precision}, product of square matrices {rate / 1e12:.3g} TFLOP/s")
            for batch_size in sizes:
                print(f"\n{settings['size']} px, batch {batch_size}\n")
                results = compare(
                    folder, settings | dict(batch_size=batch_size), arguments.ways, arguments.rounds
                )
                if results:
                    print_table(results, rate)
                    print_ratios(results, "cpu" if on_cpu else "wall")
                    agree &= losses_agree(results, TOLERANCE[precision])
    sys.exit(not agree)


if __name__ == "__main__":
    main()
