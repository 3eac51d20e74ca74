"""What each pixel of a person's picture is: skin, hair, shoes, or clothes of the upper or the lower body."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from annotator.segment.light.body import ARM, FOOT, FOREARM, HAND, HEAD, NECK, PARTS, SHIN, THIGH, TORSO, Body
from annotator.segment.light.colours import GuidedFilter, histogram, to_bins

BEHIND, SKIN, HAIR, SHOES, UPPER, LOWER = LABELS = range(6)
NEVER = 30.0
# by part: costs of skin, hair, shoes, upper and lower clothes, as negative logarithms of what one would bet
HABITS = {
    TORSO: (1.5, 1.0, NEVER, 0.0, 0.0),
    ARM: (0.7, 2.0, NEVER, 0.3, NEVER),
    FOREARM: (0.5, 3.0, NEVER, 0.5, 3.0),
    HAND: (0.0, NEVER, NEVER, 2.0, 4.0),
    THIGH: (0.7, NEVER, NEVER, 0.5, 0.0),
    SHIN: (0.5, NEVER, 2.0, 2.0, 0.5),
    FOOT: (1.0, NEVER, 0.0, NEVER, 2.0),
    HEAD: (0.0, 0.0, NEVER, NEVER, NEVER),
    NECK: (0.3, 0.7, NEVER, 0.7, NEVER),
}
ROUNDS = 3
FEW = 20  # pixels say nothing about colours


@dataclass
class View:
    """A person's picture, small enough to work on.

    Args:
        picture: uint8 (h, w, 3), RGB.
        silhouette: float32 (h, w) in [0, 1].
        body: its maps are of that size.
    """

    picture: np.ndarray
    silhouette: np.ndarray
    body: Body
    lab: np.ndarray = field(init=False)
    bins: np.ndarray = field(init=False)

    def __post_init__(self):
        self.lab = cv2.cvtColor(self.picture, cv2.COLOR_RGB2LAB)
        self.bins = to_bins(self.lab)

    def surely(self):
        """Where the person is without doubt, bool (h, w)."""
        return self.silhouette > 0.9


def find_labels(view: View):
    """Labels, int (h, w), the costs float32 (h, w, labels) that they are the cheapest of, and their filter.

    Costs are smoothed along the photo's edges before the cheapest label is taken: Hosni et al., "Fast
    cost-volume filtering" (PAMI 2013). Colours are learnt from sure pixels, then from labels, in turns, as in
    Rother et al., "GrabCut" (2004).
    """
    known = sure_pixels(view)
    habits, smooth = _habits(view, known), GuidedFilter(np.float32(view.lab) / 255)
    weights = known.astype(np.float32)
    for _ in range(ROUNDS):
        costs = habits.copy()
        for label in LABELS:
            if weights[label].sum() >= FEW:
                likely = -np.log(histogram(view.bins, weights[label]))
                costs[..., label] += likely[view.bins]
            else:
                costs[..., label] += 4 if label == SKIN else NEVER
        costs = np.minimum(costs, NEVER)
        labels = np.stack([smooth(costs[..., label]) for label in LABELS]).argmin(axis=0)
        for label in LABELS:
            trusted = view.silhouette < 0.5 if label == BEHIND else view.surely()
            weights[label] = 0.5 * ((labels == label) & trusted) + known[label]
    return labels, costs, smooth


def sure_pixels(view: View):
    """Pixels from which each label's colours are learnt at first, bool (labels, h, w)."""
    body, surely = view.body, view.surely()
    known = np.zeros((len(LABELS), *view.bins.shape), bool)
    known[BEHIND] = view.silhouette < 0.1
    face, possible = surely & body.is_face(), can_be_skin(view.picture)
    similar = np.zeros_like(face)
    # a face turned away or a grey photo teaches no skin
    if face.any() and possible[face].mean() > 0.35:
        known[SKIN] = (face | (surely & body.in_parts(HAND))) & possible
        similar = possible & _like(view.lab, face & possible)
    known[HAIR] = surely & body.in_parts(HEAD) & ~body.is_face() & (body.below < 0.6)
    known[HAIR] &= (body.aside > 1.35) | (body.below < -0.9)
    clothes, height = surely & ~similar, body.height
    known[SHOES] = clothes & body.in_parts(FOOT)
    known[UPPER] = clothes & body.in_parts(TORSO) & (height > 0.25) & (height < 0.75)
    known[LOWER] = clothes & body.in_parts(THIGH, SHIN) & (height > 1.35) & (height < 2.1)
    if known[LOWER].sum() < 0.01 * surely.sum():
        # what is seen of the legs ends above, or is bare
        known[LOWER] = clothes & body.in_parts(THIGH, TORSO) & (height > 1.1) & (height < 1.8)
    coat = known[LOWER] & _as_usual(view.bins, known[UPPER])
    thighs, shins = (
        (height > low) & (height < high) & known[LOWER] for low, high in ((1.35, 1.6), (1.8, 2.1))
    )
    # it hangs over the thighs, and below it comes something else
    if coat[thighs].sum() > 0.6 * thighs.sum() and coat[shins].sum() < 0.3 * shins.sum():
        known[LOWER] &= ~coat
    return known


