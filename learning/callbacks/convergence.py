"""Says when the map has taken over, and makes larger steps from then on if that is wanted."""

import json
from dataclasses import asdict
from pathlib import Path

import pytorch_lightning as pl

from jobs.ranks import say
from jobs.whole_files import write_atomically
from learning.callbacks.measurement import is_due
from learning.options import read_accumulation_after
from learning.takeover import advise, describe_takeover, find_takeover_in

FILE = "convergence.json"


class Convergence(pl.Callback):
    """Writes convergence.json once the run's measurements show that the map took over; must follow these.

    With after_convergence=accumulate:N the steps take N micro-batches from then on. That begins where a
    window of N begins, so that none is short, and is resumed.
    """

    def __init__(self, options):
        self.options, self.path = options, Path(options.run, FILE)
        self.found, self.accumulate = None, read_accumulation_after(options)
        if self.accumulate % options.accumulate:
            raise ValueError(
                f"after_convergence=accumulate:{self.accumulate} must be a multiple of "
                f"accumulate={options.accumulate}, {4 * options.accumulate} say"
            )

    def on_train_start(self, trainer, pl_module):
        self.seen_step = trainer.global_step
        if trainer.is_global_zero:
            self._write()  # the file may be of a later step than the one that is resumed
        if self.found and self.found["accumulate"]:
            trainer.accumulate_grad_batches = self.found["accumulate"]
        self._look(trainer, trainer.fit_loop.epoch_loop.batch_progress.current.ready)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step != self.seen_step:
            self.seen_step = trainer.global_step
            self._look(trainer, batch_idx + 1)

    def _look(self, trainer, batches):
        """At the end of a step, `batches` micro-batches into the epoch."""
        if not self.found and is_due(self.seen_step, self.options):
            found = find_takeover_in(self.options.run) if trainer.is_global_zero else None
            self.found = trainer.strategy.broadcast(found and asdict(found) | dict(accumulate=0))
            if self.found and trainer.is_global_zero:
                self._tell()
        if (
            self.found
            and self.accumulate > trainer.accumulate_grad_batches
            and batches % self.accumulate == 0
        ):
            trainer.accumulate_grad_batches = self.accumulate
            self.found = self.found | dict(accumulate=self.accumulate, accumulate_from=self.seen_step)
            if trainer.is_global_zero:
                self._tell()

    def _write(self):
        if self.found:
            write_atomically(self.path, json.dumps(self.found, indent=1).encode())
        else:
            self.path.unlink(missing_ok=True)

    def _tell(self):
        self._write()
        if self.found["accumulate"]:
            text = f"step {self.seen_step}: from here on {self.accumulate} micro-batches a step"
        else:
            text = f"step {self.seen_step}: {describe_takeover(self.found)}"
            if not self.accumulate:
                text += ". " + advise(self.options.accumulate)
        say(text)

    def state_dict(self):
        return dict(found=self.found)

    def load_state_dict(self, state):
        self.found = state["found"]
