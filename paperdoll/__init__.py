"""Paper dolls: drawn people whose pictures, masks and captions are exact, in the data sets' own formats.

`draw` draws one, `make_dolls` a folder of iMaterialist's format; `tryon` arranges fittings, which
`tryon_folders` writes in VITON-HD's and DressCode's, and `base_pictures` draws what a base learns from.
"""

from paperdoll.colours import COLOURS, nearest_colour
from paperdoll.doll import Doll, Instance, draw
from paperdoll.folder import make_dolls

__all__ = ["COLOURS", "Doll", "Instance", "draw", "make_dolls", "nearest_colour"]
