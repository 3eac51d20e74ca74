"""Lightning's Trainer as a run uses it, and how many processes it spans."""

import logging
import os
import warnings

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.environments import SLURMEnvironment
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from cldm.options import TrainOptions
from cldm.training.build import resolve_precision
from cldm.training.verified import VerifiedIO


def processes(options: TrainOptions) -> dict:
    """Trainer's devices, num_nodes, strategy: the processes that torchrun started, else those asked for."""
    cores = os.cpu_count() or 1
    if not torch.distributed.is_torchelastic_launched():
        if not torch.accelerator.device_count() and options.devices > cores:
            raise ValueError(
                f"devices={options.devices}: there is no accelerator, and the processor has {cores} cores"
            )
        return dict(devices=options.devices or "auto", num_nodes=options.num_nodes, strategy=options.strategy)
    local, world = (int(os.environ[name]) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    for name, asked, started in (
        ("devices", options.devices, local),
        ("num_nodes", options.num_nodes, world // local),
    ):
        if asked not in (TrainOptions.__dataclass_fields__[name].default, started):
            raise ValueError(f"{name}={asked}, but torchrun has started {started}: leave {name} to torchrun")
    return dict(devices=local, num_nodes=world // local, strategy=options.strategy)


def num_processes(options: TrainOptions) -> int:
    """How many processes, a device each, a run with these options spans."""
    started = processes(options)
    automatic = max(1, torch.accelerator.device_count())
    return started["num_nodes"] * (automatic if started["devices"] == "auto" else started["devices"])


def lightning_trainer(options: TrainOptions, callbacks, logger=False):
    """Without Lightning's own bar, checkpoints and sampler: callbacks and data bring theirs."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", "Found .* module.* in eval mode")  # the locked ones, on purpose
    warnings.filterwarnings("ignore", ".*LeafSpec")
    plugins = [VerifiedIO()]
    if not torch.distributed.is_torchelastic_launched() and SLURMEnvironment.detect():
        # Lightning would save in the middle of a step, where no run can be resumed exactly
        plugins.append(SLURMEnvironment(auto_requeue=False))
    try:
        return pl.Trainer(
            default_root_dir=options.run,
            max_steps=options.max_steps,
            max_epochs=-1,
            accumulate_grad_batches=options.accumulate,
            precision=resolve_precision(options.precision),
            **processes(options),
            plugins=plugins,
            callbacks=callbacks,
            logger=logger,
            log_every_n_steps=0,  # Metrics logs, without stalling the device in each step
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
    except MisconfigurationException as error:
        raise ValueError(f"devices={options.devices} strategy={options.strategy}: {error}") from error
