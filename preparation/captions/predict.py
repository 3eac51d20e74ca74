"""A captioner under Lightning's `Trainer.predict`, which brings devices, machines and SLURM.

Each process reads and captions a share of the pictures, and appends to a file of its own.
"""

import logging
import os
import signal
import threading
import time
import warnings
import zlib
from datetime import timedelta
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.environments import SLURMEnvironment
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch.utils.data import DataLoader, Dataset

from annotator.caption.captioners import load_captioner
from jobs.progress import Progress
from jobs.whole_files import alone_in
from pictures.decoding import decode_photo
from pictures.unusable import Unusable
from preparation.captions.column_files import add_agreement, make_record

ALONE = timedelta(days=30)  # how long a process that is done waits for the others


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
            picture = decode_photo(data)
        except Unusable as error:
            return line, f"it {error}", None
        except Exception as error:
            # damaged files raise nearly anything in Pillow's readers
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
            return self.job.find_missing()
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


class Captioning(pl.LightningModule):
    """Captions of batches, appended to this process's own file as they come."""

    def __init__(self, job):
        super().__init__()
        self.job, self.part = job, job.records.new_part()
        self.on_sigterm, self.parent = signal.getsignal(signal.SIGTERM), os.getppid()
        # fewer pictures may be left than there are processes
        self.allow_zero_length_dataloader_with_multiple_devices = True

    def setup(self, stage):
        data = self.trainer.datamodule
        self.progress = Progress(
            str(self.job.records.path), data.done + len(data.all_lines), "pictures", data.done
        )
        self.captioned = data.done
        if data.lines:
            device, dtype = str(self.trainer.strategy.root_device), getattr(torch, self.job.dtype)
            options = self.job.options
            self.captioner = load_captioner(self.job.captioner, self.job.weights, options, device, dtype)
            self.captioner.folder = self.job.folder

    def on_predict_start(self):
        # Lightning's own handler waits for the other processes, which need not have had the signal
        signal.signal(signal.SIGTERM, self.on_sigterm)

    def predict_step(self, batch, batch_idx):
        """Caption a list of Pictures' items; returns the records, or failures, that it appended."""
        if self.global_rank and os.getppid() != self.parent:
            raise ChildProcessError("the process that started this one has ended")
        readable = [(line, picture, stamp) for line, picture, stamp in batch if stamp]
        records = [dict(target=line["target"], failed=why) for line, why, stamp in batch if not stamp]
        captions = self._caption(*zip(*readable, strict=True)) if readable else []
        for (line, _, stamp), caption in zip(readable, captions, strict=True):
            try:
                if isinstance(caption, ValueError):
                    raise caption
                records.append(
                    add_agreement(self.captioner.folder, line, make_record(line["target"], stamp, caption))
                )
            except ValueError as error:
                records.append(dict(target=line["target"], failed=str(error)))
        self.part.append(records)
        self._count((batch_idx + 1) * self.job.batch_size)
        return records

    def _caption(self, lines, pictures, _):
        """A caption of each line, or the error that one alone of them raises."""
        try:
            captions = self.captioner.caption_lines(list(lines), list(pictures))
        except torch.OutOfMemoryError as error:
            raise ValueError(
                f"{len(lines)} pictures at once need more memory than {self.device} has: "
                "give a smaller --batch-size"
            ) from error
        except ValueError:
            captions = [
                self._caption_one(line, picture) for line, picture in zip(lines, pictures, strict=True)
            ]
        self.captioned += sum(not isinstance(caption, ValueError) for caption in captions)
        if not self.captioned:
            # not the fault of one line, it seems
            raise captions[0]
        return captions

    def _caption_one(self, line, picture):
        try:
            return self.captioner.caption_lines([line], [picture])[0]
        except ValueError as error:
            return error

    def _count(self, seen: int) -> None:
        """Show how far all are, if they are as far as this process."""
        data = self.trainer.datamodule
        share = min(1, seen / len(data.lines))
        if self.trainer.is_global_zero:
            self.progress.add(data.done + round(share * len(data.all_lines)) - self.progress.done)


def make_trainer(job) -> pl.Trainer:
    """Lightning's Trainer without logs, checkpoints and words of its own."""
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for text in (
        "does not have many workers",
        "GPU available but not used",
        "LeafSpec",
        "across ranks is zero",
    ):
        warnings.filterwarnings("ignore", f".*{text}")
    plugins = []
    if not torch.distributed.is_torchelastic_launched() and SLURMEnvironment.detect():
        # a captioner has no state that Lightning could save
        plugins.append(SLURMEnvironment(auto_requeue=False))
    try:
        return pl.Trainer(
            accelerator=job.accelerator,
            **choose_processes(job),
            plugins=plugins,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
    except MisconfigurationException as error:
        raise ValueError(f"--device {job.accelerator} --devices {job.devices}: {error}") from error


def choose_processes(job) -> dict:
    """Trainer's devices, num_nodes, strategy: the processes that torchrun started, else those asked for."""
    devices, nodes = job.devices, job.num_nodes
    if torch.distributed.is_torchelastic_launched():
        local, world = (int(os.environ[name]) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
        for name, asked, started in (
            ("devices", devices or local, local),
            ("num-nodes", nodes, world // local),
        ):
            if asked not in (1, started):
                raise ValueError(
                    f"--{name} {asked}, but torchrun has started {started}: leave it to torchrun"
                )
        devices, nodes = local, world // local
    accelerators = 0 if job.accelerator == "cpu" else torch.accelerator.device_count()
    devices, cores = devices or max(1, accelerators), os.cpu_count() or 1
    if not accelerators and job.accelerator in ("auto", "cpu") and devices > cores:
        raise ValueError(f"--devices {devices}: there is no accelerator, and the processor has {cores} cores")
    if nodes * devices == 1:
        return dict(devices=1)
    # lists of names are all that is exchanged, and on every device gloo can
    strategy = DDPStrategy(process_group_backend="gloo", timeout=ALONE)
    return dict(devices=devices, num_nodes=nodes, strategy=strategy)
