"""Is the map obeyed? Control mIoU on held-out maps while a run trains."""

from pathlib import Path

import numpy as np
import torch

from batches.loader import check_sizes
from evaluation.control_miou import draw_maps, score_pictures, stack_pictures
from generation.generate import Settings
from jobs.ranks import gathered, part_of, say
from learning.callbacks.measurement import Measurement, measuring, save_samples
from reporting.strips import save_held_out


class ControlMetric(Measurement):
    """Writes control_miou.csv, and the pictures behind it into samples/, for the report.

    Once, at the start: the ceiling (the judge on the real pictures) and the floor (the same prompts and
    seeds without control). The processes share the drawing; the first one judges.
    """

    table = "control_miou.csv"

    def __init__(self, held_out, encoder, judge, options):
        super().__init__(options)
        self.encoder, self.judge = encoder, judge
        items = [held_out[i] for i in range(min(options.measure_maps, len(held_out)))]
        for item in items:
            check_sizes([item])
        self.maps = stack_pictures(read_region_ids(encoder, item, i) for i, item in enumerate(items))
        self.real = stack_pictures(((item["jpg"] + 1) * 127.5).round().astype(np.uint8) for item in items)
        self.prompts = [item["txt"] for item in items]
        self.settings = Settings(
            steps=options.sampling_steps, scale=options.guidance, sampler="dpmpp_2m", seed=1000
        )
        # of no more pictures than the run trains on at a time, so that drawing fits where training does
        self.batch_size, self.folder = options.batch_size, Path(options.run, "samples")

    def prepare(self, trainer, pl_module):
        drawn = self._draw(trainer, pl_module, strength=0.0)
        if trainer.is_global_zero:
            self.ceiling, self.floor = self._score(self.real).miou, self._score(drawn).miou
            save_held_out(self.folder, self.encoder, self.maps, self.prompts, self.real, drawn)
            say(f"control mIoU: floor {self.floor:.3f} (no control), ceiling {self.ceiling:.3f} (photos)")

    def measure(self, trainer, pl_module):
        drawn, step = self._draw(trainer, pl_module), trainer.global_step
        if not trainer.is_global_zero:
            return {}
        result = self._score(drawn)
        save_samples(trainer, self.folder, drawn)
        say(f"step {step}: control mIoU {result.miou:.3f}  " + format_iou(result.iou))
        trainer.callback_metrics["control_miou"] = torch.tensor(result.miou)
        row = dict(miou=result.miou, floor=self.floor, ceiling=self.ceiling) | result.iou
        return {name: f"{value:.4f}" for name, value in row.items()}

    def _draw(self, trainer, pl_module, strength=1.0):
        """A picture per map, for all processes."""
        mine = part_of(range(len(self.maps)))
        maps, prompts = [self.maps[i] for i in mine], [self.prompts[i] for i in mine]
        with measuring(trainer, pl_module), pl_module.stages_present():
            drawn = draw_maps(
                pl_module,
                maps,
                prompts,
                self.encoder,
                self.settings,
                batch_size=self.batch_size,
                numbers=mine,
                strength=strength,
            )
        return stack_pictures(gathered(list(drawn)))

    def _score(self, pictures):
        return score_pictures(pictures, self.maps, self.judge, self.encoder.names)


def read_region_ids(encoder, item, index):
    try:
        return encoder.to_ids((item["hint"] * 255).round())
    except ValueError as error:
        raise ValueError(f"the map of held-out item {index}: {error}") from error


def format_iou(iou: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in iou.items())
