"""The annotators by name, what their maps are as files, and what maps depend on."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from pictures.masks import open_mask, region_ids
from pictures.region_maps import encode_map
from pictures.regions import colour_of, region_words

ANNOTATORS = "canny", "garments", "pose"
THRESHOLDS = dict(low_threshold=100.0, high_threshold=200.0)
POSE_WEIGHTS = "models/annotators"
# of a folder, the files that an annotator reads
WEIGHTS = "body_pose_model.pth", "hand_pose_model.pth", "mediapipe-*.whl", "*.json", "*.safetensors"


class PictureMaps:
    """Maps that are pictures: uint8 (h, w), or (h, w, 3) in RGB; 0 is where nothing was found."""

    regions_yaml = None

    def __init__(self, word: str):
        self.word = word

    def encode(self, pixels) -> bytes:
        """A PNG."""
        data = io.BytesIO()
        Image.fromarray(pixels).save(data, "PNG")
        return data.getvalue()

    def read(self, path):
        """The map of a file; ValueError if it is damaged."""
        image = open_mask(path)
        return np.asarray(image if image.mode == "L" else image.convert("RGB"))

    def found(self, pixels) -> str:
        """What a map shows and its share of the picture, "edges 5.1%"; "" if it is empty."""
        share = (pixels if pixels.ndim == 2 else pixels.any(axis=2)).astype(bool).mean()
        return f"{self.word} {share:.1%}" if share else ""

    def shown(self, pixels):
        """uint8 (h, w, 3), to look at."""
        return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)


class RegionMaps:
    """Maps of region ids, uint8 (h, w): palette PNGs, and a regions.yaml that says what they mean."""

    def __init__(self, names):
        self.names = tuple(names)
        self.colours = tuple(colour_of(name, i) for i, name in enumerate(self.names))

    @property
    def regions_yaml(self) -> bytes:
        content = dict(names=list(self.names), colours=[list(colour) for colour in self.colours])
        return yaml.safe_dump(content, sort_keys=False, default_flow_style=None).encode()

    def encode(self, ids) -> bytes:
        return encode_map(ids, self.colours)

    def read(self, path):
        """The ids of a file, which somebody may have corrected and saved without its palette."""
        return region_ids(open_mask(path), self.colours)

    def found(self, ids) -> str:
        return region_words(ids, self.names)

    def shown(self, ids):
        return np.uint8(self.colours)[ids]


@dataclass(frozen=True)
class Annotator:
    """What makes maps of photos.

    call: a photo, uint8 (h, w, 3) in RGB -> its map. settings: what its maps depend on. faults: the errors
    that are about one photo.
    """

    call: Callable
    maps: PictureMaps | RegionMaps
    settings: dict
    faults: tuple = (ValueError,)


def load_annotator(name: str, weights=None, device="cpu", hands=False, **thresholds) -> Annotator:
    """An annotator of ANNOTATORS; `thresholds` are Canny's, None for the usual ones.

    Raises:
        FileNotFoundError, ValueError: weights are missing or something else, or an option is another
            annotator's.
    """
    if name not in ANNOTATORS:
        raise ValueError(f"--annotator must be one of {', '.join(ANNOTATORS)}, got {name!r}")
    given = {option: value for option, value in thresholds.items() if value is not None}
    if name != "canny" and given:
        raise ValueError(f"--{next(iter(given)).replace('_', '-')} is canny's: {name} has no thresholds")
    if name != "pose" and hands:
        raise ValueError(f"--hands is about --annotator pose: {name} looks for no hands")
    if name == "canny":
        annotator = _canny(weights, THRESHOLDS | given)
    elif name == "garments":
        annotator = _garments(weights, device)
    else:
        annotator = _pose(weights or POSE_WEIGHTS, device, hands)
    faults = annotator.faults if name == "canny" else (*annotator.faults, _out_of_memory())
    return replace(annotator, settings=dict(annotator=name) | annotator.settings, faults=faults)


def _canny(weights, thresholds) -> Annotator:
    from annotator.canny import CannyDetector

    if weights is not None:
        raise ValueError("--weights are for garments and poses: canny has none")
    detector = CannyDetector()
    detector(np.zeros((16, 16, 3), np.uint8), **thresholds)  # says what is wrong with them
    return Annotator(lambda photo: detector(photo, **thresholds), PictureMaps("edges"), thresholds)


def _garments(weights, device) -> Annotator:
    from annotator.segment import load_segmenter

    if weights is None:
        raise ValueError(
            "--annotator garments needs --weights PATH: models/tiny/segmenter.safetensors knows drawn dolls "
            "only, docs/annotators.md says where to get others"
        )
    segmenter = load_segmenter(weights, device)
    return Annotator(segmenter, RegionMaps(segmenter.names), dict(weights=fingerprint(weights)))


def _pose(weights, device, hands) -> Annotator:
    from annotator.openpose import load_pose_detector

    detector = load_pose_detector(weights, device)
    options = dict(hand=True) if hands else {}
    if hands:
        detector.poses(np.zeros((64, 64, 3), np.uint8), **options)  # says if it can't find any
    settings = dict(weights=fingerprint(weights), hands=hands)
    return Annotator(lambda photo: detector(photo, **options), PictureMaps("pose"), settings)


def _out_of_memory() -> type[Exception]:
    """What a network raises for a photo that is too large for its device."""
    from torch import OutOfMemoryError

    return OutOfMemoryError


def fingerprint(path) -> str:
    """Name and start of the SHA-256 of a file of weights, or of those that an annotator reads in a folder."""
    path, total = Path(path), hashlib.sha256()
    found = sorted({file for name in WEIGHTS for file in path.glob(name)}) if path.is_dir() else [path]
    for file in found:
        with open(file, "rb") as opened:
            while block := opened.read(2**22):
                total.update(block)
    return f"{path.name} {total.hexdigest()[:16]}"
