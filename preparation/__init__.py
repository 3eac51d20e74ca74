"""Raw photos and annotations become a training folder: `prepare_folder`."""

from preparation.options import PrepareOptions
from preparation.run import prepare_folder

__all__ = ["PrepareOptions", "prepare_folder"]
