"""What all measurements beside training share: when they are due, with which weights, where they go."""

from abc import ABC, abstractmethod
from contextlib import contextmanager
from pathlib import Path

import pytorch_lightning as pl
import torch

from jobs.ranks import say
from learning.callbacks.training_log import count_pictures
from learning.report import write_report
from learning.trackers import log_pictures, log_rows
from reporting.strips import forget_pictures_after, save_strip, side_by_side
from reporting.tables import forget_after, read_rows, record


class Measurement(pl.Callback, ABC):
    """Calls `measure` every `measure_every` steps and at the last one; writes what it gives into `table`.

    All processes measure, each its part of the work. A run that was stopped between a step and its
    measurement makes up for it.
    """

    table = ""  # the file's name
    at_start = False  # whether step 0 is measured too

    def __init__(self, options):
        self.options, self.path = options, Path(options.run, self.table)

    def prepare(self, trainer, pl_module):
        """Once, before the first measurement."""

    @abstractmethod
    def measure(self, trainer, pl_module) -> dict:
        """The numbers of a row by column, for rank 0; others' are not looked at."""

    def on_train_start(self, trainer, pl_module):
        done = None
        if trainer.is_global_zero:
            forget_after(self.path, trainer.global_step)
            done = max((int(row["step"]) for row in read_rows(self.path)), default=-1)
        self.measured = trainer.strategy.broadcast(done)
        self.prepare(trainer, pl_module)
        self._measure_if_due(trainer, pl_module)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self._measure_if_due(trainer, pl_module)

    def _measure_if_due(self, trainer, pl_module):
        step = trainer.global_step
        if step == self.measured or not is_due(step, self.options) or not (step or self.at_start):
            return
        self.measured = step
        row = self.measure(trainer, pl_module)
        if trainer.is_global_zero:
            record(self.path, dict(step=step, pictures=count_pictures(trainer, self.options)) | row)
            named = {f"{self.path.stem}/{name}": value for name, value in row.items()}
            log_rows(trainer, [dict(step=step) | named])


def is_due(step, options) -> bool:
    """Whether a step is one after which is measured."""
    return step % options.measure_every == 0 or step == options.max_steps


def save_samples(trainer, folder: Path, pictures):
    """Write this step's pictures uint8 (H, W, 3) into a folder, and show them to the tracker."""
    save_strip(folder / f"step_{trainer.global_step:06}.png", pictures)
    log_pictures(trainer, {folder.name: side_by_side(pictures)}, trainer.global_step)


@contextmanager
def measuring(trainer, pl_module):
    """The model as others will use it: averaged weights, no gradients, the run's precision."""
    pl_module.eval()
    try:
        with trainer.precision_plugin.forward_context(), torch.no_grad(), pl_module.averaged():
            yield
    finally:
        pl_module.train()


class Report(pl.Callback):
    """Writes report.html after every measurement and at the end; comes behind whoever measures."""

    def __init__(self, options):
        self.options = options

    def on_train_start(self, trainer, pl_module):
        self.seen_step = trainer.global_step
        if trainer.is_global_zero:
            forget_pictures_after(self.options.run, self.seen_step)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        step = trainer.global_step
        if step != self.seen_step and step < self.options.max_steps and is_due(step, self.options):
            self._write(trainer)
        self.seen_step = step

    def on_train_end(self, trainer, pl_module):
        self._write(trainer, said=True)

    def _write(self, trainer, said=False):
        if trainer.is_global_zero:
            path = write_report(self.options.run)
            if said:
                say(f"report: {path.absolute()}")
