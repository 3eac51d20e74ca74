"""Draw what a FitRequest asks for, telling of each step and of the pictures as they are finished."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from demo.photo import digest_of
from demo.reports import report_steps
from demo.session import Picture
from demo.tryon.fidelity import describe, judge
from demo.tryon.offers import Offer
from demo.tryon.request import FitRequest
from demo.tryon.room import Framed, Room, wearing
from generation.fitting import put_on
from generation.generate import to_uint8
from generation.picture_text import png_with


@dataclass
class DrawnFitting:
    """A person uint8 (H, W, 3) as drawn, before whom, in which garment, and how well: see fidelity.judge."""

    person: Framed
    before: np.ndarray
    garment: Offer
    facts: dict
    fidelity: dict

    @property
    def pixels(self) -> np.ndarray:
        return self.person.offer.pixels

    @property
    def caption(self) -> str:
        return f"{self.garment.name} · seed {self.facts['seed']} · {describe(self.fidelity)}"

    def to_keep(self, number: int) -> Picture:
        """What a session keeps of the request's picture of this number."""
        stem = f"seed_{self.facts['seed']}_{number:02d}"
        return Picture(stem, png_with(self.pixels, self.facts), self.caption)


def draw_fittings(room: Room, request: FitRequest, report: Callable):
    """Call `report` with Steps, and with lists of DrawnFittings; stops where it raises."""
    steps, done = max(1, round(request.settings.strength * request.settings.steps)), 0
    for chain in request.chains:
        people, mask = [chain.person] * request.num_samples, chain.mask
        for garment, category in chain.garments:
            drawn = _draw_turn(room, request, people, garment, category, mask, report, done)
            report(drawn)
            people, mask, done = [fitting.person for fitting in drawn], None, done + steps


def _draw_turn(room, request, people, garment, category, mask, report, done) -> list[DrawnFitting]:
    if mask is None:
        mask = room.find_mask(people[0], category, request.mask_way)
    items = [room.make_item(p, garment, category, mask, request.prompt) for p in people]
    steps = max(1, round(request.settings.strength * request.settings.steps))
    decode = partial(_decode, room.loaded.model) if request.preview else None
    callback = report_steps(report, done, steps * request.turns, steps, decode)
    seeds = [request.seed + i for i in range(len(people))]
    try:
        pictures = put_on(room.loaded.model, items, seeds, request.settings, callback, request.controls)
    except torch.OutOfMemoryError as error:
        raise ValueError("Out of memory: ask for fewer pictures at once.") from error
    result = []
    for person, picture, seed in zip(people, pictures, seeds, strict=True):
        fidelity = judge(person.offer, garment, picture, mask)
        told = dict(
            person=dict(name=person.offer.name, sha256=person.offer.digest),
            garment=dict(name=garment.name, sha256=garment.digest, category=category),
            mask_sha256=digest_of(mask),
            garment_fidelity=fidelity,
        )
        facts = request.facts | dict(seed=seed)
        facts["fitting"] = facts["fitting"] | told
        after = wearing(person, picture, f"{person.offer.name} in {garment.name}")
        result.append(DrawnFitting(after, person.offer.pixels, garment, facts, fidelity))
    return result


def _decode(model, latents):
    """The picture uint8 (H, W, 3) of latents (1, c, h, w), while others are sampled."""
    return to_uint8(model.decode_first_stage(latents))[0]
