"""Train the segmenter with Lightning."""

import math

import pytorch_lightning as pl
import torch
from einops import rearrange
from torch.nn.functional import nll_loss, one_hot
from torch.utils.data import DataLoader, Subset

from .metrics import confusion, mean_iou


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

    def __init__(self, train, held_out, batch_size: int, steps_per_epoch: int):
        super().__init__()
        self.train, self.held_out = train, held_out
        self.batch_size, self.steps_per_epoch = batch_size, steps_per_epoch

    def train_dataloader(self):
        start = self.trainer.global_step * self.batch_size
        end = min(start + self.steps_per_epoch * self.batch_size, len(self.train))
        return DataLoader(Subset(self.train, range(start, end)), self.batch_size)

    def val_dataloader(self):
        return DataLoader(self.held_out, 32)


class SegmenterTraining(pl.LightningModule):
    """Trains a SegmenterNetwork on batches of photos uint8 (b, h, w, 3) and region ids uint8 (b, h, w)."""

    def __init__(self, network, learning_rate: float, num_steps: int):
        super().__init__()
        self.network, self.learning_rate, self.num_steps = network, learning_rate, num_steps

    def forward(self, photos):
        """Logits (b, regions, h, w) of photos uint8 (b, h, w, 3)."""
        return self.network(rearrange(photos, "b h w c -> b c h w").float() / 255)

    def training_step(self, batch, batch_idx):
        photos, ids = batch
        log_probabilities, ids = self(photos).float().log_softmax(dim=1), ids.long()
        loss = nll_loss(log_probabilities, ids) + overlap_loss(log_probabilities, ids)
        self.log("loss", loss.detach())
        return loss

    def on_validation_epoch_start(self):
        self.counts = 0

    def validation_step(self, batch, batch_idx):
        logits, ids = self(batch[0]), batch[1]
        self.counts = self.counts + confusion(logits.argmax(dim=1).cpu(), ids.cpu(), logits.shape[1])

    def on_validation_epoch_end(self):
        loss = self.trainer.callback_metrics["loss"]
        done = f"step {self.global_step} of {self.num_steps}"
        self.print(f"{done}: loss {loss:.3f}, held-out mIoU {mean_iou(self.counts):.3f}", flush=True)

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), self.learning_rate, weight_decay=0.01)

        def factor(step):
            warm_up = min(1.0, (step + 1) / 100)
            return warm_up * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.num_steps))))

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return dict(optimizer=optimizer, lr_scheduler=dict(scheduler=scheduler, interval="step"))
