"""Persons as label maps and keypoints, and the agnostic masks that published code makes of them.

Read from the folder that GOLDENS_MASKS names, by default the project's own copy, whose README
says where they come from.
"""

import json
import os
from pathlib import Path

import numpy as np
from PIL import Image

from annotator.agnostic import Person, Pose

FOLDER = Path(os.environ.get("GOLDENS_MASKS") or Path(__file__).with_name("goldens_masks"))
MAPS = "cihp", "lip", "atr", "atr_neck", "densepose"
STYLE_OF = {
    "hrviton_agnostic": "hrviton",
    "vitonhd_agnostic": "vitonhd",
    "ladi_dresscode": "ladi",
    "idm_dc": "idm",
}
CATEGORY_OF = {"upper_body": "upper", "lower_body": "lower", "dresses": "dress"}


def read_cases() -> list[dict]:
    return json.loads((FOLDER / "index.json").read_text())


def read_labels(path: Path) -> np.ndarray:
    """Palette indices uint8 (h, w), which a conversion to RGB would destroy."""
    return np.array(Image.open(path))


def read_person(name: str, size: str, pose: str, neck=False) -> Person:
    """Label maps of a size ("512x384") and the pose of a format; `neck` takes ATR with the neck split off."""
    folder = FOLDER / "persons" / name
    labels = {each: read_labels(folder / size / f"{each}.png") for each in MAPS}
    labels["atr"] = labels.pop("atr_neck") if neck else labels["atr"]
    if pose == "body25":
        points = json.loads((folder / "body25.json").read_text())["people"][0]["pose_keypoints_2d"]
        points = np.reshape(points, (25, 3))
    else:
        points = np.array(json.loads((folder / "coco18.json").read_text())["keypoints"])
    return Person({name: ids for name, ids in labels.items() if name != "atr_neck"}, Pose.read(points, pose))


def person_of(case: dict) -> Person:
    neck = "neck" in case["parse"]
    return read_person(case["person"], case["parse_size"], case["keypoints"] or "coco18", neck)


def size_of(case: dict) -> tuple[int, int]:
    height, width = map(int, case["size"].split("x"))
    return height, width
