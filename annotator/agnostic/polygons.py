"""Masks by polygons on the joints: VITON-HD and HR-VITON, whose agnostic pictures come with the data set."""

import numpy as np

from annotator.agnostic.person import Person, Pose
from annotator.agnostic.shapes import Canvas

ROWS = 1024  # of the pictures that VITON-HD's fixed radius is meant for
TORSO = 1.6  # length from shoulders to hips in distances of the shoulders, where no hip was found
ARMS = {
    "left": ("left_shoulder", "left_elbow", "left_wrist"),
    "right": ("right_shoulder", "right_elbow", "right_wrist"),
}
OPPOSITE = {"left": "right_shoulder", "right": "left_shoulder"}


def mask_by_polygons(style, category: str, person: Person, mended: bool) -> np.ndarray:
    """Torso, neck and arms, drawn as wide as the shoulders say, minus what is kept: bool (H, W)."""
    garment = person.find_labels(style.labels, style.garment[category])
    kept = person.find_labels(style.labels, style.kept[category])
    pose, (height, width) = person.pose, garment.shape
    if mended and not (pose.finds("right_shoulder") and pose.finds("left_shoulder")):
        return garment & ~kept  # nothing says how wide the person is
    pose, distance = widen_hips(pose, mended)
    r = style.radius * height / ROWS if style.radius else int(distance / 16) + 1
    body = Canvas(height, width)
    draw_torso(body, pose, r)
    right, left = pose["right_shoulder"], pose["left_shoulder"]
    draw_neck(body, pose, r, style, mended)
    if style.round_shoulders:
        body.draw_line([right, left], style.shoulder_line * r)
        for shoulder in (right, left):
            body.draw_ellipse(shoulder, 5 * r, 5 * r)
    else:
        body.draw_line([right, left], style.shoulder_line * r)
        for shoulder in (right, left):
            body.draw_ellipse(shoulder, 5 * r, 6 * r)
    for joints in ARMS.values():
        draw_arm(body, pose, joints, r)
    mask = body.mask & ~kept
    for joints, label in zip(ARMS.values(), style.arms, strict=True):
        if style.hands_kept:
            thin = Canvas(height, width)
            draw_thin_arm(thin, pose, joints, r)
            mask &= ~(person.find_labels(style.labels, [label]) & ~thin.mask)
    return mask


def is_there(pose: Pose, joint: str) -> bool:
    """VITON-HD's own test: neither coordinate is 0."""
    x, y = pose.points[joint]
    return x != 0 and y != 0


def widen_hips(pose: Pose, mended: bool) -> tuple[Pose, float]:
    """The pose with hips as far apart as the shoulders, and that distance."""
    right, left = pose["right_shoulder"], pose["left_shoulder"]
    distance = float(np.hypot(*(left - right)))
    right_hip, left_hip = pose["right_hip"], pose["left_hip"]
    if mended:
        right_hip, left_hip = guess_hips(pose, right, left)
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = (right_hip + left_hip) / 2
        factor = np.float64(distance) / np.hypot(*(left_hip - right_hip))
        hips = {
            "right_hip": tuple(middle + (right_hip - middle) * factor),
            "left_hip": tuple(middle + (left_hip - middle) * factor),
        }
    return Pose(pose.points | hips, pose.height), distance


def guess_hips(pose: Pose, right, left):
    """Right and left hip; a missing one lies below its shoulder, as far as the other, or as TORSO says."""
    across = left - right
    down = np.array([-across[1], across[0]])
    down = down if down[1] >= 0 else -down
    found = {side: pose[f"{side}_hip"] for side in ("right", "left") if pose.finds(f"{side}_hip")}
    if len(found) == 2 and np.hypot(*(found["left"] - found["right"])) >= 1:
        return found["right"], found["left"]
    lengths = [np.hypot(*(hip - shoulder)) for side, hip in found.items()
               for shoulder in [right if side == "right" else left]]  # fmt: skip
    length = lengths[0] / max(np.hypot(*down), 1) if lengths else TORSO
    return right + down * length, left + down * length


def draw_torso(canvas: Canvas, pose: Pose, r: float) -> None:
    right, left, right_hip, left_hip = (
        pose[joint] for joint in ("right_shoulder", "left_shoulder", "right_hip", "left_hip")
    )
    for hip in (right_hip, left_hip):
        canvas.draw_ellipse(hip, 3 * r, 6 * r)
    canvas.draw_line([right, right_hip], 6 * r)
    canvas.draw_line([left, left_hip], 6 * r)
    canvas.draw_line([right_hip, left_hip], 12 * r)
    canvas.draw_polygon([right, left, left_hip, right_hip])


def draw_neck(canvas: Canvas, pose: Pose, r: float, style, mended: bool) -> None:
    if mended and not pose.finds("neck"):
        return
    x, y = pose["neck"]
    if style.square_neck:
        canvas.draw_rectangle(x - 7 * r, y - 7 * r, x + 7 * r, y + 7 * r)
    else:
        canvas.draw_rectangle(x - 5 * r, y - 9 * r, x + 5 * r, y)


def draw_arm(canvas: Canvas, pose: Pose, joints, r: float) -> None:
    """Each segment whose both ends were found, with a disc at its far end."""
    for near, far in zip(joints, joints[1:], strict=False):
        if is_there(pose, near) and is_there(pose, far):
            canvas.draw_line([pose[near], pose[far]], 10 * r)
            canvas.draw_disc(pose[far], 5 * r)


def draw_thin_arm(canvas: Canvas, pose: Pose, joints, r: float) -> None:
    """The arm as far as it was found, ending in a smaller disc: what of its label lies outside is a hand."""
    canvas.draw_ellipse(pose[joints[0]], 5 * r, 6 * r)
    last = joints[0]
    for near, far in zip(joints, joints[1:], strict=False):
        if is_there(pose, near) and is_there(pose, far):
            canvas.draw_line([pose[near], pose[far]], 10 * r)
            if far != joints[-1]:
                canvas.draw_disc(pose[far], 5 * r)
            last = far
    canvas.draw_disc(pose[last], 4 * r)
