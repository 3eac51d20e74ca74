"""Masks of what a garment may cover: rules on label maps and joints, no networks."""

from annotator.agnostic.label_map import agnostic_label_map
from annotator.agnostic.person import Person, Pose
from annotator.agnostic.rules import STYLES, agnostic_mask

__all__ = ["STYLES", "Person", "Pose", "agnostic_mask", "agnostic_label_map"]
