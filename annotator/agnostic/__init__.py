"""Masks of what a garment may cover: rules on label maps and joints, no networks."""

from annotator.agnostic.parse import parse_agnostic
from annotator.agnostic.person import Person, Pose
from annotator.agnostic.rules import STYLES, agnostic_mask

__all__ = ["STYLES", "Person", "Pose", "agnostic_mask", "parse_agnostic"]
