"""What people give of a photo, files or arrays: read, checked, and cut as preparation cuts a folder's."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from annotator.agnostic import Pose
from ldm.util import check_known
from pictures.crops import Crop
from pictures.photo import FILTER, open_photo
from pictures.region_maps import load_map
from pictures.unusable import Unusable
from preparation.fittings.one_fitting import HIGHEST, crop_to, form_of, read_labels, read_mask, read_pose

LABEL_SETS = *HIGHEST, "regions"
ENLARGED = 4  # times at most: of a photo that is smaller, nothing is left to see
WHITE, ROOM = 255, 0.06  # around a garment that is cut out, as around one on a product picture


@dataclass(frozen=True, eq=False)
class Pixels:
    """A picture uint8 (h, w, 3) that is cut as a pictures.photo.Photo is."""

    pixels: np.ndarray

    @property
    def height(self) -> int:
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        return self.pixels.shape[1]

    def cut(self, crop: Crop) -> np.ndarray:
        """The crop's pixels, uint8 (h, w, 3)."""
        size = crop.width, crop.height
        return np.asarray(Image.fromarray(self.pixels).resize(size, FILTER, crop.to_list(), reducing_gap=2.0))


def open_any(photo):
    """A file as a Photo, an array as Pixels; Unusable or FileNotFoundError says why there is none."""
    if not isinstance(photo, np.ndarray):
        if not Path(photo).is_file():
            raise FileNotFoundError(f"{photo} is missing")
        return open_photo(Path(photo))
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or not photo.size:
        raise Unusable(f"a photo must be uint8 (h, w, 3), got {photo.dtype} {photo.shape}")
    return Pixels(photo)


def crop_photo(photo, size) -> Crop:
    """`crop_to`; Unusable for a photo that is too small."""
    crop = crop_to(photo.height, photo.width, size)
    if crop.scale * ENLARGED < 1:
        raise Unusable(
            f"it is {photo.height} x {photo.width} and would be enlarged {1 / max(crop.scale, 1e-3):.1f} "
            f"times to {size[0]} x {size[1]}, {ENLARGED} times at most is wanted: give a larger photo"
        )
    return crop


def whole_of(photo) -> Crop:
    """The crop that is all of a photo, at its own size."""
    return Crop(0.0, 0.0, float(photo.width), float(photo.height), photo.height, photo.width)


def read_ids(ids, labels: str, shape) -> np.ndarray:
    """Ids uint8 (h, w) of a label map, a file or an array, of a photo of that shape."""
    check_known(labels, LABEL_SETS, "label set,")
    if not isinstance(ids, np.ndarray):
        if labels != "regions":
            return read_labels(Path(ids), labels, shape)
        ids = load_map(ids)
    if ids.dtype != np.uint8 or ids.shape != tuple(shape):
        raise Unusable(f"its {labels} map is {ids.dtype} {ids.shape}, wanted uint8 {tuple(shape)}")
    return ids


def read_bool(mask, shape, subject: str) -> np.ndarray:
    """bool (h, w) of a mask, a file or an array, of a photo of that shape."""
    if not isinstance(mask, np.ndarray):
        return read_mask(Path(mask), tuple(shape), subject)
    if mask.shape[:2] != tuple(shape):
        raise Unusable(f"its mask is {mask.shape[0]} x {mask.shape[1]}, {subject} {shape[0]} x {shape[1]}")
    mask = mask if mask.ndim == 2 else mask[..., 0]
    return mask if mask.dtype == bool else mask >= 128


def read_joints(joints, height: int) -> Pose:
    """The Pose of a file or an array of joints in the pixels of a photo so many rows high."""
    if not isinstance(joints, np.ndarray):
        return read_pose(Path(joints), None, height)
    try:
        return Pose.read(joints, form_of(joints), height)
    except ValueError as error:
        raise Unusable(str(error)) from error


def cut_out(photo, mask, size):
    """(a worn garment on white, its mask bool (h, w)): its box with some room, of the shape of a size."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        raise Unusable("the garment's mask is empty")
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    cut, inside = photo.cut(whole_of(photo))[box], mask[box]
    height, width = inside.shape
    scale = (1 + 2 * ROOM) * max(height / size[0], width / size[1])
    tall, wide = round(scale * size[0]), round(scale * size[1])
    canvas, covered = np.full((tall, wide, 3), WHITE, np.uint8), np.zeros((tall, wide), bool)
    top, left = (tall - height) // 2, (wide - width) // 2
    place = slice(top, top + height), slice(left, left + width)
    canvas[place] = np.where(inside[..., None], cut, np.uint8(WHITE))
    covered[place] = inside
    return Pixels(canvas), covered
