"""Batches of a training folder in an order that depends on seed and epoch alone, and that can be resumed."""

import numpy as np
import pytorch_lightning as pl
from torch.utils.data import DataLoader, Sampler, default_collate


class SeededBatches(Sampler):
    """Lists of indices: this rank's batches of one epoch, in an order drawn from (seed, epoch).

    Every rank gets the same number of batches, all of them full; the remainder of an epoch, different in
    each, is left out. `skip` batches are passed over at the start of the next iteration only.
    """

    def __init__(self, num_items, batch_size, seed=0, rank=0, world_size=1, accumulate=1):
        self.num_items, self.batch_size, self.seed = num_items, batch_size, seed
        self.rank, self.world_size = rank, world_size
        # whole accumulation windows only: a shorter last one would make a step of fewer pictures
        window = batch_size * world_size * accumulate
        self.num_batches = num_items // window * accumulate
        if not self.num_batches:
            raise ValueError(
                f"one optimizer step takes {window} pictures (batch size x accumulation x devices), "
                f"the data has {num_items}: lower batch_size or accumulate"
            )
        self.epoch = self.skip = 0
        self.sampler = self  # where Lightning looks for set_epoch

    def set_epoch(self, epoch: int):
        self.epoch = epoch

    def __len__(self):
        return self.num_batches

    def __iter__(self):
        first, self.skip = self.skip, 0
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.num_items)
        for i in range(first, self.num_batches):
            start = (i * self.world_size + self.rank) * self.batch_size
            yield order[start : start + self.batch_size].tolist()


def collate(items):
    """A batch of items dict(jpg, txt, hint)."""
    check_sizes(items)
    return default_collate(items)


def check_sizes(items):
    """Raise ValueError unless all items have one size that the model can halve often enough."""
    sizes = sorted({item["jpg"].shape[:2] for item in items} | {item["hint"].shape[:2] for item in items})
    if len(sizes) > 1 or any(side % 64 for side in sizes[0]):
        listed = ", ".join(f"{height} x {width}" for height, width in sizes)
        raise ValueError(f"all pictures must have one size, sides multiples of 64, got {listed}")


class ResumableLoader(DataLoader):
    """A DataLoader that knows how many batches of its epoch it has handed out, and can go on from there."""

    position = 0

    def state_dict(self):
        return dict(epoch=self.batch_sampler.epoch, position=self.position)

    def load_state_dict(self, state):
        self.batch_sampler.set_epoch(state["epoch"])
        self.batch_sampler.skip = state["position"] % len(self.batch_sampler)

    def __iter__(self):
        self.position = self.batch_sampler.skip
        for batch in super().__iter__():
            self.position += 1
            yield batch


class TrainingData(pl.LightningDataModule):
    """Training batches of any dataset whose items are dict(jpg, txt, hint)."""

    def __init__(self, dataset, batch_size, seed=0, accumulate=1, num_workers=0):
        super().__init__()
        self.dataset, self.batch_size, self.seed = dataset, batch_size, seed
        self.accumulate, self.num_workers = accumulate, num_workers

    def train_dataloader(self):
        rank, world = self.trainer.global_rank, self.trainer.world_size
        batches = SeededBatches(len(self.dataset), self.batch_size, self.seed, rank, world, self.accumulate)
        return ResumableLoader(
            self.dataset,
            batch_sampler=batches,
            collate_fn=collate,
            num_workers=self.num_workers,
            pin_memory=self.trainer.strategy.root_device.type == "cuda",
            persistent_workers=self.num_workers > 0,
        )
