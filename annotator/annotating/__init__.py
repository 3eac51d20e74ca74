"""A folder of photos becomes a folder of maps: everything that tool_annotate.py does."""

from .folder import annotate_folder
from .kinds import ANNOTATORS, Annotator, load_annotator

__all__ = ["ANNOTATORS", "Annotator", "annotate_folder", "load_annotator"]
