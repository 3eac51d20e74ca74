"""What a mask rule is told of a person: label maps and joints, brought to one size."""

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

JOINTS = {  # index of each joint in the files of a pose format
    "body25": dict(
        neck=1, right_shoulder=2, right_elbow=3, right_wrist=4, left_shoulder=5, left_elbow=6, left_wrist=7,
        right_hip=9, right_knee=10, right_ankle=11, left_hip=12, left_knee=13, left_ankle=14, nose=0,
    ),
    "coco18": dict(
        neck=1, right_shoulder=2, right_elbow=3, right_wrist=4, left_shoulder=5, left_elbow=6, left_wrist=7,
        right_hip=8, right_knee=9, right_ankle=10, left_hip=11, left_knee=12, left_ankle=13, nose=0,
    ),
}  # fmt: skip
NUM_JOINTS = {"body25": 25, "coco18": 18}
ROWS = {"body25": 1024, "coco18": 512}  # height of the picture that the published files' coordinates are in


@dataclass(frozen=True)
class Pose:
    """Joints of one person in pixels of a picture `height` rows high, left and right being the person's.

    points: x, y by the joint's name, (0, 0) for one that was not found.
    """

    points: dict[str, tuple[float, float]]
    height: int

    @classmethod
    def read(cls, keypoints, form: str, height: int | None = None) -> "Pose":
        """Of an array (n, 2 or more) whose columns begin with x, y, in the order of body25 or coco18.

        height: of the picture that the coordinates are in; None is what VITON-HD's (1024) and DressCode's
            files (512, though their pictures have 1024 rows) use.
        Raises:
            ValueError: an unknown format, or an array of another number of joints.
        """
        if form not in JOINTS:
            raise ValueError(f"a pose must be {' or '.join(JOINTS)}, got {form!r}")
        keypoints = np.asarray(keypoints, float)
        if keypoints.ndim != 2 or keypoints.shape[0] != NUM_JOINTS[form] or keypoints.shape[1] < 2:
            raise ValueError(
                f"{form} keypoints must be ({NUM_JOINTS[form]}, x y …), got an array {keypoints.shape}"
            )
        points = {name: tuple(map(float, keypoints[i, :2])) for name, i in JOINTS[form].items()}
        return cls(points, height or ROWS[form])

    def scale(self, height: int) -> "Pose":
        """The same joints in a picture `height` rows high."""
        factor = height / self.height
        points = {name: (x * factor, y * factor) for name, (x, y) in self.points.items()}
        return Pose(points, height)

    def drop_joints_outside(self, width: int) -> "Pose":
        """Joints that lie outside the picture are missing: a line to them would cross it."""
        inside = {
            name: (x, y) if 0 <= x < width and 0 <= y < self.height else (0.0, 0.0)
            for name, (x, y) in self.points.items()
        }
        return Pose(inside, self.height)

    def __getitem__(self, joint: str) -> np.ndarray:
        return np.array(self.points[joint])

    def finds(self, joint: str) -> bool:
        """Whether a joint is there, by the rule of the published readers: not both coordinates at most 1."""
        x, y = self.points[joint]
        return not (x <= 1 and y <= 1)


@dataclass(frozen=True)
class Person:
    """Label maps by their label set, uint8 (h, w) each, and the pose.

    labels: of "cihp", "lip", "atr" (18 where the neck is split off), "densepose" (parts 0 to 24), "regions".
    """

    labels: dict[str, np.ndarray] = field(default_factory=dict)
    pose: Pose | None = None

    def resize(self, height: int, width: int) -> "Person":
        """Labels by nearest neighbour, joints by the height."""
        labels = {name: resize_labels(ids, height, width) for name, ids in self.labels.items()}
        return Person(labels, self.pose and self.pose.scale(height))

    def find_labels(self, name: str, ids) -> np.ndarray:
        """Where a label map has one of some ids, bool (h, w).

        Raises:
            ValueError: the person has no such map.
        """
        if name not in self.labels:
            there = ", ".join(self.labels) or "none"
            raise ValueError(f"this mask style reads labels of {name}; the person has maps of: {there}")
        return np.isin(self.labels[name], list(ids))


def resize_labels(ids, height: int, width: int) -> np.ndarray:
    """A label map uint8 (h, w) at another size, by nearest neighbour."""
    if ids.shape == (height, width):
        return ids
    return np.asarray(Image.fromarray(ids).resize((width, height), Image.Resampling.NEAREST))
