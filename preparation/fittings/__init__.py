"""Try-on data become a training folder: persons, the garments they wear, masks of what may be repainted."""

from preparation.fittings.run import FittingOptions, prepare_fittings
from preparation.fittings.sources import is_fittings

__all__ = ["FittingOptions", "is_fittings", "prepare_fittings"]
