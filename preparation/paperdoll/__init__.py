"""Paper dolls: drawn people whose pictures, masks and captions are exact, in iMaterialist's own format."""

from preparation.paperdoll.canvas import COLOURS, nearest_colour
from preparation.paperdoll.doll import Doll, Instance, draw
from preparation.paperdoll.folder import make_dolls

__all__ = ["COLOURS", "Doll", "Instance", "draw", "make_dolls", "nearest_colour"]
