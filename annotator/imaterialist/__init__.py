"""iMaterialist (Fashion) 2019: annotations become region maps and captions."""

from annotator.imaterialist.annotations import LABELS_FILE, Index, Place, Row, garment_words, read_labels
from annotator.imaterialist.paint import find_painted_boxes, region_map, region_map_at
from annotator.imaterialist.rle import rle_decode, rle_encode
from annotator.imaterialist.train_csv import index_annotations, read_rows

__all__ = [
    "LABELS_FILE",
    "Index",
    "Place",
    "Row",
    "garment_words",
    "index_annotations",
    "read_labels",
    "read_rows",
    "find_painted_boxes",
    "region_map",
    "region_map_at",
    "rle_decode",
    "rle_encode",
]
