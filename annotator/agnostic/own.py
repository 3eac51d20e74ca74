"""Our own mask styles: from the pose alone as far as it goes, a box around that, or a folder's region maps.

They read whatever label map there is (atr, cihp, lip or our regions), by the groups of labels in styles.yaml.
"""

import numpy as np

from annotator.agnostic.person import Person
from annotator.agnostic.shapes import Canvas, fill_convex_hulls, grow

ARMS = {side: [f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist")] for side in ("right", "left")}
LEGS = {side: [f"{side}_{joint}" for joint in ("hip", "knee", "ankle")] for side in ("right", "left")}


def mask_by_body(style, category: str, person: Person, mended: bool) -> np.ndarray:
    """What the category's garment could cover of this pose, and the worn garment, bool (H, W).

    Widths are in distances of the shoulders, so that they say nothing of the garment that is worn.
    """
    name, groups = find_groups(style, person)
    garment = person.find_labels(name, groups["garment"][category])
    height, width = garment.shape
    drawn, arms = draw_body(person.pose, category, height, width)
    mask = drawn | grow(garment, _odd(height * style.margin))
    hands = person.find_labels(name, groups["arms"]) & ~arms if category != "lower" else False
    return mask & ~(find_head(person, name, groups, category) | hands)


def find_head(person: Person, name: str, groups: dict, category: str) -> np.ndarray:
    """The head, bool (H, W), without the neck, whose label ends at the collar and would tell the neckline."""
    head = person.find_labels(name, groups["head"])
    if category == "lower" or person.pose is None or not person.pose.finds("neck"):
        return head
    unit = find_unit(person.pose, len(head))
    x, y = person.pose["neck"]
    columns = slice(max(int(x - unit), 0), int(x + unit) + 1)
    head[max(int(y - 0.25 * unit), 0) :, columns] = False
    return head


def mask_by_box(style, category: str, person: Person, mended: bool) -> np.ndarray:
    """The rectangle around the body's part and the worn garment, but for the head: bool (H, W)."""
    name, groups = find_groups(style, person)
    inside = person.find_labels(name, groups["garment"][category])
    height, width = inside.shape
    if person.pose is not None:
        inside = inside | draw_body(person.pose, category, height, width)[0]
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    mask = np.zeros_like(inside)
    if len(rows):
        margin = round(height * style.margin)
        top, left = max(rows[0] - margin, 0), max(columns[0] - margin, 0)
        mask[top : rows[-1] + margin + 1, left : columns[-1] + margin + 1] = True
    return mask & ~find_head(person, name, groups, category)


def mask_by_regions(style, category: str, person: Person, mended: bool) -> np.ndarray:
    """The category's regions of a map, grown by a share of the height, without the head: bool (H, W)."""
    garment = person.find_labels("regions", style.groups["regions"]["garment"][category])
    head = person.find_labels("regions", style.groups["regions"]["head"])
    return grow(garment, _odd(len(garment) * style.margin)) & ~head


def find_groups(style, person: Person) -> tuple[str, dict]:
    """The first label map of the person that the table groups, and its groups."""
    for name, groups in style.groups.items():
        if name in person.labels:
            return name, groups
    raise ValueError(f"this mask style reads one label map of {', '.join(style.groups)}; the person has none")


def draw_body(pose, category: str, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """(the body's part that a garment of a category may cover, the arms in it), bool (H, W) each."""
    unit = find_unit(pose, height)
    body, arms = Canvas(height, width), Canvas(height, width)
    if category != "lower":
        for joints in ARMS.values():
            draw_limb(arms, pose, joints, 0.55 * unit)
        hull = [
            pose[j] for j in ("right_shoulder", "left_shoulder", "left_hip", "right_hip") if pose.finds(j)
        ]
        if len(hull) > 2:
            body.draw_polygon(hull)
            body.draw_line([*hull, hull[0]], 0.7 * unit, curved=True)
        if pose.finds("neck"):
            body.draw_ellipse(pose["neck"] - (0, 0.12 * unit), 0.32 * unit, 0.28 * unit)
    mask = body.mask | arms.mask
    if category != "upper":
        legs = Canvas(height, width)
        for joints in LEGS.values():
            draw_limb(legs, pose, joints, 0.75 * unit)
        hips = [pose[joint] for joint in ("right_hip", "left_hip") if pose.finds(joint)]
        if len(hips) == 2:
            legs.draw_line(hips, 0.8 * unit)
        # a skirt fills what lies between the legs
        mask |= fill_convex_hulls(legs.mask)
    return mask, arms.mask


def find_unit(pose, height: int) -> float:
    """The distance of the shoulders in pixels; of a person seen from the side, a share of neck to hip."""
    lengths = [0.1 * height]
    if pose.finds("right_shoulder") and pose.finds("left_shoulder"):
        lengths = [float(np.hypot(*(pose["left_shoulder"] - pose["right_shoulder"])))]
    hips = [pose[joint] for joint in ("right_hip", "left_hip") if pose.finds(joint)]
    if pose.finds("neck") and hips:
        lengths.append(0.55 * float(np.hypot(*(np.mean(hips, axis=0) - pose["neck"]))))
    return max(lengths)


def draw_limb(canvas: Canvas, pose, joints, line_width: float) -> None:
    """A limb as far as its joints were found, with round ends but for the last."""
    points = []
    for joint in joints:
        if not pose.finds(joint):
            break
        points.append(pose[joint])
    if len(points) > 1:
        canvas.draw_line(points, line_width, curved=True)
        canvas.draw_disc(points[0], line_width / 2)


def _odd(number: float) -> int:
    return 2 * int(number / 2) + 1
