"""The image log: every so many optimizer steps, what the model reconstructs, sees and draws, as PNG grids."""

from pathlib import Path

import pytorch_lightning as pl
import torch
from einops import rearrange
from PIL import Image
from torch.nn.functional import pad

from jobs.ranks import from_all, part_of
from ldm.util import refuse_unless


class ImageLogger(pl.Callback):
    """Writes {save_dir}/image_log/{split}/{KEY}_gs-{step}_e-{epoch}_b-{batch}.png, 4 a row.

    Each process draws a share of the pictures, rank 0 writes them.

    Args:
        batch_frequency: in optimizer steps, however many micro-batches each accumulates; counting these
            instead (`log_on_batch_idx`) is refused.
        increase_log_steps: has no effect, as in the original.
        log_first_step: also log the first batch of training.
        log_images_kwargs: passed on to the model's `log_images`.
    """

    def __init__(
        self,
        batch_frequency=2000,
        max_images=4,
        clamp=True,
        increase_log_steps=True,
        rescale=True,
        disabled=False,
        log_on_batch_idx=False,
        log_first_step=False,
        log_images_kwargs=None,
    ):
        super().__init__()
        why = "pictures are logged by optimizer steps"
        refuse_unless(not log_on_batch_idx, "log_on_batch_idx", log_on_batch_idx, why)
        self.batch_frequency, self.max_images, self.clamp, self.rescale = (
            batch_frequency,
            max_images,
            clamp,
            rescale,
        )
        self.disabled, self.log_first_step = disabled, log_first_step
        self.log_images_kwargs = dict(N=max_images, split="train") | (log_images_kwargs or {})
        self.last_step = None

    def on_train_start(self, trainer, pl_module):
        # a step that a run is resumed at was logged before it was saved
        self.last_step = trainer.global_step or None

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        step = trainer.global_step
        due = step % self.batch_frequency == 0 if step else False
        due = due or (self.log_first_step and self.last_step is None)
        if self.disabled or not due or step == self.last_step:
            return
        self.last_step = step
        images = joined(from_all(self._draw(trainer, pl_module, batch)))
        if trainer.is_global_zero:
            folder = Path(trainer.default_root_dir) / "image_log" / "train"
            grids = self.save(folder, images, step, trainer.current_epoch, batch_idx)
            self.show(trainer, grids)

    def show(self, trainer, grids):
        """Nothing; a subclass may show grids uint8 (H, W, 3) by name, which have been written, elsewhere."""

    def _draw(self, trainer, pl_module, batch):
        """This process's share of the pictures, name -> (n, 3, H, W) on the CPU, from its own batch."""
        num = len(part_of(range(self.log_images_kwargs["N"])))
        if not num:
            return {}
        was_training = pl_module.training
        pl_module.eval()
        with (
            torch.random.fork_rng(devices=[]),
            trainer.precision_plugin.forward_context(),
            pl_module.stages_present(),
            pl_module.averaged(),
        ):
            images = pl_module.log_images(batch, **self.log_images_kwargs | dict(N=num))
        pl_module.train(was_training)
        return {name: pictures.detach().float().cpu() for name, pictures in images.items()}

    def save(self, folder, images, step, epoch, batch_idx):
        """Write name -> images (n, 3, H, W) as one PNG grid each; gives the grids uint8 (H, W, 3)."""
        folder.mkdir(parents=True, exist_ok=True)
        grids = {}
        for name, batch in images.items():
            batch = batch[: self.max_images]
            batch = batch.clamp(-1.0, 1.0) if self.clamp else batch
            batch = (batch + 1.0) / 2.0 if self.rescale else batch
            grids[name] = grid(batch)
            path = folder / f"{name}_gs-{step:06}_e-{epoch:06}_b-{batch_idx:06}.png"
            Image.fromarray(grids[name]).save(path)
        return grids


def joined(parts):
    """Pictures by name of several processes -> those of all, in one."""
    return {name: torch.cat([part[name] for part in parts if name in part]) for name in parts[0]}


def grid(images, columns=4):
    """Images (n, 3, H, W) in [0, 1] -> one uint8 picture (rows H, columns W, 3), black where none is."""
    columns = min(columns, len(images))
    images = pad(images, (0, 0, 0, 0, 0, 0, 0, -len(images) % columns))
    joined = rearrange(images, "(rows columns) c h w -> (rows h) (columns w) c", columns=columns)
    return (joined * 255).round().clamp(0, 255).to(torch.uint8).numpy()
