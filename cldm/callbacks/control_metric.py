"""Is the mask obeyed? Control mIoU on held-out maps while a run trains."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch

from cldm.data import check_sizes
from cldm.evaluate import control_score, score, stacked
from cldm.generate import Settings
from cldm.report import load_strips, read_rows, save, save_strip, write_report


class ControlMetric(pl.Callback):
    """Measures control mIoU on held-out maps every `measure_every` steps; writes control_miou.csv and report.

    Once, at the start: the ceiling (the judge on the real pictures) and the floor (the same prompts and
    seeds without control). Only rank 0 measures.
    """

    def __init__(self, run, held_out, encoder, judge, options):
        self.run, self.encoder, self.judge, self.options = Path(run), encoder, judge, options
        items = [held_out[i] for i in range(min(options.measure_maps, len(held_out)))]
        for item in items:
            check_sizes([item])
        self.maps = stacked(region_ids(encoder, item, i) for i, item in enumerate(items))
        self.real = stacked(((item["jpg"] + 1) * 127.5).round().astype(np.uint8) for item in items)
        self.prompts = [item["txt"] for item in items]
        self.settings = Settings(
            steps=options.sampling_steps, scale=options.guidance, sampler="dpmpp_2m", seed=1000
        )
        self.ceiling = self.floor = None
        self.folder = self.run / "samples"
        self.strips = load_strips(self.folder, [ids.shape for ids in self.maps])

    def on_train_start(self, trainer, pl_module):
        if trainer.is_global_zero:
            self.ceiling = score(self.real, self.maps, self.judge, self.encoder.names)
            self.floor = self._measure(trainer, pl_module, strength=0.0)
            print(
                f"control mIoU: floor {self.floor.miou:.3f} (no control), "
                f"ceiling {self.ceiling.miou:.3f} (photos)"
            )

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        step = trainer.global_step
        due = step % self.options.measure_every == 0 or step == self.options.max_steps
        if trainer.is_global_zero and step and due and step not in self.strips:
            result = self._measure(trainer, pl_module)
            pictures = step * self.options.batch_size * self.options.accumulate * trainer.world_size
            self._record(step, pictures, result)

    def _measure(self, trainer, pl_module, **changes):
        pl_module.eval()
        with trainer.precision_plugin.forward_context(), torch.no_grad(), pl_module.stages_present():
            settings = replace(self.settings, **changes)
            result = control_score(pl_module, self.maps, self.prompts, self.encoder, self.judge, settings)
        pl_module.train()
        return result

    def _record(self, step, pictures, result):
        path = self.run / "control_miou.csv"
        rows = [row for row in read_rows(path) if int(row["step"]) < step]
        row = dict(step=step, pictures=pictures, miou=f"{result.miou:.4f}")
        row |= dict(floor=f"{self.floor.miou:.4f}", ceiling=f"{self.ceiling.miou:.4f}")
        rows.append(row | {name: f"{value:.4f}" for name, value in result.iou.items()})
        text = io.StringIO()
        # other held-out maps, measured before the run was resumed, may have had other regions
        writer = csv.DictWriter(text, rows[-1].keys(), restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        save(path, text.getvalue().encode())
        self.strips[step] = result.pictures
        save_strip(self.folder / f"step_{step:06}.png", result.pictures)
        print(f"\nstep {step}: control mIoU {result.miou:.3f}  " + region_text(result.iou), flush=True)
        write_report(
            self.run, rows, self.encoder, self.maps, self.prompts, self.real, self.floor, self.strips
        )


def region_ids(encoder, item, index):
    try:
        return encoder.to_ids((item["hint"] * 255).round())
    except ValueError as error:
        raise ValueError(f"the map of held-out item {index}: {error}") from error


def region_text(iou: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in iou.items())
