"""The segmenters by kind, and which of them the weights at a path are for.

A new segmenter is a module with a subclass of Segmenter, which says what files it `reads`, and an entry here.
"""

from torch import OutOfMemoryError

from annotator.interface import Annotator, RegionMaps
from annotator.openpose.wheel import WHEELS
from annotator.segment.interface import Segmenter, read_metadata
from annotator.segment.light import LightSegmenter
from annotator.segment.pixel import PixelSegmenter
from annotator.segment.segformer import FILES, ROUGH, WANTED, SegFormerSegmenter
from annotator.segment.u2net import U2NetSegmenter
from annotator.weights import fingerprint
from jobs.shipped import find_shipped
from pictures.regions import read_regions

SEGMENTERS = {
    segmenter.kind: segmenter
    for segmenter in (PixelSegmenter, U2NetSegmenter, LightSegmenter, SegFormerSegmenter)
}


def load_segmenter(path, device="cpu") -> Segmenter:
    """The segmenter of a .safetensors file, a .pth file of the public U2-Net, or a SegFormer's folder.

    Of mediapipe's wheel, or a folder that holds it and no SegFormer, the one by rules.

    Raises:
        FileNotFoundError, ValueError: it is missing or something else; the message says where to get one.
    """
    path = find_shipped(path)
    for segmenter in SEGMENTERS.values():
        if segmenter.reads(path):
            return segmenter.load(path, device)
    if kind := read_metadata(path).get("network"):
        raise ValueError(f"{path} holds weights of the network {kind!r}; known are {', '.join(SEGMENTERS)}")
    raise ValueError(f"{path} is no segmenter: wanted a .safetensors or .pth file; or {WANTED}; {ROUGH}")


def load_as_annotator(weights, options, device) -> Annotator:
    """Region maps by the segmenter of `weights`; ValueError without any."""
    if weights is None:
        raise ValueError(
            "--annotator garments needs --weights PATH: models/tiny/segmenter.safetensors knows drawn dolls "
            "only, docs/annotators.md says where to get others"
        )
    weights = find_shipped(weights)
    segmenter = load_segmenter(weights, device)
    return Annotator(
        call=segmenter,
        maps=RegionMaps(segmenter.names),
        settings=dict(weights=fingerprint(weights, (*FILES, WHEELS))),
        faults=(ValueError, OutOfMemoryError),
    )


def load_finder(path, names, device="cpu"):
    """Two functions of pictures, each a Segmenter's `segment`: what finds regions, and what judges.

    The first finds the regions of maps that have `names`; regions that it does not know may follow its own.
    The second knows them all and may judge pictures by them; None if there is no such thing.

    Raises:
        FileNotFoundError, ValueError: as of load_segmenter, or it finds other regions.
    """
    segmenter = load_segmenter(path, device)
    known = segmenter.names
    if known != tuple(names)[: len(known)]:
        raise ValueError(f"{path} finds the regions {', '.join(known)}, the map has {', '.join(names)}")
    judges = known == tuple(names) and not segmenter.no_judge
    return segmenter.segment, segmenter.segment if judges else None


def load_judge(path, regions_file, device="cpu") -> Segmenter:
    """The segmenter that finds the regions of a training folder's regions.yaml; ValueError for any other."""
    segmenter = load_segmenter(path, device)
    if segmenter.no_judge:
        raise ValueError(f"{path} can be no judge: {segmenter.no_judge}")
    names = read_painted_names(regions_file)
    if segmenter.names != names:
        differing = ", ".join(sorted(set(names) ^ set(segmenter.names))) or "their order"
        raise ValueError(
            f"{path} finds the regions {', '.join(segmenter.names)}, but {regions_file} has "
            f"{', '.join(names)}: they differ in {differing}. Take another "
            "segmenter, or train one with tutorial_train_segmenter.py --data"
        )
    return segmenter


def read_painted_names(regions_file) -> tuple[str, ...]:
    """The names of a regions.yaml by id, up to the last region that its table paints, if it has one table."""
    regions = read_regions(regions_file)
    painted = {*regions.region_of.values()}
    if regions.split:
        painted |= {regions.names.index(name) for name in ("top", "bottom")}
    return regions.names[: max(painted) + 1] if painted else regions.names
