"""Is DPM-Solver++(2M) at 12 steps as good as DDIM at 50? Control mIoU, distance to 200 steps, and time.

    python benchmarks/check_samplers.py runs/dolls/control.safetensors

Held-out maps, drawn with the same noise by each. Quality counts as equal if the control mIoUs differ by
no more than other seeds' does, and if the 12 steps stay within 1.5 times the distance that DDIM's 50 have to
its 200; the distance of its 12 is printed beside, and that of 16, still three times fewer than 50.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

FAST, SLOW, REFERENCE = ("dpmpp_2m", 12), ("ddim", 50), ("ddim", 200)
SAMPLERS = FAST, ("ddim", 12), ("dpmpp_2m", 16), SLOW, REFERENCE
GOAL = 3.0  # times sooner
ALLOWED_DISTANCE = 1.5  # to the reference, as a multiple of SLOW's


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("control", help="control.safetensors of a run")
    parser.add_argument("--data", default="training/dolls", help="its training folder (default: %(default)s)")
    parser.add_argument(
        "--first", type=int, default=32, help="held-out item to start at (default: %(default)s)"
    )
    parser.add_argument("--num", type=int, default=48, help="how many (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="of FAST and SLOW (default: %(default)s)")
    parser.add_argument("--scale", type=float, default=3.0, help="guidance (default: %(default)s)")
    return parser.parse_args()


def load(arguments):
    """(function of Settings -> ControlScore, number of maps) on the held-out maps."""
    import numpy as np

    from annotator.segment import PixelSegmenter
    from demo.garments.loading import load_for_demo
    from evaluation.control_miou import measure_control
    from pictures.hint import HintEncoder
    from pictures.regions import REGIONS_FILE
    from tutorial_dataset import MyDataset

    demo = load_for_demo(arguments.control, None, HintEncoder.from_file(REGIONS_FILE), "cpu")
    judge = PixelSegmenter.load("models/tiny/segmenter.safetensors").segment
    dataset = MyDataset(arguments.data, "val")
    last = min(arguments.first + arguments.num, len(dataset))
    items = [dataset[i] for i in range(arguments.first, last)]
    if not items:
        raise SystemExit(
            f"{arguments.data} holds out {len(dataset)} items, none from --first {arguments.first} on"
        )
    maps = np.stack([demo.encoder.to_ids((item["hint"] * 255).round()) for item in items])
    prompts = [item["txt"] for item in items]
    return lambda settings: measure_control(demo.model, maps, prompts, demo.encoder, judge, settings), len(
        items
    )


def distance(a, b) -> float:
    """Root mean square difference of pictures uint8, as a share of 255."""
    return float((((a.astype(float) - b) / 255) ** 2).mean() ** 0.5)


def main():
    arguments = parse_arguments()
    from generation.generate import Settings

    draw, num = load(arguments)

    def drawn(sampler, seed):
        """(score, CPU seconds a picture), the judge's share included."""
        start = time.process_time()
        settings = Settings(sampler=sampler[0], steps=sampler[1], scale=arguments.scale, seed=seed)
        return draw(settings), (time.process_time() - start) / num

    results = {sampler: drawn(sampler, 5000) for sampler in SAMPLERS}
    reference, slow = (results[sampler][0].pictures for sampler in (REFERENCE, SLOW))
    print(
        f"{arguments.control}, {num} held-out maps, guidance {arguments.scale:g}, root mean square distances"
    )
    print("| sampler, steps | control mIoU | to DDIM at 200 | to DDIM at 50 | CPU seconds a picture |")
    print("|---|---|---|---|---|")
    for (name, steps), (score, seconds) in results.items():
        away = [distance(score.pictures, other) for other in (reference, slow)]
        print(f"| {name}, {steps} | {score.miou:.3f} | {away[0]:.4f} | {away[1]:.4f} | {seconds:.3f} |")
    mious, times = ({s: [results[s][i] if i else results[s][0].miou] for s in (FAST, SLOW)} for i in (0, 1))
    for i in range(1, arguments.seeds):
        for sampler in (FAST, SLOW) if i % 2 else (SLOW, FAST):
            score, seconds = drawn(sampler, 5000 + 1000 * i)
            mious[sampler].append(score.miou)
            times[sampler].append(seconds)
    for sampler, values in mious.items():
        print(f"{sampler[0]} at {sampler[1]}, by seed: {', '.join(f'{value:.3f}' for value in values)}")
    gaps = [a - b for a, b in zip(mious[FAST], mious[SLOW], strict=True)]
    ratios = [b / a for a, b in zip(times[FAST], times[SLOW], strict=True)]
    near, far = (distance(results[s][0].pictures, reference) for s in (FAST, SLOW))
    allowed = max(max(values) - min(values) for values in mious.values())
    equal = near <= ALLOWED_DISTANCE * far and abs(sum(gaps) / len(gaps)) <= allowed
    print(
        f"12 - 50 steps: mIoU {sum(gaps) / len(gaps):+.3f} on average, seeds differ by {allowed:.3f}; "
        f"{near / far:.2f} of the distance to 200 steps: {'equal quality' if equal else 'NOT EQUAL'}"
    )
    met = min(ratios) >= GOAL
    print(
        f"{min(ratios):.2f} to {max(ratios):.2f} times sooner ({GOAL:g} wanted: {'met' if met else 'short'})"
    )
    return 0 if equal and met else 1


if __name__ == "__main__":
    sys.exit(main())
