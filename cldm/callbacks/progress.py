"""How far a run is, on one line of the terminal."""

import pytorch_lightning as pl

from cldm.status import StatusLine, duration


def pictures_seen(trainer, options) -> int:
    """Pictures that a run has trained on, on all devices, before it was resumed too.

    Not steps times pictures per step, as `after_convergence` changes these on the way.
    """
    batches = trainer.fit_loop.epoch_loop.total_batch_idx + 1
    return batches * options.batch_size * trainer.world_size


class Progress(pl.Callback):
    """Steps, pictures seen, pictures a second, loss, share of time waited for data, and time left."""

    def __init__(self, options):
        self.options = options
        self.loss = None

    def on_train_start(self, trainer, pl_module):
        self.first_step, self.line = trainer.global_step, StatusLine(at_once=True)
        self.first_pictures = pictures_seen(trainer, self.options)
        self.first_wait = trainer.train_dataloader.waited

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        step, total = trainer.global_step, self.options.max_steps
        if not trainer.is_global_zero or step == self.first_step or not (self.line.due() or step == total):
            return
        loss = float(trainer.callback_metrics["train/loss_simple"])
        self.loss = loss if self.loss is None else 0.8 * self.loss + 0.2 * loss
        pictures, seconds = pictures_seen(trainer, self.options), self.line.seconds
        rate = (pictures - self.first_pictures) / seconds
        per_step = trainer.accumulate_grad_batches * self.options.batch_size * trainer.world_size
        wait = (trainer.train_dataloader.waited - self.first_wait) / seconds
        self.line.show(
            f"step {step}/{total}  {pictures:,} pictures  {rate:.1f} pictures/s  loss {self.loss:.4f}  "
            f"data wait {100 * wait:.0f} %  {duration((total - step) * per_step / rate)} left"
        )

    def on_train_end(self, trainer, pl_module):
        if trainer.is_global_zero:
            took = duration(self.line.seconds)
            print(f"\ntrained to step {trainer.global_step} in {took}: {self.options.run}", flush=True)
