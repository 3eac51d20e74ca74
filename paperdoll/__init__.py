"""Paper dolls: drawn people whose pictures, masks and captions are exact, in iMaterialist's own format.

Two drawers share `shapes`, `figure`, `attributes` and `colours`. `doll` draws plain figures, with `canvas`,
`body`, `outfit`, `tailor` and `wardrobe`. `people` draws faces, patterns and poses, with `easel`, `person`,
`garment`, `fabric`, `pieces`, `sewing` and `scene`; so does `tryon` for fittings.
"""

from paperdoll.canvas import COLOURS, nearest_colour
from paperdoll.doll import draw
from paperdoll.figure import Doll, Instance
from paperdoll.folder import make_dolls

__all__ = ["COLOURS", "Doll", "Instance", "draw", "make_dolls", "nearest_colour"]
