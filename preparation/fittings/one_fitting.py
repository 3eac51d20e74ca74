"""One fitting becomes files of one size: person, garment, their masks, labels, pose, region map."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from annotator.agnostic import Person, Pose, agnostic_mask
from annotator.agnostic.person import JOINTS, NUM_JOINTS
from jobs.whole_files import write_atomically
from pictures.crops import Crop
from pictures.masks import open_mask
from pictures.photo import open_photo
from pictures.region_maps import encode_map
from pictures.unusable import Rejection, Unusable
from preparation.fittings.sources import Fitting
from preparation.one_photo import encode_picture

# which labels of a parse map are which region of a garment map: 1 top, 2 bottom, 3 whole body, 4 head
REGIONS = {
    "cihp": {1: (5, 7), 2: (9, 12), 3: (6,), 4: (1, 4)},
    "atr": {1: (4,), 2: (5, 6), 3: (7,), 4: (1, 3)},
}
HIGHEST = {"cihp": 19, "atr": 18}
FOLDERS = "target", "garment", "garment_mask", "mask", "parse", "pose", "source"


@dataclass(frozen=True)
class FittingJob:
    """What all fittings of a folder have in common. size: (H, W); mask_style: of annotator.agnostic."""

    out: Path
    size: tuple[int, int]
    mask_style: str
    mended: bool

    def prepare_all(self, fittings: list[Fitting]) -> list[tuple[list[dict], list[Rejection]]]:
        """Records and rejections of each fitting, its files written."""
        return [self.prepare(fitting) for fitting in fittings]

    def prepare(self, fitting: Fitting) -> tuple[list[dict], list[Rejection]]:
        try:
            return [self._prepare(fitting)], []
        except Unusable as error:
            return [], [Rejection(fitting.title, 0, str(error))]

    def _prepare(self, fitting: Fitting) -> dict:
        photo = open_photo(fitting.person)
        crop = crop_to(photo.height, photo.width, self.size)
        cloth = open_photo(fitting.garment)
        cloth_crop = crop_to(cloth.height, cloth.width, self.size)
        labels = {}
        if fitting.parse is not None:
            ids = read_labels(fitting.parse, fitting.parse_labels, (photo.height, photo.width))
            labels[fitting.parse_labels] = ids[np.ix_(*crop.sample_points())]
        pose = None
        if fitting.pose is not None:
            ways = (photo.height, None) if fitting.pose_in_photo else (None, photo.height)
            read = [read_pose(fitting.pose, fitting.pose_form, rows) for rows in ways]
            poses = [crop_pose(pose, photo.height, crop) for pose in read]
            pose = choose_pose(poses, labels, fitting.pose.name)
        mask = draw_mask(self.mask_style, fitting.category, Person(labels, pose), self.size, self.mended)
        files = {
            f"target/{fitting.name}.jpg": photo.encode(crop, photo.cut(crop)),
            f"garment/{fitting.name}.jpg": cloth.encode(cloth_crop, cloth.cut(cloth_crop)),
            f"mask/{fitting.name}.png": encode_picture(mask.astype(np.uint8) * 255),
        }
        if fitting.garment_mask is not None:
            covered = read_mask(fitting.garment_mask, (cloth.height, cloth.width), "the garment")
            covered = covered[np.ix_(*cloth_crop.sample_points())]
            files[f"garment_mask/{fitting.name}.png"] = encode_picture(covered.astype(np.uint8) * 255)
        for ids in labels.values():
            files[f"parse/{fitting.name}.png"] = encode_picture(ids)
            files[f"source/{fitting.name}.png"] = encode_map(to_regions(ids, fitting.parse_labels))
        if pose is not None:
            points = {name: [round(x, 2), round(y, 2)] for name, (x, y) in pose.points.items()}
            files[f"pose/{fitting.name}.json"] = (
                json.dumps(dict(height=pose.height, points=points)) + "\n"
            ).encode()
        for name, content in files.items():
            if not (self.out / name).exists():  # the same, or somebody has corrected it
                write_atomically(self.out / name, content)
        made = {name.split("/")[0]: name for name in files}
        return {
            "example": fitting.name,
            "name": fitting.name,
            "split": fitting.split,
            "category": fitting.category,
            "garment_prompt": fitting.garment_prompt,
            "size": list(self.size),
            "mask_share": round(float(mask.mean()), 4),
            "parse_labels": fitting.parse_labels if labels else "",
            "drawn": fitting.drawn,
            **made,
        }


def crop_to(height: int, width: int, size: tuple[int, int]) -> Crop:
    """The largest part of a picture of a size's shape, from its middle: nothing is stretched or padded."""
    scale = min(height / size[0], width / size[1])
    tall, wide = (min(round(side * scale), most) for side, most in zip(size, (height, width), strict=True))
    top, left = (height - tall) // 2, (width - wide) // 2
    return Crop(float(left), float(top), float(left + wide), float(top + tall), *size)


