"""Make the picture that docs/annotators.md shows: a drawn doll and photos, and what each annotator finds.

python docs/annotators_picture.py models/annotators docs/annotators.png astronaut.png grace_hopper.jpg

The folder holds mediapipe's wheel: the garments of photos are those by rules. The photos shown are in the
public domain: scikit-image's astronaut (NASA), matplotlib's grace_hopper (US Navy).
"""

import argparse

import cv2
import numpy as np
from PIL import Image

from annotator.openpose import load_pose_detector
from annotator.segment import load_segmenter
from demo.annotators_page import show_all, show_poses, show_regions
from paperdoll import draw

SIDE = 384


def fitted(picture):
    """The middle of a picture, uint8 (SIDE, SIDE, 3)."""
    factor = SIDE / min(picture.shape[:2])
    picture = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    top, left = ((side - SIDE) // 2 for side in picture.shape[:2])
    return picture[top : top + SIDE, left : left + SIDE]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", help="folder of mediapipe's wheel")
    parser.add_argument("output")
    parser.add_argument("photos", nargs="*")
    arguments = parser.parse_args()
    dolls, people = (load_segmenter(path) for path in ("models/tiny/segmenter.safetensors", arguments.wheel))
    photos = [(draw(0, 5, SIDE).photo, dolls)]
    photos += [(fitted(np.array(Image.open(path).convert("RGB"))), people) for path in arguments.photos]
    pose, rows = show_poses(load_pose_detector(arguments.wheel)), []
    for photo, segmenter in photos:
        shown = show_all(photo, {"garments": show_regions(segmenter), "pose": pose}, 100, 200)
        rows.append(np.hstack([picture for picture, _ in shown]))
    Image.fromarray(np.vstack(rows)).save(arguments.output, optimize=True)


if __name__ == "__main__":
    main()
