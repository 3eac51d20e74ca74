"""Names of what a doll's pixels show, and their ids in the label sets of the try-on data sets."""

# LIP's ids, but 10 is the torso's skin, as in VITON-HD's files
LIP = {
    "background": 0, "hat": 1, "hair": 2, "sunglasses": 4, "upper": 5, "dress": 6, "coat": 7, "pants": 9,
    "torso": 10, "jumpsuit": 6, "skirt": 12, "face": 13, "left arm": 14, "right arm": 15, "left leg": 16,
    "right leg": 17, "left shoe": 18, "right shoe": 19, "bag": 0, "eyes": 13, "mouth": 13,
}  # fmt: skip
ATR = {
    "background": 0, "hat": 1, "hair": 2, "sunglasses": 3, "upper": 4, "coat": 4, "skirt": 5, "pants": 6,
    "dress": 7, "jumpsuit": 7, "left shoe": 9, "right shoe": 10, "face": 11, "torso": 11, "left leg": 12,
    "right leg": 13, "left arm": 14, "right arm": 15, "bag": 16,
    "eyes": 11, "mouth": 11,
}  # fmt: skip
COCO_18 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye",
    "right_ear", "left_ear",
)  # fmt: skip
BODY_25 = (
    *COCO_18[:8], "middle_hip", *COCO_18[8:], "left_big_toe", "left_small_toe", "left_heel", "right_big_toe",
    "right_small_toe", "right_heel",
)  # fmt: skip


def list_keypoints(keypoints: dict, names, size):
    """[[x, y, score]] in a format's order: score 1, or all 0 for a joint outside the picture (H, W)."""
    rows = []
    for name in names:
        if name == "middle_hip":
            x, y = (keypoints["left_hip"] + keypoints["right_hip"]) / 2
        else:
            x, y = keypoints[name]
        inside = 0 <= x < size[1] and 0 <= y < size[0]
        rows.append([round(float(x), 3), round(float(y), 3), 1.0] if inside else [0.0, 0.0, 0.0])
    return rows
