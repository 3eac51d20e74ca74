"""The shards of a cache, encoded by Lightning's predict: each device takes whole shards and writes them."""

import warnings
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from batches.cache.contents import Content
from batches.cache.encoders import load_all_encoders
from batches.cache.shards import Shard, ShardFile, read_whole_rows, write_shard
from jobs.progress import Progress


def encode_shards(
    dataset, contents: list[Content], shards: list[Shard], checkpoint, config, dtype, batch_size, devices
):
    """Write these shards into a dataset's cache; rows that shards of an older plan hold are copied."""
    num = max(1, torch.accelerator.device_count()) if devices == "auto" else devices
    # spawned processes start here, not at the top of the script, whose work is done; torchrun has its own
    spawn = num > 1 and not torch.distributed.is_torchelastic_launched()
    warnings.filterwarnings("ignore", ".*(not have many workers|DataLoader` across ranks is zero|LeafSpec)")
    trainer = pl.Trainer(
        devices=num,
        strategy="ddp_spawn" if spawn else "auto",
        precision="32-true",
        callbacks=[ShardWriter(Path(dataset.folder) / "cache", shards, dtype)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    contents = {content.kind: content for content in contents}
    data = ShardData(dataset, contents, shards, batch_size)
    try:
        trainer.predict(Encoding(contents, checkpoint, config), data, return_predictions=False)
    except (ValueError, torch.multiprocessing.ProcessRaisedException) as error:
        # from another process comes its whole traceback, and the message last
        raise ValueError(str(error).strip().splitlines()[-1].removeprefix("ValueError: ")) from error
    trainer.strategy.barrier()


class Encoding(pl.LightningModule):
    """All encoders in fp32: the autoencoder's features leave fp16's range, and the cache outlives a GPU.

    A batch dict(kind, rows), as its Content takes them, or dict(values), encoded before, -> values (b, ...).
    """

    def __init__(self, contents: dict[str, Content], checkpoint, config):
        super().__init__()
        self.contents, self.checkpoint, self.config = contents, checkpoint, config

    def setup(self, stage):
        self.encoders = load_all_encoders(self.checkpoint, self.config).modules.float()

    def predict_step(self, batch, batch_idx):
        if "values" in batch:
            return batch["values"]
        return self.contents[batch["kind"]].encode(self.encoders, batch["content"], self.device)


class ShardBatches(Dataset):
    """Batches of some shards, in their order: (position of the shard, rows) each, to read in any process."""

    def __init__(self, dataset, contents, shards, batch_size):
        self.dataset, self.contents = dataset, contents
        self.shards, self.batches, self.found = shards, [], {}
        for prefix in {shard.prefix for shard in shards}:
            for path in sorted((Path(dataset.folder) / "cache").glob(f"{prefix}*.safetensors")):
                self.found |= {(prefix, key): (path, row) for key, row in read_whole_rows(path).items()}
        for i, shard in enumerate(shards):
            known = [(shard.prefix, key) in self.found for key in shard.keys]
            for copied in (True, False):
                rows = [row for row, is_known in enumerate(known) if is_known == copied]
                batches = [[row] for row in rows if row < shard.num_alone]
                rows = rows[len(batches) :]
                batches += [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
                self.batches += [(i, batch, copied) for batch in batches]

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        i, rows, copied = self.batches[index]
        shard = self.shards[i]
        names = [shard.names[row] for row in rows]
        if copied:
            content = dict(values=torch.stack([self.copy(shard, row) for row in rows]))
        else:
            read = [self.read(shard, name) for name in names]
            content = dict(kind=shard.kind, content=default_collate(read))
        return dict(content, shard=i, rows=rows)

    def copy(self, shard, row):
        path, row = self.found[shard.prefix, shard.keys[row]]
        return ShardFile(path)[row]

    def read(self, shard, name):
        return self.contents[shard.kind].read_checked(self.dataset, name)


class ShardData(pl.LightningDataModule):
    """The batches of every shard that falls to this rank."""

    def __init__(self, dataset, contents, shards, batch_size):
        super().__init__()
        self.dataset, self.contents, self.shards = dataset, contents, shards
        self.batch_size = batch_size

    def predict_dataloader(self):
        own = self.shards[self.trainer.global_rank :: self.trainer.world_size]
        batches = ShardBatches(self.dataset, self.contents, own, self.batch_size)
        workers = 0 if self.trainer.strategy.root_device.type == "cpu" else 4
        return DataLoader(batches, batch_size=None, num_workers=workers)


class ShardWriter(pl.Callback):
    """Gathers the rows of a shard and writes it, whole or not at all; rank 0 says how far all are."""

    def __init__(self, cache, shards, dtype):
        self.cache, self.shards, self.dtype = Path(cache), shards, getattr(torch, dtype)
        self.rows, self.kind = {}, None

    def on_predict_batch_end(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0):
        shard = self.shards[trainer.global_rank :: trainer.world_size][batch["shard"]]
        values = outputs.to("cpu", self.dtype if outputs.is_floating_point() else None)
        if not values.isfinite().all():
            raise ValueError(
                f"the {shard.kind} of {shard.names[batch['rows'][0]]!r} and others do not fit {self.dtype}"
            )
        self.rows |= dict(zip(batch["rows"], values, strict=True))
        if trainer.is_global_zero:
            self.show(shard.kind, len(values) * trainer.world_size)
        if len(self.rows) == len(shard.names):
            rows = [self.rows[row] for row in range(len(shard.names))]
            write_shard(self.cache / shard.file, rows, shard.keys)
            self.rows = {}

    def show(self, kind, num):
        if kind != self.kind:
            total = sum(len(shard.names) for shard in self.shards if shard.kind == kind)
            self.kind, self.progress = kind, Progress("cache", total, kind)
        # fewer than a batch may be left for some of the processes
        self.progress.add(min(num, self.progress.total - self.progress.done))
