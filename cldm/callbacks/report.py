"""Keeps a run's report up to date."""

import pytorch_lightning as pl

from cldm.callbacks.measurement import due
from cldm.report import write_report
from cldm.reporting.strips import forget_pictures_after


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
        if step != self.seen_step and step < self.options.max_steps and due(step, self.options):
            self._write(trainer)
        self.seen_step = step

    def on_train_end(self, trainer, pl_module):
        self._write(trainer, said=True)

    def _write(self, trainer, said=False):
        if trainer.is_global_zero:
            path = write_report(self.options.run)
            if said:
                print(f"\nreport: {path.absolute()}", flush=True)
