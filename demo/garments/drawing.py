"""Draw what a PageRequest asks for, telling of each step and of the pictures as they are finished."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from demo.garments.canvas import palette_png
from demo.garments.model import Demo
from demo.garments.page_request import PageRequest
from demo.reports import report_steps
from demo.session import Picture
from evaluation.control_miou import score_pictures
from generation.generate import generate, to_uint8
from generation.picture_text import png_with

MAP = "region map"  # the caption of a request's map, which is kept beside its pictures


@dataclass
class DrawnPicture:
    """A finished picture uint8 (H, W, 3); `miou` says how well it shows the map, None if not measured."""

    pixels: np.ndarray
    facts: dict
    with_map: bool
    miou: float | None

    @property
    def caption(self) -> str:
        measured = "" if self.miou is None else f" · control mIoU {self.miou:.2f}"
        return f"seed {self.facts['seed']}{'' if self.with_map else ' without the map'}{measured}"

    def to_keep(self, map_png: bytes = b"") -> Picture:
        """What a session keeps of it; the file holds its map, a PNG."""
        way = "" if self.with_map else "_without_map"
        content = png_with(self.pixels, self.facts, map_png)
        return Picture(f"seed_{self.facts['seed']}{way}", content, self.caption)


def map_to_keep(ids, encoder) -> Picture:
    """What a session keeps of a request's map uint8 (H, W)."""
    return Picture("map", palette_png(ids, encoder), MAP)


def draw_request(demo: Demo, request: PageRequest, report: Callable):
    """Call `report` with Steps, and with lists of DrawnPictures as they are finished; stops where it raises.

    A comparison gives each picture a second one of the same seed without the map, right behind it.
    """
    num, ways = request.settings.num_samples, (True, False) if request.compare else (True,)
    parts = [range(i, i + 1) for i in range(num)] if demo.low_memory else [range(num)]
    steps = len(parts) * len(ways) * request.settings.steps
    done = 0
    for part in parts:
        drawn = []
        for with_map in ways:
            decode = partial(_decode, demo) if request.preview else None
            callback = report_steps(report, done, steps, request.settings.steps, decode)
            drawn.append(_draw_part(demo, request, part, with_map, callback))
            done += request.settings.steps
        report([picture for pair in zip(*drawn, strict=True) for picture in pair])


def _draw_part(demo, request, part, with_map, callback) -> list[DrawnPicture]:
    seed = request.settings.seed + part.start
    settings = replace(request.settings, seed=seed, num_samples=len(part))
    controls, size = request.controls if with_map else request.controls[1:], request.ids.shape
    try:
        pictures = generate(demo.model, controls, settings, size, callback, request.photo, demo.parts)
    except torch.OutOfMemoryError as error:
        raise ValueError("Out of memory: ask for fewer pictures or a lower resolution.") from error
    told = request.facts["controls"]
    facts = request.facts | dict(controls=told if with_map else told[1:])
    result = []
    for i, pixels in enumerate(pictures):
        miou = None
        if demo.judge:
            miou = score_pictures([pixels], [request.ids], demo.judge, demo.encoder.names).miou
        measured = {} if miou is None else dict(control_miou=round(miou, 4))
        result.append(
            DrawnPicture(
                pixels=pixels, facts=facts | dict(seed=seed + i) | measured, with_map=with_map, miou=miou
            )
        )
    return result


def _decode(demo, latents):
    """The picture uint8 (H, W, 3) of latents (1, c, h, w), while others are sampled."""
    demo.parts.decoding()
    picture = to_uint8(demo.model.decode_first_stage(latents))[0]
    demo.parts.sampling()
    return picture
