"""Masks by arm lines: LaDI-VTON, DressCode, IDM-VTON and OOTDiffusion.

All have one form: garment labels, drawn arms and the neck, grown by squares, minus what is kept. They differ
in labels, widths and sizes (styles.yaml), and in how an arm is drawn whose wrist was not found.
"""

import numpy as np

from annotator.agnostic.person import Person
from annotator.agnostic.shapes import Canvas, fill_holes, fill_largest, grow

ARM_CHAIN = "left_wrist left_elbow left_shoulder right_shoulder right_elbow right_wrist".split()
WRIST_BEYOND = 1.2  # OOTDiffusion's forearm, in lengths from elbow to wrist
NECK_ROWS = 20 / 512  # how far above the line of the shoulders LaDI-VTON cuts the neck, of the height


def mask_by_chain(style, category: str, person: Person, mended: bool) -> np.ndarray:
    """One line from wrist over both shoulders to wrist (LaDI-VTON, DressCode, IDM-VTON): bool (H, W)."""
    garment = person.find_labels(style.labels, style.garment[category])
    kept = person.find_labels(style.labels, style.kept[category])
    head = person.find_labels(style.labels, style.head)
    height, width = garment.shape
    if category in style.with_arms:
        drawn = draw_chain(person.pose, height, width, style.arm_width_at(height), style.whole_pixels, mended)
        drawn = grow_if(drawn, style.grow_arms_at(height))
        kept |= person.find_labels(style.labels, style.arms) & ~drawn
        garment |= drawn
        if style.neck_cut:
            above = find_above_shoulders(person.pose, height, width, mended)
            garment |= head & ~above
            head &= above
    return grow_if(garment, style.grow_mask_at(height)) & ~(kept | head)


def grow_if(mask, growth) -> np.ndarray:
    """Grown by (side, times), or as it is where that is None."""
    return grow(mask, *growth) if growth else mask


def draw_chain(
    pose, height: int, width: int, line_width: int, whole_pixels: bool, mended: bool
) -> np.ndarray:
    """The arms as one line; with a wrist missing it ends at that arm's elbow, or else at its shoulder.

    Of two missing wrists the published rule looks at the right one alone, and draws the line to the picture's
    corner for the other; `mended` leaves out each joint that is missing.
    """
    chain = list(ARM_CHAIN)
    if mended:
        # from the shoulders outwards, each arm as far as its joints were found
        left = _reach(pose, ["left_shoulder", "left_elbow", "left_wrist"])
        right = _reach(pose, ["right_shoulder", "right_elbow", "right_wrist"])
        chain = left[::-1] + right
    elif not pose.finds("right_wrist"):
        chain = chain[:5] if pose.finds("right_elbow") else chain[:4]
    elif not pose.finds("left_wrist"):
        chain = chain[1:] if pose.finds("left_elbow") else chain[2:]
    canvas = Canvas(height, width)
    points = [pose[joint] for joint in chain]
    if whole_pixels:
        points = [np.trunc(point) for point in points]
    if len(points) > 1:
        canvas.draw_line(points, line_width, curved=True)
    return canvas.mask


def _reach(pose, joints) -> list[str]:
    reached = []
    for joint in joints:
        if not pose.finds(joint):
            break
        reached.append(joint)
    return reached


def find_above_shoulders(pose, height: int, width: int, mended: bool) -> np.ndarray:
    """Where a picture lies above the line through the shoulders, lifted by 20 of 512 rows: bool (H, W).

    The published rule follows the line to the picture's edges and so cuts the face of a smaller person
    beside; `mended` cuts no farther out than half the distance of the shoulders, and not without these.
    """
    right, left = pose["right_shoulder"], pose["left_shoulder"]
    above = np.ones((height, width), bool)
    if mended and not (pose.finds("right_shoulder") and pose.finds("left_shoulder") and right[0] != left[0]):
        return above
    columns = np.arange(width)
    slope, offset = np.linalg.lstsq(
        np.array([[right[0], 1.0], [left[0], 1.0]]), np.array([right[1], left[1]]), rcond=None
    )[0]
    rows = (columns * slope + offset - NECK_ROWS * height).astype(int)
    if mended:
        rows = np.clip(rows, 0, height)
        reach = 0.5 * abs(right[0] - left[0])
        outside = (columns < min(right[0], left[0]) - reach) | (columns > max(right[0], left[0]) + reach)
        rows[outside] = height
    for column, row in zip(columns, rows, strict=True):
        above[row:, column] = False  # a negative row counts from the bottom, as in the published rule
    return above


def mask_by_arms(style, category: str, person: Person, mended: bool) -> np.ndarray:
    """Each arm on its own, then holes filled and the largest part taken (OOTDiffusion): bool (H, W)."""
    garment = grow(person.find_labels(style.labels, style.garment[category]), 5, 5)
    kept = person.find_labels(style.labels, style.kept[category])
    head = person.find_labels(style.labels, style.head)
    height, width = garment.shape
    if category in style.with_arms:
        arms = np.zeros_like(garment)
        for side, label in zip(("left", "right"), style.arms, strict=True):
            arm = person.find_labels(style.labels, [label])
            drawn = draw_arm(person.pose, side, height, width, style.arm_width_at(height), arm, mended)
            kept |= arm & ~drawn
            arms |= drawn
        neck = grow(person.find_labels(style.labels, style.neck), 5) & ~head
        garment = garment | neck | grow(arms, 5, 4)
    mask = garment & ~(kept | head)
    mask[0] = mask[-1] = mask[:, 0] = mask[:, -1] = False
    if mended:
        return fill_holes(mask) & ~(kept | head)
    return fill_largest(fill_holes(mask))


def draw_arm(pose, side: str, height: int, width: int, line_width: int, arm, mended: bool) -> np.ndarray:
    """Shoulder, elbow, and the wrist a fifth farther out; without a wrist the arm's label, bool (H, W)."""
    joints = [f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist"]
    shoulder, elbow, wrist = (np.trunc(pose[joint]) for joint in joints)
    if not all(pose.finds(joint) for joint in (joints if mended else joints[2:])):
        return arm.copy()
    wrist = np.trunc(elbow + WRIST_BEYOND * (wrist - elbow))
    canvas = Canvas(height, width)
    ends = [wrist, elbow, shoulder] if side == "left" else [shoulder, elbow, wrist]
    canvas.draw_line(ends, line_width, curved=True)  # of an even width, the direction decides about a pixel
    canvas.draw_disc(shoulder, line_width // 2)
    return canvas.mask
