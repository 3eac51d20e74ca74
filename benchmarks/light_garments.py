"""How far the garments by rules agree with the maps of drawn dolls: a check of the rules, not of photos.

python benchmarks/light_garments.py models/annotators    # mediapipe's wheel, or its folder; a minute on a CPU
python benchmarks/light_garments.py models/annotators --num 8 --size 256

The rules know no head: hats and glasses count as background.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
SEED = 77


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", help="mediapipe's wheel, or the folder that it is in")
    parser.add_argument("--num", type=int, default=128, help="dolls (default: %(default)s)")
    parser.add_argument("--size", type=int, default=512, help="of them, in pixels (default: %(default)s)")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    from annotator.segment import load_segmenter
    from learning.segmenter.distorted_dolls import doll_regions
    from paperdoll import draw
    from pictures.region_overlap import confusion, iou_per_region, mean_iou

    segmenter, counts, nobody, seconds = load_segmenter(arguments.wheel), 0, 0, 0.0
    for index in range(arguments.num):
        doll = draw(SEED, index, arguments.size)
        wanted = doll_regions(doll)
        wanted[wanted >= len(segmenter.names)] = 0
        started = time.process_time()
        found = segmenter(doll.photo)
        seconds += time.process_time() - started
        nobody += not found.any()
        counts = counts + confusion(found, wanted, len(segmenter.names))
    ious = zip(segmenter.names, iou_per_region(counts), strict=True)
    print(f"{arguments.num} dolls at {arguments.size} pixels, no garment found in {nobody}")
    print(f"mIoU {mean_iou(counts):.3f}: {', '.join(f'{name} {iou:.3f}' for name, iou in ious)}")
    print(f"{seconds / arguments.num:.2f} CPU seconds a doll")


if __name__ == "__main__":
    main()
