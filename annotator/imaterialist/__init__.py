"""iMaterialist (Fashion) 2019: annotations become region maps and captions."""

from .annotations import Index, Place, Rejection, Row, read_labels
from .maps import encode_map, load_map, save_map
from .paint import region_boxes, region_map, region_map_at
from .regions import REGIONS_FILE, Regions, standard_regions
from .rle import rle_decode, rle_encode
from .table import index_annotations, read_rows
from .words import garment_words

__all__ = [
    "REGIONS_FILE",
    "Index",
    "Place",
    "Regions",
    "Rejection",
    "Row",
    "encode_map",
    "garment_words",
    "index_annotations",
    "load_map",
    "read_labels",
    "read_rows",
    "region_boxes",
    "region_map",
    "region_map_at",
    "rle_decode",
    "rle_encode",
    "save_map",
    "standard_regions",
]
