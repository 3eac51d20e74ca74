"""Pixels of a person and a garment become what the conditions of try-on read, of a folder and of photos."""

import numpy as np

GREY = 0.0  # of what is masked out, in [-1, 1]
CATEGORIES = "upper", "lower", "dress", "shoes", "bag"  # a garment's category_id is its place
MASKS = "mask", "garment_mask"


def compose_item(parts: dict) -> dict:
    """The pictures of a TryonDataset's item, float32 HWC.

    Args:
        parts: uint8 (H, W, 3) jpg, garment and, where there are joints, pose and mirrored_pose; bool
            (H, W, 1) mask, True is repainted, and garment_mask.
    """
    masks = {key: parts[key].astype(np.float32) for key in MASKS}
    shown = {key: x.astype(np.float32) / 127.5 - 1 for key, x in parts.items() if key not in MASKS}
    agnostic = cover_with_grey(shown["jpg"], masks["mask"])
    return shown | masks | dict(agnostic=agnostic, garment_pixels=parts["garment"])


def cover_with_grey(photo, mask):
    """A photo float32 (H, W, 3) in [-1, 1], grey where the mask float32 (H, W, 1) is 1."""
    return photo * (1 - mask) + GREY * mask


def number_category(category: str, name: str) -> int:
    """The category_id of a garment; ValueError names a garment of a category that is none."""
    if category not in CATEGORIES:
        raise ValueError(f"{name} has category {category!r}: want one of {', '.join(CATEGORIES)}")
    return CATEGORIES.index(category)
