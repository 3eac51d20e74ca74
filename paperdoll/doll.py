"""Draw one doll: a picture, exact masks in iMaterialist's classes, a caption, and what is worn."""

from dataclasses import dataclass

import numpy as np

from paperdoll.attributes import describe
from paperdoll.colours import nearest_colour
from paperdoll.easel import Drawing
from paperdoll.garment import Garment, dress_up, recolour
from paperdoll.person import imagine_person, strike_pose
from paperdoll.scene import as_size, draw_worn, frame_full, frame_half, imagine_ground

FULL_FIGURES = 0.42


@dataclass(frozen=True)
class Instance:
    """One annotated thing: class, attributes, bool mask (H, W), colour and region name."""

    class_id: int
    attributes: tuple[int, ...]
    mask: np.ndarray
    colour: str
    region: str | None


@dataclass(frozen=True)
class Doll:
    """A drawn person.

    Args:
        photo: uint8 (H, W, 3) in RGB.
        figure: uint8 (H, W), how much of each pixel the person covers, 255 all of it.
        instances: what can be seen of garments, shoes and bags, then of their parts.
        caption: one sentence that names the garments with a region, and their colours.
        drawing: knows every pixel's paint, whose `garment` counts from 1 in `outfit`.
        outfit: all that is worn, also what the frame cuts off.
    """

    photo: np.ndarray
    figure: np.ndarray
    instances: list[Instance]
    caption: str
    drawing: Drawing
    outfit: tuple[Garment, ...]


def _show_own_colour(drawing, outfit):
    """The outfit; garments of which the second colour is most of what can be seen lose their pattern."""
    kept = []
    for number, garment in enumerate(outfit, 1):
        pixels = drawing.photo[drawing.mask(garment=number)][::7]
        names = [nearest_colour(pixel) for pixel in pixels]
        own = not names or max(set(names), key=names.count) == garment.colour
        kept.append(garment if own else recolour(garment, pattern="plain", logo="none"))
    return kept


def draw(seed: int, index: int, size=128) -> Doll:
    """Doll `index` of a seed: depends on nothing else, so any of them can be drawn in any order.

    `size` is the side of a square, or (height, width).
    """
    rng, size = np.random.default_rng([seed, index]), as_size(size)
    person, outfit = imagine_person(rng), dress_up(rng)
    pose = strike_pose(rng, person)
    frame = frame_full if rng.random() < FULL_FIGURES else frame_half
    view = frame(rng, person, outfit)
    ground = imagine_ground(rng, view.top + view.unit * person.heads)
    worn = draw_worn(person, pose, outfit, view, ground, size)
    kept = _show_own_colour(worn.drawing, outfit)
    if kept != outfit:
        outfit, worn = kept, draw_worn(person, pose, kept, view, ground, size)
    masks = [worn.drawing.mask(garment=number) for number in range(1, len(outfit) + 1)]
    # what can't be seen is neither annotated nor named
    seen = [(g, m) for g, m in zip(outfit, masks, strict=True) if m.sum() >= size[0] * size[1] / 256]
    instances = [Instance(g.category, g.attributes, m, g.colour, g.region) for g, m in seen]
    for number, (class_id, parent) in enumerate(worn.parts, 1):
        mask = worn.drawing.mask(part=number)
        if mask.any() and any(outfit[parent - 1] is g for g, _ in seen):
            instances.append(Instance(class_id, (), mask, outfit[parent - 1].colour, None))
    caption = describe([g for g, _ in seen if g.region])
    drawing = worn.drawing
    return Doll(drawing.photo, drawing.covered, instances, caption, drawing, tuple(outfit))