def read_labels(path: Path, labels: str, size: tuple[int, int]) -> np.ndarray:
    """Palette indices uint8 (h, w) of a label map.

    Raises:
        Unusable: it is an RGB picture, whose labels are lost, of another size, or has other labels.
    """
    image = open_mask(path)
    if image.mode not in ("P", "L", "1"):
        raise Unusable(f"{path.name} has mode {image.mode}: label maps are palette or grey pictures of ids")
    ids = np.asarray(image)
    if ids.shape != size:
        raise Unusable(f"{path.name} is {ids.shape[0]} x {ids.shape[1]}, the person {size[0]} x {size[1]}")
    if ids.max() > HIGHEST[labels]:
        raise Unusable(f"{path.name} has labels up to {ids.max()}, {labels} goes to {HIGHEST[labels]}")
    return ids.astype(np.uint8)


def read_mask(path: Path, size: tuple[int, int], subject: str) -> np.ndarray:
    """bool (h, w), as large as the subject; JPEGs are blurred by their compression, so 128 of 255 decides."""
    mask = np.asarray(open_mask(path).convert("L"))
    if mask.shape != size:
        raise Unusable(f"{path.name} is {mask.shape[0]} x {mask.shape[1]}, {subject} {size[0]} x {size[1]}")
    return mask >= 128


def read_pose(path: Path, form: str | None, rows: int | None = None) -> Pose:
    """The first person of an OpenPose file, DressCode's list of 18 keypoints, or a prepared folder's joints.

    They are in the pixels of a picture of so many rows, None of the data sets' published pictures.

    Args:
        form: body25 or coco18; None is what the number of joints says.

    Raises:
        Unusable: no person, or another number of joints than the format has.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if "points" in content:
            missing = dict.fromkeys(JOINTS["coco18"], (0.0, 0.0))
            points = {name: (float(x), float(y)) for name, (x, y) in content["points"].items()}
            return check_pose(Pose(missing | points, int(content["height"])))
        if "keypoints" in content:
            keypoints = np.array(content["keypoints"], float)
        else:
            keypoints = np.array(content["people"][0]["pose_keypoints_2d"], float)
            keypoints = keypoints.reshape(-1, 3)
        return check_pose(Pose.read(keypoints, form or form_of(keypoints), rows))
    except OSError as error:
        raise Unusable(f"{path.name} can't be read: {error.strerror}") from error
    except IndexError as error:
        raise Unusable(f"{path.name} has no person") from error
    except (AttributeError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise Unusable(f"{path.name} holds no {form or 'body25 or coco18'} keypoints: {error}") from error


def check_pose(pose: Pose) -> Pose:
    """The pose itself; ValueError for joints that are no numbers, or of a picture without rows."""
    if pose.height < 1 or not np.isfinite(list(pose.points.values())).all():
        raise ValueError("joints must be finite, in a picture of at least one row")
    return pose


def form_of(keypoints) -> str:
    """The pose format that has so many joints as an array (n, 2 or more)."""
    return next((form for form, num in NUM_JOINTS.items() if num == len(keypoints)), "coco18")


def draw_mask(style: str, category: str, person: Person, size: tuple[int, int], mended=True) -> np.ndarray:
    """`agnostic_mask`; Unusable where there is none, or it covers all or nothing."""
    try:
        mask = agnostic_mask(style, category, person, size, mended)
    except ValueError as error:
        raise Unusable(f"no mask of style {style}: {error}") from error
    if not mask.any() or mask.all():
        raise Unusable(f"the mask of style {style} covers {'all' if mask.any() else 'nothing'}")
    return mask


def choose_pose(poses: list[Pose], labels: dict[str, np.ndarray], name: str) -> Pose:
    """The first of some poses whose joints lie on the person of all label maps (H, W).

    A data set's joints are in the pixels of its published pictures, others in those of the photo; but it may
    be the other way about.

    Raises:
        Unusable: none does; `name` is what the joints are called.
    """
    for pose in poses:
        if all(lies_on_person(pose, ids) for ids in labels.values()):
            return pose
    raise Unusable(
        f"most joints of {name} lie beside the person of the label map: they are of another picture, or in "
        "the pixels of another size"
    )


def lies_on_person(pose: Pose, ids: np.ndarray) -> bool:
    """Whether at least half of a pose's joints inside a label map (H, W) lie on what is not background."""
    height, width = ids.shape
    joints = [pose[name] for name in pose.points if pose.finds(name)]
    inside = [ids[int(y), int(x)] > 0 for x, y in joints if 0 <= x < width and 0 <= y < height]
    return 2 * sum(inside) >= len(inside) > 0 or not joints


def crop_pose(pose: Pose, height: int, crop: Crop) -> Pose:
    """A pose in a picture `height` rows high, in a crop's pixels; missing joints stay missing."""
    scaled, factor = pose.scale(height), crop.height / (crop.bottom - crop.top)
    points = {
        name: ((x - crop.left) * factor, (y - crop.top) * factor) if pose.finds(name) else (0.0, 0.0)
        for name, (x, y) in scaled.points.items()
    }
    return Pose(points, crop.height)


def to_regions(ids, labels: str) -> np.ndarray:
    """A parse map uint8 (h, w) as a map of the standard regions."""
    regions = np.zeros(ids.shape, np.uint8)
    for region, chosen in REGIONS[labels].items():
        regions[np.isin(ids, chosen)] = region
    return regions
