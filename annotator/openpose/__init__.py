"""People's poses, as ControlNet's openpose models want them."""

from pathlib import Path

from annotator.openpose.pose import Pose, draw_poses

__all__ = ["Pose", "draw_poses", "load_pose_detector"]


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
