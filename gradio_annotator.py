"""See side by side what the annotators make of a photo: edges, garment regions, poses.

python gradio_annotator.py      # the dolls' segmenter; more if models/annotators has weights for it
python gradio_annotator.py --segmenter models/annotators/cloth_segm_u2net_latest.pth --hands
python gradio_annotator.py --segmenter models/annotators/segformer_b2_clothes --device mps
"""

from pathlib import Path

from jobs.command_line import Parser, entry_point

DOLLS, ANNOTATORS = "models/tiny/segmenter.safetensors", "models/annotators"


def parse_arguments():
    parser = Parser(__doc__)
    add = parser.add_argument
    text = (
        "A .safetensors or .pth file, a SegFormer's folder, or mediapipe's wheel. Several can be given. "
        f"Without any, the dolls' is shown, and the wheel if it is in {ANNOTATORS}."
    )
    parser.share("--segmenter", action="append", type=None, help=text)
    text = f"The folder of body_pose_model.pth, or mediapipe's wheel. Without it, {ANNOTATORS}."
    add("--pose", metavar="PATH", help=text)
    add("--hands", action="store_true", help="Look for hands, too. This needs hand_pose_model.pth.")
    parser.share("--port", "--device")
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


@entry_point("stopped")
def main():
    arguments = parse_arguments()
    from demo.start import prepare_server

    prepare_server()
    from demo.annotators_page import CSS, build_page
    from demo.serve import serve
    from jobs.devices import pick_device

    arguments.device = pick_device(arguments.device)
    serve(build_page(*load_annotators(arguments)), CSS, arguments.port)


if __name__ == "__main__":
    main()
