"""metrics.csv: what every optimizer step was; and the line that tells how far a run is."""

import time
from pathlib import Path

import pytorch_lightning as pl
import torch

from jobs.progress import Progress, duration, say
from learning.trackers import log_rows
from reporting.tables import append_rows, read_rows, write_rows


def count_pictures(trainer, options) -> int:
    """Pictures that a run has trained on, on all devices, before it was resumed too.

    Not steps times pictures per step, as `after_convergence` changes these on the way.
    """
    batches = trainer.fit_loop.epoch_loop.total_batch_idx + 1
    return batches * options.batch_size * trainer.world_size


class StepProgress(pl.Callback):
    """Steps, the time left, loss, pictures a second and share of time waited for data."""

    def __init__(self, options):
        self.options = options
        self.loss = self.accumulate = None

    def on_train_start(self, trainer, pl_module):
        self.started = time.monotonic()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        step = trainer.global_step
        if not trainer.is_global_zero or (self.accumulate and step == self.progress.done):
            return
        if self.accumulate != trainer.accumulate_grad_batches:  # other steps, which take another time
            self.accumulate = trainer.accumulate_grad_batches
            self.progress = Progress("", self.options.max_steps, "steps", step)
            self.pictures = count_pictures(trainer, self.options)
            self.waited = trainer.train_dataloader.waited
        else:
            self.progress.add(step - self.progress.done, lambda: self._note(trainer))

    def _note(self, trainer) -> str:
        loss = float(trainer.callback_metrics["train/loss_simple"])
        self.loss = loss if self.loss is None else 0.8 * self.loss + 0.2 * loss
        seconds = time.monotonic() - self.progress.start
        rate = (count_pictures(trainer, self.options) - self.pictures) / seconds
        wait = (trainer.train_dataloader.waited - self.waited) / seconds
        told = trainer.callback_metrics.get("garment_at_16")
        told = "" if told is None else f", garment@16 {float(told):.2f}"
        return f"loss {self.loss:.4f}{told}, {rate:.1f} pictures/s, data wait {100 * wait:.0f} %"

    def on_train_end(self, trainer, pl_module):
        if trainer.is_global_zero:
            took = duration(time.monotonic() - self.started)
            say(f"trained to step {trainer.global_step} in {took}: {self.options.run}")


COLUMNS = "step pictures loss grad_norm lr pictures_per_second data_wait skipped".split()
WRITTEN_EVERY = 10  # steps: as many a killed process loses at most, and makes again when it resumes


class Metrics(pl.Callback):
    """Writes a row per optimizer step.

    `loss` is the mean over the step's micro-batches and all devices, `grad_norm` that before clipping, `lr`
    the rate of what was copied from the U-Net. `data_wait` is the share of the step's time that passed
    waiting for pictures. Neither it nor `pictures_per_second` counts measurements and checkpoints. `skipped`
    is 1 where loss or gradient was no number.
    """

    def __init__(self, options):
        self.options, self.path, self.rows = options, Path(options.run) / "metrics.csv", []

    def on_train_start(self, trainer, pl_module):
        self.step = trainer.global_step
        self._open_window(trainer)
        if trainer.is_global_zero:
            kept = [row for row in read_rows(self.path) if int(row["step"]) <= self.step]
            write_rows(self.path, kept, COLUMNS)

    def _open_window(self, trainer):
        self.losses, self.seconds = [], 0.0
        self.pictures, self.waited = count_pictures(trainer, self.options), trainer.train_dataloader.waited

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.started = time.monotonic()

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.lr = optimizer.param_groups[0]["lr"]  # at the batch's end it is the next step's

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append(trainer.callback_metrics["train/loss_simple"])
        self.seconds += time.monotonic() - self.started
        if trainer.global_step == self.step:
            return
        self.step, pictures = trainer.global_step, count_pictures(trainer, self.options)
        wait = trainer.train_dataloader.waited - self.waited
        row = dict(step=self.step, pictures=pictures, loss=torch.stack(self.losses).mean())
        row |= dict(grad_norm=float(trainer.callback_metrics["grad_norm"]), lr=self.lr)
        row["pictures_per_second"] = (pictures - self.pictures) / (self.seconds + wait)
        row |= dict(data_wait=wait / (self.seconds + wait), skipped=int(pl_module.step_skipped))
        self.rows.append(row)
        self._open_window(trainer)
        if self.step % WRITTEN_EVERY == 0:
            self._write(trainer)

    def on_save_checkpoint(self, trainer, pl_module, checkpoint):
        self._write(trainer)  # so that no row before a resumed step is ever lacking

    def on_train_end(self, trainer, pl_module):
        self._write(trainer)

    def on_exception(self, trainer, pl_module, exception):
        if trainer.world_size == 1:  # other processes would not take part
            self._write(trainer)

    def _write(self, trainer):
        rows, self.rows = self.rows, []
        if not rows:
            return
        # the losses have stayed on the device until now, where asking for each would stall it
        losses = torch.stack([row["loss"] for row in rows])
        losses = trainer.strategy.reduce(losses, reduce_op="mean").tolist()
        rows = [row | dict(loss=loss) for row, loss in zip(rows, losses, strict=True)]
        if trainer.is_global_zero:
            append_rows(self.path, map(format_row, rows), COLUMNS)
            log_rows(trainer, rows)


def format_row(row) -> dict:
    """Loss and norm to the last bit of a float32, the rest to what can be read off them."""
    digits = dict(loss=9, grad_norm=9, pictures_per_second=4, data_wait=3)
    return {name: f"{value:.{digits.get(name, 8)}g}" for name, value in row.items()}
