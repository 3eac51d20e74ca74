"""The pictures that a run still has to caption, read by its processes, each of them its own share."""

import io
import os
import signal
import threading
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
from PIL import Image, ImageOps, UnidentifiedImageError
from torch.utils.data import DataLoader, Dataset

from jobs.whole_files import alone_in


class Pictures(Dataset):
    """Items (line, picture RGB uint8 (h, w, 3), its file's [bytes, nanoseconds, CRC]).

    Instead of a picture that can't be read comes the reason, a str.
    """

    def __init__(self, folder, lines: list[dict]):
        self.folder, self.lines = Path(folder), lines

    def __len__(self):
        return len(self.lines)

    def __getitem__(self, index):
        line = self.lines[index]
        path = self.folder / line["target"]
        try:
            status, data = os.stat(path), path.read_bytes()
            with warnings.catch_warnings():
                # Pillow's do not say which picture they are about
                warnings.simplefilter("ignore")
                with Image.open(io.BytesIO(data)) as image:
                    picture = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        except Exception as error:
            # damaged files raise nearly anything in Pillow's readers
            if isinstance(error, UnidentifiedImageError):
                # Pillow's own words name an object in memory
                return line, "no picture that Pillow reads", None
            return line, f"{type(error).__name__}: {error}".replace(str(self.folder), "."), None
        return line, picture, [status.st_size, status.st_mtime_ns, zlib.crc32(data)]


class CaptionData(pl.LightningDataModule):
    """The pictures that are not captioned yet; each process takes every n-th of them.

    Args:
        held: where the first process keeps the column's lock.
    """

    def __init__(self, job, held):
        super().__init__()
        self.job, self.held, self.all_lines = job, held, []

    def setup(self, stage):
        """Let the first process say what is to be done, as the others may see its files later."""
        plan = self._plan() if self.trainer.is_global_zero else None
        plan = self.trainer.strategy.broadcast(plan)
        if isinstance(plan, Exception):
            raise plan
        self.all_lines, self.done = plan
        self.lines = self.all_lines[self.trainer.global_rank :: self.trainer.world_size]

    def _plan(self):
        """(lines, number of pictures that are done), or the error that all processes shall end with."""
        try:
            self.job.records.path.mkdir(parents=True, exist_ok=True)
            self.held.enter_context(alone_in(self.job.records.path))
            return self.job.missing()
        except (OSError, ValueError) as error:
            return error

    def predict_dataloader(self):
        workers = min(self.job.workers, len(self.lines))
        return DataLoader(
            Pictures(self.job.folder, self.lines),
            batch_size=self.job.batch_size,
            num_workers=workers,
            collate_fn=list,
            worker_init_fn=_begin_reading,
        )

    def transfer_batch_to_device(self, batch, device, dataloader_idx):
        """Pictures are the captioner's to move: they differ in size."""
        return batch

    def on_exception(self, exception):
        """End the processes that this one has started: they would go on, and then wait for it."""
        launcher = self.trainer.strategy.launcher
        if launcher is not None:
            launcher.kill(signal.SIGTERM)


def _begin_reading(_) -> None:
    """Leave Ctrl-C to the process that this one reads for, and end with that: nothing is left to finish."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _end_with(parent: int) -> None:
    """End this process once its parent has ended.

    Else it waits for ever to hand a killed one its picture, and keeps its lock on the column.
    """
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)
