"""One training run: the wiring of model, data and callbacks into Lightning's Trainer."""

import logging
import os
import pickle
import signal
import warnings
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.exceptions import SIGTERMException

from cldm.build import build_model, resolve_precision, trainable_table
from cldm.cached_items import CachedItems
from cldm.callbacks.averaging import Averaging
from cldm.callbacks.checkpoints import Checkpoints
from cldm.callbacks.control_metric import ControlMetric
from cldm.callbacks.progress import Progress
from cldm.data import TrainingData, bucket_text, sizes_of
from cldm.logger import ImageLogger
from cldm.options import TrainOptions
from cldm.rough_maps import RoughMaps

# what last.ckpt restores along with the optimizer, whatever the options say
RESTORED = "sd_locked", "only_mid_control", "learning_rate", "zero_conv_factor", "warmup_steps"


def training_items(options: TrainOptions, dataset, held_out=None):
    """The dataset, or its items from its folder's cache; prints what there is to train on."""
    folder = getattr(dataset, "folder", None)
    cached = options.cached and folder and Path(folder, "cache", "index.json").exists()
    if cached:
        dataset = CachedItems(dataset, options.base, options.model, mirrored=options.flip)
    held = f", {len(held_out):,} held out" if held_out else ""
    source = f"taken from {folder}/cache" if cached else "encoded in every step"
    print(f"{folder or 'the data'}: {len(dataset):,} items to train on{held}; latents and prompts {source}")
    print(f"buckets, height x width: {bucket_text(Counter(sizes_of(dataset)))}")
    return dataset


def train(options: TrainOptions, dataset, held_out=None, encoder=None, judge=None):
    """Train, or go on training, and leave checkpoints, image log, curve and options in the run folder.

    Args:
        dataset: items dict(jpg, txt, hint); `sizes` and `folder`, if it has them, give buckets and cache.
        held_out: the same, not trained on, for control mIoU; with `encoder`, the HintEncoder of the data, and
            `judge`, uint8 pictures (n, H, W, 3) -> region ids (n, H, W).
    """
    run = Path(options.run)
    last = run / "last.ckpt" if (run / "last.ckpt").exists() else None
    done = _steps_done(last, options) if last else 0
    if done >= options.max_steps:
        print(f"{run} has its {done} steps already: raise max_steps to go on, or give another run=FOLDER")
        return
    print(f"resuming {run} at step {done}" if last else f"starting {run}")
    dataset = training_items(options, dataset, held_out)
    _open_run(run, options, done)
    pl.seed_everything(options.seed, verbose=False)
    model = build_model(options, stages=not isinstance(dataset, CachedItems))
    if encoder:
        model.empty_hint = encoder.to_hint(np.zeros((), np.uint8)).tolist()
    print(trainable_table(model))
    callbacks = _callbacks(options, held_out, encoder, judge)
    loading = options.batch_size, options.seed, options.accumulate, options.num_workers, options.flip
    data = TrainingData(dataset, *loading, rough=_rough_maps(options, encoder))
    try:
        lightning_trainer(options, callbacks).fit(model, data, ckpt_path=last, weights_only=True)
    except SIGTERMException as stop:
        print(f"\nstopped by SIGTERM; the same command resumes {run} from its last checkpoint", flush=True)
        raise SystemExit(128 + signal.SIGTERM) from stop  # Lightning would report success


@rank_zero_only
def _open_run(run: Path, options: TrainOptions, done: int):
    """Write down the options, and set the log of the first `done` steps aside."""
    run.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(OmegaConf.structured(options), run / "options.yaml")
    log = run / "log" / "metrics.csv"
    if log.exists():  # a logger that starts anew deletes it
        log.replace(log.with_name(f"metrics_until_{done:06}.csv"))


def _rough_maps(options: TrainOptions, encoder) -> RoughMaps | None:
    if not (options.mask_dilation or options.mask_simplification):
        return None
    if encoder is None:
        raise ValueError(
            f"mask_dilation and mask_simplification need maps of regions: {options.data} has no regions.yaml"
        )
    return RoughMaps(encoder, options.mask_dilation, options.mask_simplification)


def _callbacks(options: TrainOptions, held_out, encoder, judge) -> list[pl.Callback]:
    """Checkpoints and progress, and the image log and the measurement if they are wanted."""
    metadata = dict(config=options.model, base=options.base, options=asdict(options))
    metadata |= dict(hint=encoder.metadata()) if encoder else {}
    callbacks = [Averaging(options.ema_decay)] if options.ema_decay else []  # first: others publish it
    callbacks.append(Checkpoints(options.run, options, metadata))
    if options.image_log_every:
        sampling = dict(ddim_steps=options.sampling_steps, unconditional_guidance_scale=options.guidance)
        callbacks.append(ImageLogger(options.image_log_every, log_images_kwargs=sampling))
    if judge is not None:
        callbacks.append(ControlMetric(options.run, held_out, encoder, judge, options))
    # last, so that its clock starts when floor and ceiling have been measured
    return [*callbacks, Progress(options)]


def _steps_done(last: Path, options: TrainOptions) -> int:
    """The step of a run's last.ckpt; ValueError if it can't be gone on from with these options."""
    try:
        done = torch.load(last, weights_only=True, mmap=True)["global_step"]
    except (EOFError, KeyError, TypeError, RuntimeError, pickle.UnpicklingError) as error:
        raise ValueError(f"{last} is damaged: delete it to start anew, or give another run=FOLDER") from error
    if (last.parent / "options.yaml").exists():
        before = OmegaConf.load(last.parent / "options.yaml")
        for name in RESTORED:
            value = getattr(options, name)
            if before.get(name, value) != value:
                raise ValueError(
                    f"{last.parent} was started with {name}={before[name]}, got {value}: "
                    "resume with the former, or give another run=FOLDER"
                )
    return done


def _processes() -> dict:
    """Trainer's devices and num_nodes: as many as torchrun has started, if it has, else every device."""
    if not torch.distributed.is_torchelastic_launched():
        return dict(devices="auto")
    local, world = (int(os.environ[name]) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    return dict(devices=local, num_nodes=world // local)


def lightning_trainer(options: TrainOptions, callbacks):
    """Lightning's Trainer without its own bar, checkpoints and sampler: callbacks and data bring theirs."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", "Found .* module.* in eval mode")  # the locked ones, on purpose
    warnings.filterwarnings("ignore", "Experiment logs directory")  # the older log has been moved aside
    warnings.filterwarnings("ignore", ".*LeafSpec")
    return pl.Trainer(
        default_root_dir=options.run,
        max_steps=options.max_steps,
        max_epochs=-1,
        accumulate_grad_batches=options.accumulate,
        precision=resolve_precision(options.precision),
        **_processes(),
        callbacks=callbacks,
        logger=pl.loggers.CSVLogger(options.run, name="", version="log"),
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
