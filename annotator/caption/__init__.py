"""Captions of pictures, by models in local folders: one interface, many captioners."""

from annotator.caption.captioners import CAPTIONERS, load_captioner
from annotator.caption.interface import Caption, Captioner

__all__ = ["CAPTIONERS", "Caption", "Captioner", "load_captioner"]
