"""Raw photos and annotations become a training folder: `prepare_folder`."""

from .folder import prepare_folder
from .options import PrepareOptions

__all__ = ["PrepareOptions", "prepare_folder"]
