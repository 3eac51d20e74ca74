"""A person's label maps and joints become the agnostic mask of what is to be repainted, by a style's rule."""

import numpy as np

from annotator.agnostic.catvton import mask_by_parts
from annotator.agnostic.chain import mask_by_arms, mask_by_chain
from annotator.agnostic.own import mask_by_body, mask_by_box, mask_by_regions
from annotator.agnostic.person import Person
from annotator.agnostic.polygons import mask_by_polygons
from annotator.agnostic.style import Style, read_styles

RULES = {
    "polygons": mask_by_polygons,
    "chain": mask_by_chain,
    "arms": mask_by_arms,
    "parts": mask_by_parts,
    "body": mask_by_body,
    "box": mask_by_box,
    "regions": mask_by_regions,
}
WITH_POSE = "polygons", "chain", "arms", "body"
STYLES = tuple(read_styles())


def choose_style(name: str, category: str) -> Style:
    """The style of a name; ValueError for an unknown one, and for a category that it does not have."""
    styles = read_styles()
    if name not in styles:
        raise ValueError(f"mask style must be one of {', '.join(styles)}, got {name!r}")
    if category not in styles[name].categories:
        there = ", ".join(styles[name].categories)
        raise ValueError(f"mask style {name} has categories {there}, not {category!r}")
    return styles[name]


def agnostic_mask(
    style: str, category: str, person: Person, size: tuple[int, int], mended: bool = True
) -> np.ndarray:
    """What a garment of a category may cover on a person: bool (H, W), True is to be repainted.

    Args:
        style: one of STYLES; who trains and who draws must take the same one.
        category: upper, lower or dress, as the style has them; catvton has overall, inner and outer, too.
        size: (H, W); label maps are brought to it by nearest neighbour, joints by the height.
        mended: False reproduces the published code to the pixel, its faults as well, for weights that were
            trained with it.

    Raises:
        ValueError: an unknown style, a category that it does not have, or a person without what it reads.
    """
    chosen = choose_style(style, category)
    if chosen.rule in WITH_POSE and person.pose is None:
        raise ValueError(
            f"mask style {style} reads a pose, and the person has none: give one, or take box or regions"
        )
    person = person.resize(*size)
    if mended and person.pose is not None:
        person = Person(person.labels, person.pose.drop_joints_outside(size[1]))
    return RULES[chosen.rule](chosen, category, person, mended)
