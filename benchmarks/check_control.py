"""Control mIoU on held-out maps that neither the run's curve nor the sweep of rates has used.

python benchmarks/check_control.py runs/dolls/control.safetensors          # about a minute on a CPU
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("control", help="control.safetensors of a run")
    parser.add_argument("--data", default="training/dolls", help="its training folder (default: %(default)s)")
    parser.add_argument(
        "--first", type=int, default=32, help="held-out item to start at (default: %(default)s)"
    )
    parser.add_argument("--num", type=int, default=96, help="how many (default: %(default)s)")
    arguments = parser.parse_args()

    import numpy as np

    from annotator.segment import PixelSegmenter
    from demo.garments.loading import load_for_demo
    from evaluation.control_miou import measure_control, score_pictures
    from generation.generate import Settings
    from pictures.hint import HintEncoder
    from pictures.regions import REGIONS_FILE
    from tutorial_dataset import MyDataset

    demo = load_for_demo(arguments.control, None, HintEncoder.from_file(REGIONS_FILE), "cpu")
    judge = PixelSegmenter.load("models/tiny/segmenter.safetensors").segment
    dataset = MyDataset(arguments.data, "val")
    items = [dataset[i] for i in range(arguments.first, min(arguments.first + arguments.num, len(dataset)))]
    maps = np.stack([demo.encoder.to_ids((item["hint"] * 255).round()) for item in items])
    photos = np.stack([((item["jpg"] + 1) * 127.5).round() for item in items]).astype(np.uint8)
    prompts = [item["txt"] for item in items]
    settings = Settings(steps=12, scale=3.0, sampler="dpmpp_2m", seed=5000)
    results = {"ceiling": score_pictures(photos, maps, judge, demo.encoder.names)}
    for name, strength in (("floor", 0.0), ("control", 1.0)):
        given = demo.model, maps, prompts, demo.encoder, judge, settings
        results[name] = measure_control(*given, strength=strength)
    for name, result in results.items():
        regions = ", ".join(f"{region} {value:.3f}" for region, value in result.iou.items())
        print(f"{name}: mIoU {result.miou:.3f} on {len(items)} maps ({regions})", flush=True)


if __name__ == "__main__":
    main()
