"""One annotated photo becomes one pair of files of a training folder: a region map and a photo."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from annotator.files import write_atomically

from .annotations import Row
from .maps import load_map, save_map
from .paint import region_map
from .regions import Regions

MULTIPLE = 64
ORIENTATION = 0x0112
DAMAGE = OSError, SyntaxError, Image.DecompressionBombError  # what Pillow raises for files


def open_photo(path: Path, height: int, width: int) -> Image.Image:
    """The photo at the size its annotation was made for; ValueError says why not."""
    if not path.exists():
        raise ValueError("the photo is missing")
    try:
        image = Image.open(path)
        image.load()
        if image.size != (width, height):
            # some tools store the photo turned, with a note in EXIF
            image = ImageOps.exif_transpose(image)
    except DAMAGE as error:
        raise ValueError(f"the photo can't be read: {error}") from error
    if image.mode[0] in "IF":
        raise ValueError(f"the photo has mode {image.mode}: 8 bits a channel are wanted")
    if image.size != (width, height):
        raise ValueError(f"the photo is {image.height} x {image.width}, train.csv says {height} x {width}")
    return image


def crop_box(ids, size: int) -> tuple[int, int, int, int]:
    """The largest square (left, top, right, bottom) whose middle is as near to the garments' as it gets."""
    height, width = ids.shape
    side = min(height, width)
    if side < size:
        raise ValueError(f"the photo's short side {side} is under {size} pixels: it would be blown up")
    rows, columns = np.flatnonzero(ids.any(axis=1)), np.flatnonzero(ids.any(axis=0))
    left = int(np.clip((columns[0] + columns[-1] + 1 - side) // 2, 0, width - side))
    top = int(np.clip((rows[0] + rows[-1] + 1 - side) // 2, 0, height - side))
    return left, top, left + side, top + side


def fit_pair(photo: Image.Image, ids, size: int):
    """Photo and map (h, w) of one size x size crop: the same box for both, no stretching, no mixed ids."""
    box, square = crop_box(ids, size), (size, size)
    small = Image.fromarray(ids).resize(square, Image.Resampling.NEAREST, box)
    return photo.convert("RGB").resize(square, Image.Resampling.LANCZOS, box), np.asarray(small)


def file_names(image: str) -> tuple[str, str]:
    """Where a training folder keeps the map and the photo of an image."""
    return f"source/{Path(image).stem}.png", f"target/{Path(image).stem}.jpg"


def prepare_picture(raw: Path, out: Path, rows: list[Row], table: str, size: int | None):
    """Write map and photo of one image.

    Returns:
        its region ids and its (height, width), read from the files if they are there already; or the reason
        (str) why the image is rejected.
    """
    image, height, width = rows[0].image, rows[0].height, rows[0].width
    source, target = (out / name for name in file_names(image))
    try:
        # the map is written last: where it is, the photo is. It may have been corrected by hand since.
        if source.exists() and target.exists():
            ids = _read_pair(source, target)
        else:
            # the photo first: its size tells whether the annotation's can be trusted with memory
            path = raw / "train" / image
            photo = open_photo(path, height, width)
            ids = _write_pair(
                path, photo, source, target, region_map(rows, height, width, Regions.read(table=table)), size
            )
    except ValueError as error:
        return str(error)
    return [int(region) for region in np.unique(ids) if region], ids.shape


def _read_pair(source: Path, target: Path):
    try:
        ids = load_map(source)
        with Image.open(target) as photo:
            size = photo.size
    except DAMAGE as error:
        raise ValueError(f"{source} or its photo can't be read, delete both: {error}") from error
    if ids.shape != size[::-1]:
        raise ValueError(f"{source} is {ids.shape[0]} x {ids.shape[1]}, its photo {size[1]} x {size[0]}")
    return ids


def _write_pair(path: Path, photo: Image.Image, source: Path, target: Path, ids, size: int | None):
    if not ids.any():
        raise ValueError("no garment of the table is annotated")
    height, width = ids.shape
    if size is None and (height % MULTIPLE or width % MULTIPLE):
        raise ValueError(f"{height} x {width} are no multiples of {MULTIPLE}: give a size")
    fits = size is None or (height, width) == (size, size)
    # a note in EXIF to turn the photo is heeded by some readers only; a photo turned above has no format
    upright = photo.format == "JPEG" and photo.getexif().get(ORIENTATION, 1) == 1
    untouched = fits and upright and photo.mode == "RGB"
    photo, ids = (photo.convert("RGB"), ids) if fits else fit_pair(photo, ids, size)
    if not ids.any():
        raise ValueError("no garment is left in the crop")
    data = io.BytesIO(path.read_bytes() if untouched else b"")
    if not untouched:
        photo.save(data, "JPEG", quality=95, subsampling=0)
    write_atomically(target, data.getvalue())
    save_map(source, ids)
    return ids
