"""Averages what trains over the optimizer steps (EMA), for measurements, samples and published weights."""

import pytorch_lightning as pl

from cldm.average import WeightAverage


class Averaging(pl.Callback):
    """Keeps `pl_module.average`, one update per optimizer step that was not skipped; last.ckpt has it too.

    Must come before the callbacks that write or measure, so that their average includes the step.
    """

    def __init__(self, decay: float):
        self.decay, self.average, self.restored = decay, None, None

    def on_train_start(self, trainer, pl_module):
        self.average = pl_module.average = WeightAverage(pl_module, self.decay)
        if self.restored:
            self.average.load_state_dict(self.restored)
        self.restored, self.seen_step = None, trainer.global_step

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.seen_step:
            return  # a window of micro-batches is not over yet
        self.seen_step = trainer.global_step
        if not pl_module.step_skipped:
            self.average.update()

    def state_dict(self):
        return self.average.state_dict() if self.average else {}

    def load_state_dict(self, state_dict):
        self.restored = state_dict
