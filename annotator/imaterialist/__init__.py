"""iMaterialist (Fashion) 2019: annotations become region maps, captions and training folders."""

from .annotations import Annotations, Rejection, Row, read_annotations, read_labels
from .build import build_training_folder
from .maps import load_map, save_map
from .regions import REGIONS_FILE, read_regions, region_map
from .rle import rle_decode, rle_encode
from .words import garment_words

__all__ = [
    "REGIONS_FILE",
    "Annotations",
    "Rejection",
    "Row",
    "build_training_folder",
    "garment_words",
    "load_map",
    "read_annotations",
    "read_labels",
    "read_regions",
    "region_map",
    "rle_decode",
    "rle_encode",
    "save_map",
]
