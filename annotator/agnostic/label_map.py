"""Label maps without the garment and the arms that it covers, as HR-VITON and VITON-HD read them."""

import numpy as np

from annotator.agnostic.person import Person
from annotator.agnostic.polygons import ARMS, OPPOSITE, ROWS, is_there
from annotator.agnostic.shapes import Canvas

REMOVED = 5, 6, 7, 10  # CIHP: upper clothes, dress, coat, torso skin
LABELS = {"left": 14, "right": 15}
LINE, DISC, LAST_DISC = 100, 150, 40  # a width and two radii at 1024 rows


def agnostic_label_map(person: Person, size: tuple[int, int], mended: bool = True) -> np.ndarray:
    """A CIHP label map uint8 (H, W) in which the top, the torso's skin and the arms are background.

    An arm's label goes where a path from the opposite shoulder over the arm passes. `mended` scales the path
    with the height and leaves out joints that lie outside the picture.
    """
    person = person.resize(*size)
    labels, pose = person.labels["cihp"].copy(), person.pose
    height, width = labels.shape
    scale = height / ROWS if mended else 1
    if mended:
        pose = pose.drop_joints_outside(width)
    labels[np.isin(labels, REMOVED)] = 0
    for side, joints in ARMS.items():
        canvas = Canvas(height, width)
        last = pose[OPPOSITE[side]]
        for joint in joints:
            if not is_there(pose, joint):
                continue
            radius = LAST_DISC if joint == joints[-1] else DISC
            canvas.draw_line([last, pose[joint]], round(LINE * scale))
            last = pose[joint]
            canvas.draw_disc(last, radius * scale)
        labels[canvas.mask & (labels == LABELS[side])] = 0
    return labels
