"""What finds people's parts and poses in photos: what is named, else what is there."""

from annotator.agnostic.photos import USUAL_WEIGHTS, PersonFinder
from annotator.openpose import load_pose_detector
from annotator.segment import load_segmenter
from jobs.shipped import find_shipped


def load_finder(segmenter, pose, of_dolls, device) -> PersonFinder | None:
    """A PersonFinder, without a detector where there is none; None where there is nothing.

    Args:
        segmenter, pose: files or folders; None takes what lies in models/annotators, and for parts the dolls'
            own segmenter at last.

    Raises:
        FileNotFoundError, ValueError: what is named is missing or cannot be used.
    """
    parts = _load(load_segmenter, segmenter, device)
    poses = _load(load_pose_detector, pose, device)
    if parts is None and find_shipped(of_dolls).is_file():
        parts = load_segmenter(of_dolls, device)
    return None if parts is None else PersonFinder(parts, poses)


def _load(load, path, device):
    """What `load` makes of a path; of None, of the usual place, or None where nothing lies there."""
    if path is not None:
        return load(path, device)
    try:
        return load(USUAL_WEIGHTS, device)
    except FileNotFoundError:
        return None
