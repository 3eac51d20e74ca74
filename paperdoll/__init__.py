"""Paper dolls: drawn people whose pictures, masks and captions are exact, in iMaterialist's own format."""

from paperdoll.canvas import COLOURS, nearest_colour
from paperdoll.doll import Doll, Instance, draw
from paperdoll.folder import make_dolls

__all__ = ["COLOURS", "Doll", "Instance", "draw", "make_dolls", "nearest_colour"]
