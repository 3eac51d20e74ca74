"""Paper dolls: drawn people whose pictures, masks and captions are exact, in iMaterialist's own format."""

from paperdoll.canvas import COLOURS, nearest_colour
from paperdoll.doll import draw
from paperdoll.figure import Doll, Instance
from paperdoll.folder import make_dolls

__all__ = ["COLOURS", "Doll", "Instance", "draw", "make_dolls", "nearest_colour"]
