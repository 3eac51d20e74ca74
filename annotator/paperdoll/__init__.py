"""Paper dolls: drawn people whose pictures, masks and captions are exact, in iMaterialist's own format."""

from .doll import Doll, Instance, draw
from .folder import make_dolls
from .palette import COLOURS, nearest_colour

__all__ = ["COLOURS", "Doll", "Instance", "draw", "make_dolls", "nearest_colour"]