def can_be_skin(picture):
    """Where colours are in the range of skin of all people, bool (h, w).

    77 <= Cb <= 127 and 133 <= Cr <= 173: Chai and Ngan, "Face segmentation using skin-color map in videophone
    applications" (1999).
    """
    _, red, blue = cv2.split(cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb))
    return (blue >= 77) & (blue <= 127) & (red >= 133) & (red <= 173)


def _as_usual(bins, pixels):
    """Where colours are about as frequent as those of some pixels are among them, bool (h, w)."""
    if pixels.sum() < FEW:
        return np.zeros_like(pixels)
    frequent = histogram(bins, pixels)[bins]
    return frequent > 0.1 * np.median(frequent[pixels])


def _like(lab, pixels):
    """Where colours are near those of some pixels, lighter or darker by much less than black and white."""
    lab = lab.astype(np.float64)
    middle = np.median(lab[pixels], axis=0)
    spread = np.maximum(1.5 * np.abs(lab[pixels] - middle).mean(axis=0), 4)
    far = ((lab[..., 1:] - middle[1:]) / spread[1:]) ** 2
    return (far.sum(axis=-1) < 10) & (np.abs(lab[..., 0] - middle[0]) < 70)


def _habits(view: View, known):
    """What labels cost by where they are, float32 (h, w, labels)."""
    body, below, height = view.body, view.body.below, view.body.height
    # half sure is not enough
    person = np.clip(1.4 * view.silhouette - 0.4, 0.02, 0.98)
    table = np.array([HABITS[part] for part in PARTS])
    # nothing of a person is far from the bones, but skirts and coats
    stray = np.where(body.in_parts(THIGH, SHIN, FOOT), 0, np.clip(40 * (body.beyond - 0.05), 0, 20))
    costs = np.empty((*view.bins.shape, len(LABELS)), np.float32)
    costs[..., BEHIND] = -2 * np.log(1 - person)
    costs[..., SKIN:] = table[body.part] + (stray - 2 * np.log(person))[..., None]
    middle = body.in_parts(TORSO, THIGH, SHIN)
    costs[..., UPPER] += middle * np.clip(1.2 * (height - 0.9), 0, 3)
    costs[..., LOWER] += middle * np.clip(6 * (1 - height), 0, 8)
    if _hair_is_long(view, known):
        away = np.hypot(body.aside, np.maximum(0, below))
        costs[..., HAIR] += np.clip(0.2 * (away - 3), 0, 4)
    else:
        # a dark collar is no hair
        costs[..., HAIR] += np.where(body.in_parts(HEAD) | (below < 0.9), 0, NEVER)
    if known[SKIN].any():
        costs[..., SKIN] += 2 * ~can_be_skin(view.picture)
    else:
        costs[..., SKIN] += 6 * body.in_parts(TORSO, ARM, FOREARM, THIGH, SHIN)
        costs[body.in_parts(HAND), UPPER:] = NEVER
    return costs


def _hair_is_long(view: View, known) -> bool:
    """Whether beside the jaw there is what has the colours of hair."""
    body = view.body
    beside = (body.below > 0.7) & (body.below < 1.6) & (body.aside > 1.35) & (body.aside < 2.6)
    beside &= view.surely() & ~body.in_parts(FOREARM, HAND) & _as_usual(view.bins, known[HAIR])
    return beside.sum() > 0.3 * body.face**2
