"""People's poses, as ControlNet's openpose models want them."""

from pathlib import Path

import numpy as np

from annotator.interface import Annotator, PictureMaps
from annotator.openpose.pose import Pose, draw_poses
from annotator.weights import fingerprint

__all__ = ["Pose", "draw_poses", "load_as_annotator", "load_pose_detector"]

USUAL_WEIGHTS = "models/annotators"


def load_pose_detector(path, device="cpu"):
    """OpenPose of a folder with body_pose_model.pth, or the light detector of mediapipe's wheel.

    Of a folder with both, OpenPose is taken. FileNotFoundError says where to get either.
    """
    from annotator.openpose.detector import BODY_FILE, OpenposeDetector
    from annotator.openpose.light import LightPoseDetector
    from annotator.openpose.wheel import WHERE, find_wheel

    wheel = find_wheel(path)
    if wheel and not Path(path, BODY_FILE).is_file():
        return LightPoseDetector.load(wheel)
    try:
        return OpenposeDetector.load(path, device)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; or take the light detector: {WHERE}") from error


def load_as_annotator(weights, options, device) -> Annotator:
    """Drawn poses by the detector of `weights`, or of models/annotators, with the hands of PoseOptions.

    ValueError for a detector that finds no hands if they are wanted.
    """
    from torch import OutOfMemoryError

    from annotator.openpose.detector import BODY_FILE, HAND_FILE
    from annotator.openpose.wheel import WHEELS

    weights = weights or USUAL_WEIGHTS
    detector, hands = load_pose_detector(weights, device), dict(hand=True) if options.hands else {}
    if hands:
        detector.poses(np.zeros((64, 64, 3), np.uint8), **hands)
    return Annotator(
        call=lambda photo: detector(photo, **hands),
        maps=PictureMaps("pose"),
        settings=dict(weights=fingerprint(weights, (BODY_FILE, HAND_FILE, WHEELS)), hands=options.hands),
        faults=(ValueError, OutOfMemoryError),
    )
