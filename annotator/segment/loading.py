"""Segmenters by the path of their weights, whatever they are."""

from pathlib import Path

import yaml

from annotator.imaterialist import Regions
from annotator.imaterialist.regions import check_names_and_colours

from .base import Segmenter, read_metadata
from .segformer import WANTED, SegFormerSegmenter
from .segmenter import PixelSegmenter
from .u2net_segmenter import U2NetSegmenter

KINDS = {kind.kind: kind for kind in (PixelSegmenter, U2NetSegmenter, SegFormerSegmenter)}


def load_segmenter(path, device="cpu") -> Segmenter:
    """The segmenter of a .safetensors file, a .pth file of the public U2-Net, or a SegFormer's folder.

    Raises:
        FileNotFoundError, ValueError: it is missing or something else; the message says where to get one.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        kind = read_metadata(path).get("network", PixelSegmenter.kind)
        if kind not in KINDS:
            raise ValueError(f"{path} holds weights of the network {kind!r}; known are {', '.join(KINDS)}")
        return KINDS[kind].load(path, device)
    if path.suffix in (".pth", ".pt"):
        return U2NetSegmenter.load(path, device)
    if path.is_file():
        raise ValueError(f"{path} is no segmenter: wanted a .safetensors or .pth file; or {WANTED}")
    return SegFormerSegmenter.load(path, device)


def load_judge(path, regions_file, device="cpu") -> Segmenter:
    """The segmenter that finds the regions of a training folder's regions.yaml; ValueError for any other."""
    segmenter = load_segmenter(path, device)
    names = read_names(regions_file)
    if segmenter.names != names:
        differing = ", ".join(sorted(set(names) ^ set(segmenter.names))) or "their order"
        raise ValueError(
            f"{path} finds the regions {', '.join(segmenter.names)}, but {regions_file} has "
            f"{', '.join(names)}: they differ in {differing}. Take another "
            "segmenter, or train one with tutorial_train_segmenter.py --data"
        )
    return segmenter


def read_names(regions_file) -> tuple[str, ...]:
    """The names of a regions.yaml by id, up to the last region that its table paints, if it has one table."""
    try:
        content = yaml.safe_load(Path(regions_file).read_text(encoding="utf-8"))
        names = content["names"]
        check_names_and_colours(names, content["colours"])
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{regions_file} does not list names and colours of regions: {reason}") from error
    tables = content.get("tables")
    if not isinstance(tables, dict) or len(tables) != 1:
        return tuple(names)
    regions = Regions.read(regions_file, next(iter(tables)))
    painted = {*regions.region_of.values(), *(names.index(n) for n in ("top", "bottom") if regions.split)}
    return regions.names[: max(painted) + 1]
