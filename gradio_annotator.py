"""See side by side what the annotators make of a photo: edges, garment regions, poses.

python gradio_annotator.py      # the dolls' segmenter; more if models/annotators has weights for it
python gradio_annotator.py --segmenter models/annotators/cloth_segm_u2net_latest.pth --hands
python gradio_annotator.py --segmenter models/annotators/segformer_b2_clothes --device mps
"""

import argparse
import sys
from pathlib import Path

DOLLS, ANNOTATORS = "models/tiny/segmenter.safetensors", "models/annotators"


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--segmenter",
        metavar="PATH",
        action="append",
        help="a .safetensors or .pth file, a SegFormer's folder, or mediapipe's wheel; can be given again "
        f"(default: dolls', and the wheel in {ANNOTATORS})",
    )
    parser.add_argument(
        "--pose",
        metavar="PATH",
        help=f"folder of body_pose_model.pth, or mediapipe's wheel (default: what is in {ANNOTATORS})",
    )
    parser.add_argument("--hands", action="store_true", help="look for hands too: needs hand_pose_model.pth")
    parser.add_argument("--port", type=int, help="on 127.0.0.1 (default: the first free one from 7860)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, mps, ... (default: cpu)")
    return parser.parse_args()


def load_annotators(arguments):
    """What demo.annotators_page.build_page takes: the annotators, and why some are not there."""
    from annotator.openpose import load_pose_detector
    from annotator.openpose.wheel import WHERE, find_wheel
    from annotator.segment import load_segmenter
    from demo.annotators_page import show_poses, show_regions

    annotators, missing, wheel = {}, [], find_wheel(ANNOTATORS)
    for path in arguments.segmenter or ([DOLLS, wheel] if wheel else [DOLLS]):
        annotators[f"garments ({Path(path).name})"] = show_regions(load_segmenter(path, arguments.device))
    if not arguments.segmenter:
        missing.append("The shipped segmenter knows paper dolls only: `--segmenter` takes others.")
        missing += [] if wheel else [f"No rough guess of garments in photos: {WHERE}"]
    try:
        options = dict(hand=True) if arguments.hands else {}
        detector = load_pose_detector(arguments.pose or ANNOTATORS, arguments.device)
        annotators["pose"] = show_poses(detector, **options)
    except FileNotFoundError as error:
        if arguments.pose:
            raise
        missing.append(f"No poses: {error}")
    return annotators, missing


def main():
    arguments = parse_arguments()
    from demo.serve import serve_locally, stay_offline

    stay_offline()
    from demo.annotators_page import CSS, MAX_BYTES, build_page

    try:
        serve_locally(build_page(*load_annotators(arguments)), CSS, arguments.port, MAX_BYTES)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
