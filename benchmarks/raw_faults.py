"""Every fault that raw data can have, planted on purpose: in photos, in their files, in their rows."""

import io

import cv2
import numpy as np
from PIL import Image
from raw_scene import Scene

# the rest of the photo is good, and stays in use
ROW_FAULTS = (
    "rle_out_of_range",
    "rle_odd",
    "rle_overlapping",
    "rle_unsorted",
    "rle_empty",
    "unknown_class",
    "unknown_attribute",
    "bad_size",
    "wrong_fields",
    "row_size",
)
# nothing of the photo can be used
FILE_FAULTS = (
    "missing",
    "truncated",
    "not_jpeg",
    "empty_file",
    "photo_size",
    "exif_wrong",
    "no_rows",
    "tiny",
)
# turned photos that must not be lost: annotated as they are shown, or as they are stored
GOOD_TURNS = ("exif_turned", "exif_stored")
COPIES = ("copy_exact", "copy_encoded", "copy_resized", "copy_mirrored", "copy_grey")
# kind: the checks of tool_prepare_data.py that may name it
LOOKS = {
    "blurred": ("blurred",),
    "dark": ("too_dark",),
    "bright": ("too_bright",),
    "grey": ("greyscale",),
    "jpeg_wreck": ("jpeg_wreck", "jpeg_blocks"),
    "wreck_saved_again": ("jpeg_blocks",),
    "only_bag": ("no_garment",),
    "person_apart": ("maybe_unlabelled_people", "unlabelled_people"),
    "person_near": ("maybe_unlabelled_people", "unlabelled_people"),
} | dict.fromkeys(COPIES, ("near_duplicate",))
KINDS = (*ROW_FAULTS, *FILE_FAULTS, *GOOD_TURNS, *LOOKS)


def spoil_pixels(kind: str, rng, pixels):
    """What a photo of such a fault looks like: uint8 (h, w, 3), RGB."""
    if kind == "blurred":
        return cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.006, 0.015) * max(pixels.shape[:2]))
    if kind == "dark":
        return np.uint8(pixels * rng.uniform(0.08, 0.2))
    if kind == "bright":
        return np.uint8(255 - (255 - pixels) * rng.uniform(0.08, 0.28))
    if kind in ("grey", "copy_grey"):
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        sepia = rng.random() < 0.3 and kind == "grey"
        return np.uint8(grey[:, :, None] * ((1, 0.9, 0.74) if sepia else (1, 1, 1)))
    if kind == "wreck_saved_again":
        wreck = encode(pixels, int(rng.integers(5, 11)))
        return np.asarray(Image.open(io.BytesIO(wreck)))
    return pixels


def spoil_scene(kind: str, rng, scene: Scene) -> Scene:
    """A scene as a copy of it, or a photo of such a fault, shows it."""
    if kind == "copy_mirrored":
        scene = scene.mirrored()
    elif kind == "copy_resized":
        scene = scene.resized(rng.uniform(0.6, 0.85))
    return Scene(spoil_pixels(kind, rng, scene.pixels), scene.persons)


def encode(pixels, quality: int, orientation: int = 1) -> bytes:
    """A JPEG with half the chroma in both directions, as cameras write it; turned if EXIF shall say so."""
    turns = {1: 0, 6: 1, 8: 3}[orientation]
    exif, data = Image.Exif(), io.BytesIO()
    if turns:
        exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(pixels, turns)))
    stored.save(data, "JPEG", quality=quality, subsampling=2, exif=exif)
    return data.getvalue()


def photo_file(kind: str, rng, pixels, quality: int) -> bytes | None:
    """The file of a photo with such a fault; None where the fault is that there is none."""
    turned = int(rng.choice([6, 8]))
    if kind == "missing":
        return None
    if kind == "empty_file":
        return b""
    if kind == "not_jpeg":
        return b"<html><head><title>404 Not Found</title></head><body>gone</body></html>\n" * 40
    if kind == "jpeg_wreck":
        return encode(pixels, int(rng.integers(5, 11)))
    if kind == "grey":
        one_channel = rng.random() < 0.3
        return encode(pixels[:, :, 0] if one_channel else pixels, quality)
    if kind in ("photo_size", "exif_wrong"):
        smaller = cv2.resize(pixels, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)
        return encode(smaller, quality, turned if kind == "exif_wrong" else 1)
    if kind == "exif_turned":
        return encode(pixels, quality, turned)
    if kind == "exif_stored":
        # turned by 90 degrees for its readers, but its masks were drawn on what is stored
        return encode(np.rot90(pixels, -1), quality, 6)
    data = encode(pixels, quality)
    return data[: int(len(data) * rng.uniform(0.3, 0.9))] if kind == "truncated" else data


def spoil_row(kind: str, rng, row: list[str]) -> list[str]:
    """The fields ImageId, EncodedPixels, Height, Width, ClassId of a row with such a fault."""
    image, rle, height, width, class_id = row
    runs = rle.split()
    if kind == "rle_out_of_range":
        runs[-2:] = [str(int(height) * int(width) - 3), "9"]
    elif kind == "rle_odd":
        runs = runs[:-1]
    elif kind == "rle_overlapping":
        runs += [str(int(runs[-2]) + int(runs[-1]) - 1), "2"]
    elif kind == "rle_unsorted":
        runs = runs[-2:] + runs[:-2]
    elif kind == "rle_empty":
        runs = []
    elif kind == "unknown_class":
        class_id = str(rng.integers(46, 120))
    elif kind == "unknown_attribute":
        class_id = f"{class_id}_{rng.integers(92, 300)}"
    elif kind == "bad_size":
        height = str(rng.choice(["0", "-5", "12a", "", "1e3", "99999"]))
    elif kind == "row_size":
        height = str(int(height) + 7)
    fields = [image, " ".join(runs), height, width, class_id]
    if kind == "wrong_fields":
        return fields[:-1] if rng.random() < 0.5 else [*fields, "extra"]
    return fields
