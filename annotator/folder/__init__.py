"""A folder of photos becomes a folder of maps: everything that tool_annotate.py does."""

from annotator.folder.run import annotate_folder
from annotator.load import ANNOTATORS, Annotator, load_annotator

__all__ = ["ANNOTATORS", "Annotator", "annotate_folder", "load_annotator"]
