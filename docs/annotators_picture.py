"""Make the picture that docs/annotators.md shows: a drawn doll, and what each annotator finds in it.

python docs/annotators_picture.py models/annotators docs/annotators.png
"""

import argparse

import numpy as np
from PIL import Image

from annotator.openpose import load_pose_detector
from annotator.page import show_all, show_poses, show_regions
from annotator.paperdoll import draw
from annotator.segment import load_segmenter


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pose", help="where the pose detector's weights are")
    parser.add_argument("output")
    arguments = parser.parse_args()
    garments = show_regions(load_segmenter("models/tiny/segmenter.safetensors"))
    annotators = {"garments": garments, "pose": show_poses(load_pose_detector(arguments.pose))}
    shown = show_all(draw(0, 21, 384).photo, annotators, 100, 200)
    Image.fromarray(np.hstack([picture for picture, _ in shown])).save(arguments.output, optimize=True)


if __name__ == "__main__":
    main()
