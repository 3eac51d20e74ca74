"""How far a run is, on one line of the terminal."""

import pytorch_lightning as pl

from cldm.status import StatusLine, duration


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
