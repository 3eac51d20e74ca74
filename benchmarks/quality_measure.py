"""What one run's control is worth on dolls that nothing was trained on: maps exact and rough, and colours.

python benchmarks/quality_measure.py runs/dolls/control.safetensors --out measured.json   # a minute on a CPU
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
SEED = 78  # of the dolls: neither base, judge nor control was trained on them
ROUGH = 6  # pixels by which regions of the rough maps grow or shrink, and outlines get straightened


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("control", help="control.safetensors of a run")
    parser.add_argument("--out", help="JSON to write")
    parser.add_argument("--num", type=int, default=64, help="dolls (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=12, help="of the sampler (default: %(default)s)")
    parser.add_argument("--floor", action="store_true", help="also draw without control")
    return parser.parse_args()


def measure(control, num, steps, floor=False) -> dict[str, float]:
    """Shares from 0 to 1. Pictures from rough maps are compared with these, and with the exact ones meant.

    ceiling: mIoU of the dolls themselves, floor: of pictures without control, colours: garments in the
    colour that the caption gives them.
    """
    import numpy as np
    from check_tiny_base import colours_that_follow

    from annotator.segment import PixelSegmenter
    from batches.augment import RoughMaps
    from demo.garments.loading import load_for_demo
    from evaluation.control_miou import measure_control, region_iou, score_pictures
    from generation.generate import Settings
    from learning.segmenter.distorted_dolls import doll_regions
    from paperdoll import draw
    from pictures.hint import HintEncoder
    from pictures.regions import REGIONS_FILE

    demo = load_for_demo(control, None, HintEncoder.from_file(REGIONS_FILE), "cpu")
    names, judge = demo.encoder.names, PixelSegmenter.load("models/tiny/segmenter.safetensors").segment
    dolls = [draw(SEED, i, 128) for i in range(num)]
    maps, roughen = np.stack([doll_regions(doll) for doll in dolls]), RoughMaps(demo.encoder, ROUGH, ROUGH)
    rough = np.stack([roughen.ids(ids, np.random.default_rng([SEED, i])) for i, ids in enumerate(maps)])

    def scored(maps, strength=1.0):
        settings = Settings(steps=steps, scale=3.0, sampler="dpmpp_2m", seed=SEED)
        prompts = [doll.caption for doll in dolls]
        return measure_control(demo.model, maps, prompts, demo.encoder, judge, settings, strength=strength)

    exact, drawn = scored(maps), scored(rough)
    right, named = colours_that_follow(exact.pictures, exact.found, dolls, names)
    values = dict(
        miou=exact.miou,
        rough_meant=np.mean(list(region_iou(maps, drawn.found, names).values())),
        rough_followed=drawn.miou,
        colours=right / named,
        ceiling=score_pictures(np.stack([doll.photo for doll in dolls]), maps, judge, names).miou,
        rough_maps=np.mean(list(region_iou(maps, rough, names).values())),
    )
    values |= dict(floor=scored(maps, strength=0.0).miou) if floor else {}
    return {name: float(value) for name, value in values.items()}


def main():
    arguments = parse_arguments()
    values = measure(arguments.control, arguments.num, arguments.steps, arguments.floor)
    text = json.dumps(values | dict(dolls=arguments.num, steps=arguments.steps), indent=1)
    print(text)
    if arguments.out:
        from jobs.whole_files import write_atomically

        write_atomically(arguments.out, text.encode())


if __name__ == "__main__":
    main()
