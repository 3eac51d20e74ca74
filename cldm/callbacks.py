"""What happens beside training: progress, checkpoints, and the measurement of control."""

import csv
import io
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch

from cldm.data import check_sizes
from cldm.evaluate import control_score, score, stacked
from cldm.generate import Settings
from cldm.report import load_strips, read_rows, save, save_strip, write_report
from cldm.status import StatusLine, duration
from ldm.checkpoint import write_state_dict


class Progress(pl.Callback):
    """Optimizer steps, pictures seen, pictures a second, loss and time left, on one line of the terminal."""

    def __init__(self, options):
        self.options = options
        self.loss = None

    def on_train_start(self, trainer, pl_module):
        self.pictures_per_step = self.options.batch_size * self.options.accumulate * trainer.world_size
        self.first_step, self.line = trainer.global_step, StatusLine(at_once=True)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        step, total = trainer.global_step, self.options.max_steps
        done = step - self.first_step
        if not trainer.is_global_zero or not done or not (self.line.due() or step == total):
            return
        loss = float(trainer.callback_metrics["train/loss_simple"])
        self.loss = loss if self.loss is None else 0.8 * self.loss + 0.2 * loss
        rate = done / self.line.seconds
        self.line.show(
            f"step {step}/{total}  {step * self.pictures_per_step:,} pictures  "
            f"{rate * self.pictures_per_step:.1f} pictures/s  loss {self.loss:.4f}  "
            f"{duration((total - step) / rate)} left"
        )

    def on_train_end(self, trainer, pl_module):
        if trainer.is_global_zero:
            took = duration(self.line.seconds)
            print(f"\ntrained to step {trainer.global_step} in {took}: {self.options.run}", flush=True)


class Checkpoints(pl.Callback):
    """Every `checkpoint_every` steps, and at the end, writes

    last.ckpt                    what the same command resumes from: trained weights, optimizer, position
    control.safetensors          the newest control branch alone, with its metadata
    control_step_000500...       the same at its step; full_checkpoints adds the whole model, full_step_...
    """

    def __init__(self, run, options, metadata):
        self.run, self.options, self.metadata = Path(run), options, metadata
        self.unfinished = self.run / ".last.ckpt.part"

    def on_train_start(self, trainer, pl_module):
        self.saved_step = trainer.global_step

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        step, last_step = trainer.global_step, self.options.max_steps
        if step != self.saved_step and (step % self.options.checkpoint_every == 0 or step == last_step):
            self.saved_step = step
            self._save_state(trainer, pl_module)
            if step < last_step:
                self._publish(trainer, pl_module)

    def on_train_end(self, trainer, pl_module):
        # the last state was saved before: here Lightning has counted an epoch that has just begun as over
        self._publish(trainer, pl_module)

    def _save_state(self, trainer, pl_module):
        if not all(p.isfinite().all() for p in pl_module.parameters() if p.requires_grad):
            raise ValueError(
                f"the trained weights are no numbers any more at step {self.saved_step}, which is not saved: "
                f"give another run=FOLDER and a learning_rate under {self.options.learning_rate:g}"
            )
        # not in place: Lightning moves it here from the system's temporary folder, maybe another disk
        trainer.save_checkpoint(self.unfinished, weights_only=False)

    def _publish(self, trainer, pl_module):
        """Write the weights, then make the state last.ckpt: a run killed in between does both anew."""
        if not trainer.is_global_zero:
            return
        state, step = pl_module.state_dict(), f"{self.saved_step:06}"
        trained = {name for name, p in pl_module.named_parameters() if p.requires_grad}
        control = {k: v for k, v in state.items() if k.startswith("control_model.") or k in trained}
        metadata = {**self.metadata, "step": str(self.saved_step)}
        for name in (f"control_step_{step}.safetensors", "control.safetensors"):
            write_state_dict(control, self.run / name, metadata, overwrite=True)
        if self.options.full_checkpoints:
            write_state_dict(state, self.run / f"full_step_{step}.safetensors", metadata, overwrite=True)
        os.replace(self.unfinished, self.run / "last.ckpt")

    def on_save_checkpoint(self, trainer, pl_module, checkpoint):
        """Leave the locked weights out of what Lightning saves: they are in the base."""
        trained = {name for name, p in pl_module.named_parameters() if p.requires_grad}
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {k: v for k, v in state.items() if k in trained}


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
        with trainer.precision_plugin.forward_context(), torch.no_grad():
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
