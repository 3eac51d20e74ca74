"""Batches of a training folder in an order that any number of devices shares, and that can be resumed."""

import time
from functools import partial

import numpy as np
import pytorch_lightning as pl
from torch.utils.data import DataLoader, Sampler, default_collate

from batches.augment import Draw, FlippedItems, RoughItems
from batches.map_checks import check_maps
from batches.mixed_prompts import MixedItems
from jobs.parallel import outlive_signals
from jobs.progress import say
from ldm.modules.diffusionmodules.util import ROW_SEED


class SeededBatches(Sampler):
    """Lists of Draws: this rank's batches of one epoch, in an order drawn from (seed, epoch).

    An epoch is a list of steps of batch_size x world_size x accumulate pictures. It is the same however these
    three share them, so all pictures of a step have one size. What does not fill a step is left out, other
    pictures in each epoch. `skip` batches are passed over at the start of the next iteration only.

    Args:
        sizes: of the items, None where unknown; or how many items there are.
        flip: half of them are mirrored, drawn from (seed, epoch).
        steps_together: an epoch is a multiple of so many steps.
    """

    def __init__(
        self, sizes, batch_size, seed=0, rank=0, world_size=1, accumulate=1, flip=False, steps_together=1
    ):
        sizes = [None] * sizes if isinstance(sizes, int) else sizes
        self.num_items, self.batch_size, self.seed = len(sizes), batch_size, seed
        self.flip = flip
        self.rank, self.row = rank, batch_size * world_size  # a row is what all ranks see at once
        self.step = self.row * accumulate
        self.buckets = list(dict.fromkeys(sizes))
        numbers = {size: number for number, size in enumerate(self.buckets)}
        self.bucket_of = np.array([numbers[size] for size in sizes], int)
        counts = np.bincount(self.bucket_of, minlength=1)
        self.unseen = {size: int(n) for size, n in zip(self.buckets, counts, strict=False) if n < self.step}
        self.num_steps = int((counts // self.step).sum()) // steps_together * steps_together
        self.num_batches = self.num_steps * accumulate
        if not self.num_batches:
            buckets = f" in {len(self.buckets)} sizes" if len(self.buckets) > 1 else ""
            raise ValueError(
                f"one optimizer step takes {self.step * steps_together} pictures (batch size x accumulation "
                f"x devices), the data has {self.num_items}{buckets}: lower batch_size or accumulate, "
                "which effective_batch and after_convergence set too"
            )
        self.epoch = self.skip = 0
        self.sampler = self  # where Lightning looks for set_epoch

    def set_epoch(self, epoch: int):
        self.epoch = epoch

    def __len__(self):
        return self.num_batches

    def __iter__(self):
        first, self.skip = self.skip, 0
        rows, mirrored = self._draw()
        for row in rows[first:]:
            asked = ((i, self.flip and bool(mirrored[i])) for i in self._share(row))
            yield [Draw(*each, self.epoch, self.seed) for each in asked]

    def items_at(self, place: int) -> list[int]:
        """The indices in this rank's batch number `place` of the epoch."""
        return self._share(self._draw()[0][place])

    def _draw(self):
        """(rows of indices, which items are mirrored) of the epoch."""
        rng, steps = np.random.default_rng([self.seed, self.epoch]), []
        order, mirrored = rng.permutation(self.num_items), rng.random(self.num_items) < 0.5
        for number in range(len(self.buckets)):
            items = order[self.bucket_of[order] == number]
            steps += [items[i : i + self.step] for i in range(0, len(items) - self.step + 1, self.step)]
        if len(self.buckets) > 1:
            rng.shuffle(steps)
        steps = steps[: self.num_steps]
        return [step[i : i + self.row] for step in steps for i in range(0, self.step, self.row)], mirrored

    def _share(self, row):
        return row[self.rank * self.batch_size :][: self.batch_size].tolist()


SIZED = "jpg", "hint", "mask"  # keys of an item of which a cache leaves at least one, (H, W, c) each


def collate(items, multiple=64):
    """A batch of items dict(jpg, txt, hint), or of a cache's, with moments and context instead of jpg.

    Their rows' seeds are a list, which nobody sends to a device.
    """
    check_sizes(items, multiple)
    seeds = {ROW_SEED: [item[ROW_SEED] for item in items]} if ROW_SEED in items[0] else {}
    return default_collate(items) | seeds


def check_sizes(items, multiple=64):
    """Raise ValueError unless all items have one size, of such multiples that the model can halve it."""
    sizes = sorted({tuple(item[key].shape[:2]) for item in items for key in SIZED if key in item})
    if len(sizes) > 1 or any(side % multiple for side in sizes[0]):
        listed = ", ".join(f"{height} x {width}" for height, width in sizes)
        raise ValueError(
            f"all pictures must have one size, sides multiples of {multiple}, got {listed}; "
            "tool_prepare_data.py brings a folder's pictures to such, and says each one's size in prompt.json"
        )


class ResumableLoader(DataLoader):
    """A DataLoader that knows how many batches of its epoch it has handed out, and can go on from there.

    `waited` are the seconds in all that whoever takes batches had to wait for them.
    """

    position, waited = 0, 0.0

    def state_dict(self):
        return dict(epoch=self.batch_sampler.epoch, position=self.position)

    def load_state_dict(self, state):
        self.batch_sampler.set_epoch(state["epoch"])
        self.batch_sampler.skip = state["position"] % len(self.batch_sampler)

    def __iter__(self):
        self.position, batches = self.batch_sampler.skip, None
        while True:
            asked = time.monotonic()
            # the first wait is for the processes to start
            batches = super().__iter__() if batches is None else batches
            batch = next(batches, None)
            self.waited += time.monotonic() - asked
            if batch is None:
                return
            self.position += 1
            yield batch


class TrainingData(pl.LightningDataModule):
    """Training batches of any dataset whose items are dict(jpg, txt, hint).

    Its `sizes`, (height, width) or None for each item, if it has them, tell which pictures go together.
    `flip` mirrors half of the items, `rough` (RoughMaps) changes their maps, `prompts` (MixedPrompts) gives
    them prompts; sides are to be multiples of `multiple`, an epoch's steps of `steps_together`. Before the
    first batch a sample of the maps is checked (`check_maps`), with `encoder`, the HintEncoder of the regions
    that they show, if there is one.
    """

    def __init__(
        self,
        dataset,
        batch_size,
        seed=0,
        accumulate=1,
        num_workers=0,
        flip=False,
        encoder=None,
        rough=None,
        prompts=None,
        multiple=64,
        steps_together=1,
    ):
        super().__init__()
        self.multiple = multiple
        self.encoder = encoder
        self.dataset, self.batch_size, self.seed = dataset, batch_size, seed
        self.accumulate, self.num_workers, self.flip = accumulate, num_workers, flip
        self.rough, self.prompts, self.steps_together = rough, prompts, steps_together

    def train_dataloader(self):
        on_gpu = self.trainer.strategy.root_device.type == "cuda"
        return self.loader(self.trainer.global_rank, self.trainer.world_size, pin_memory=on_gpu)

    def loader(self, rank=0, world=1, pin_memory=False):
        """The batches of one of `world` processes; ValueError for maps that nothing can be learnt from."""
        sizes = sizes_of(self.dataset)
        self._check_sizes(sizes)
        check_maps(self.dataset, self.encoder)
        batches = SeededBatches(
            sizes, self.batch_size, self.seed, rank, world, self.accumulate, self.flip, self.steps_together
        )
        if batches.unseen and rank == 0:
            text = bucket_text(batches.unseen)
            say(f"never seen, being fewer than the {batches.step} pictures of a step: {text}")
        return ResumableLoader(
            self._items(),
            batch_sampler=batches,
            collate_fn=partial(collate, multiple=self.multiple),
            num_workers=self.num_workers,
            pin_memory=pin_memory,
            persistent_workers=self.num_workers > 0,
            worker_init_fn=outlive_signals,
        )

    def _check_sizes(self, sizes) -> None:
        n = self.multiple
        odd = [i for i, size in enumerate(sizes) if size and any(side % n or side < n for side in size)]
        if odd:
            more = f" and {len(odd) - 1:,} more" if odd[1:] else ""
            raise ValueError(
                f"{self._names(odd[:1])[0]} is said to be {' x '.join(map(str, sizes[odd[0]]))}{more}: sides "
                f"must be multiples of {n}; tool_prepare_data.py brings a folder's pictures and maps to such"
            )

    def names_at(self, place: int) -> list:
        """What this process's batch number `place` of the epoch is of: files if the items name them."""
        return self._names(self.trainer.train_dataloader.batch_sampler.items_at(place))

    def _names(self, places) -> list:
        lines = getattr(getattr(self.dataset, "dataset", self.dataset), "data", None)
        return [lines[i]["target"] if lines else f"item {i}" for i in places]

    def _items(self):
        items = FlippedItems(self.dataset)
        items = RoughItems(items, self.rough, self.seed) if self.rough else items
        return MixedItems(items, self.prompts, self.seed) if self.prompts else items


def sizes_of(dataset) -> list:
    """(height, width) of each item of a dataset that knows it, None for others."""
    return getattr(dataset, "sizes", None) or [None] * len(dataset)


def bucket_text(counts: dict) -> str:
    """'3,200 of 768x512, 14 of unknown size' from (height, width) or None -> count, the largest first."""
    names = {size: "x".join(map(str, size)) if size else "unknown size" for size in counts}
    return ", ".join(f"{n:,} of {names[size]}" for size, n in sorted(counts.items(), key=lambda c: -c[1]))
