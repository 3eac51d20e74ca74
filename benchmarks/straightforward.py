"""The baseline: what a training item cost in the fashion project that this one follows.

Every mask of the photo is decoded at its full size by a loop over its runs, resized to 512 x 512, and
combined by sums; the photo is decoded at its full size and resized. All of it for every item in every epoch.
"""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

SIZE, SMALLEST = 512, 20


def whole_mask(rle: str, height: int, width: int):
    flat = np.zeros(height * width, np.uint8)
    numbers = list(map(int, rle.split()))
    for start, length in zip(numbers[0::2], numbers[1::2], strict=True):
        flat[start - 1 : start - 1 + length] = 1
    return flat.reshape((width, height)).T


def straightforward_hint(rows: list[list[str]]):
    """float32 (512, 512, 3) of a photo's rows: the regions as shades of grey."""
    parts = np.zeros((3, SIZE, SIZE), np.uint8)
    for _, rle, height, width, class_id in rows:
        mask = Image.fromarray(whole_mask(rle, int(height), int(width)))
        mask = np.array(mask.resize((SIZE, SIZE), Image.Resampling.BICUBIC))
        y, x = np.nonzero(mask)
        if not len(x) or min(np.ptp(x), np.ptp(y)) < SMALLEST:
            continue
        category = int(class_id.split("_")[0])
        for part, categories in enumerate((range(6), range(6, 9), range(9, 13))):
            if category in categories:
                parts[part] += mask
    code = parts[0].astype(np.float32) + 2 * parts[1] + 3 * parts[2]
    code[code > 3] = 1
    return np.stack([code / 3] * 3, axis=2)


def straightforward_item(photo: Path, rows: list[list[str]]) -> dict:
    image = cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB)
    image = cv2.resize(image, (SIZE, SIZE)).astype(np.float32) / 127.5 - 1
    return dict(jpg=image, txt="", hint=straightforward_hint(rows))
