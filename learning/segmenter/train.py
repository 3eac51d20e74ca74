"""Train segmenters with Lightning."""

import math
from pathlib import Path

import pytorch_lightning as pl
import torch
from einops import rearrange
from torch.nn.functional import nll_loss, one_hot
from torch.utils.data import DataLoader, Subset

from learning.segmenter.judging import list_ious
from pictures.region_overlap import confusion, mean_iou


def overlap_loss(log_probabilities, ids):
    """1 - the soft IoU over the batch, mean of all regions but the background: what cross entropy overlooks.

    Args:
        log_probabilities: (b, regions, h, w).
        ids: int64 (b, h, w).
    """
    found = log_probabilities.exp()
    wanted = rearrange(one_hot(ids, found.shape[1]), "b h w r -> b r h w").to(found.dtype)
    both = (found * wanted).sum(dim=(0, 2, 3))
    either = (found + wanted).sum(dim=(0, 2, 3)) - both
    return 1 - ((both + 1) / (either + 1))[1:].mean()


class Dolls(pl.LightningDataModule):
    """Batches of photos and region ids: the next `steps_per_epoch` from wherever training stands.

    Reloaded every epoch, so that a resumed run sees what an unbroken one would.
    """

    def __init__(self, train, held_out, batch_size: int, steps_per_epoch: int, num_workers: int = 0):
        super().__init__()
        self.train, self.held_out, self.num_workers = train, held_out, num_workers
        self.batch_size, self.steps_per_epoch = batch_size, steps_per_epoch

    def train_dataloader(self):
        start = self.trainer.global_step * self.batch_size
        end = min(start + self.steps_per_epoch * self.batch_size, len(self.train))
        return self._loader(Subset(self.train, range(start, end)), self.batch_size)

    def val_dataloader(self):
        return self._loader(self.held_out, self.batch_size)

    def _loader(self, items, batch_size):
        return DataLoader(items, batch_size, num_workers=self.num_workers)


class SegmenterTraining(pl.LightningModule):
    """Trains a segmenter's network on batches of photos uint8 (b, h, w, 3) and region ids uint8 (b, h, w).

    All logits that the segmenter gives are trained, and their losses added: deep supervision where they are
    several. `weights` of the regions, float32 (regions,), are the cross entropy's.
    """

    def __init__(self, segmenter, learning_rate: float, num_steps: int, weights=None):
        super().__init__()
        # the optimizer and the checkpoints see the network; the segmenter knows what it is asked
        self.network, self.segmenter = segmenter.network.train(), segmenter
        self.learning_rate, self.num_steps = learning_rate, num_steps
        weights = None if weights is None else torch.as_tensor(weights)
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, photos):
        """A list of logits (b, regions, h, w) of photos uint8 (b, h, w, 3), the result first."""
        return self.segmenter.logits(rearrange(photos, "b h w c -> b c h w").float() / 255)

    def training_step(self, batch, batch_idx):
        photos, ids = batch
        ids = ids.long()
        loss = sum(self.loss(logits, ids) for logits in self(photos))
        self.log("loss", loss.detach())
        return loss

    def loss(self, logits, ids):
        """Cross entropy and overlap_loss of logits (b, regions, h, w) and ids int64 (b, h, w)."""
        log_probabilities = logits.float().log_softmax(dim=1)
        return nll_loss(log_probabilities, ids, self.weights) + overlap_loss(log_probabilities, ids)

    def on_validation_epoch_start(self):
        self.counts = 0

    def validation_step(self, batch, batch_idx):
        logits, ids = self(batch[0])[0], batch[1]
        self.counts = self.counts + confusion(logits.argmax(dim=1).cpu(), ids.cpu(), logits.shape[1])

    def on_validation_epoch_end(self):
        loss = self.trainer.callback_metrics["loss"]
        done = f"step {self.global_step} of {self.num_steps}"
        regions = list_ious(self.segmenter.names, self.counts)
        found = f"held-out mIoU {mean_iou(self.counts):.3f} ({regions})"
        self.print(f"{done}: loss {loss:.3f}, {found}", flush=True)

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), self.learning_rate, weight_decay=0.01)

        def factor(step):
            warm_up = min(1.0, (step + 1) / 100)
            return warm_up * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.num_steps))))

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return dict(optimizer=optimizer, lr_scheduler=dict(scheduler=scheduler, interval="step"))


def fit(training: SegmenterTraining, dolls: Dolls, folder: Path, precision: str) -> None:
    """Train to the end, from the last checkpoint in the folder if there is one."""
    checkpoint = pl.callbacks.ModelCheckpoint(
        folder, filename="last", enable_version_counter=False, save_on_train_epoch_end=True
    )
    trainer = pl.Trainer(
        max_steps=training.num_steps,
        precision=precision,
        callbacks=[checkpoint],
        logger=False,
        reload_dataloaders_every_n_epochs=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    last = folder / "last.ckpt"
    trainer.fit(training, dolls, ckpt_path=last if last.exists() else None)


def describe_recipe(args) -> str:
    """The options of tutorial_train_segmenter.py that the weights depend on, as a command line."""
    settings = ["max_steps", "batch_size", "dolls", "learning_rate", "precision", "seed"]
    if args.data:
        settings = ["data", "size"] + [name for name in settings if name != "dolls"]
    settings += ["network"] * (args.network != "pixel") + ["width"] * bool(args.width)
    return " ".join(f"--{name.replace('_', '-')} {getattr(args, name)}" for name in settings)
