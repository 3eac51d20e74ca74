"""Captions of pictures, by models in local folders: one interface, many captioners."""

from .base import Caption, Captioner
from .options import CAPTIONERS, load_captioner

__all__ = ["CAPTIONERS", "Caption", "Captioner", "load_captioner"]
