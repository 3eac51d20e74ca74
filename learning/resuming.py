"""Whether and where a run folder goes on, and what is written down about its options."""

import os
import pickle
import sys
from contextlib import contextmanager
from pathlib import Path

import torch
from omegaconf import OmegaConf
from pytorch_lightning.utilities import rank_zero_only

from jobs.ranks import say
from jobs.whole_files import alone_in, first_line, write_atomically
from learning.options import OPTIONS, TrainOptions
from learning.verified_files import read_content

# what last.ckpt restores along with the optimizer, whatever the options say
RESTORED = "sd_locked only_mid_control learning_rate zero_conv_factor warmup_steps optimizer".split()
# what Lightning goes on from
RESUMED = "global_step epoch state_dict loops optimizer_states lr_schedulers".split()
# what may change, but then the run is not what it would have been
EXACT = """data base precision batch_size accumulate lr_schedule gradient_clip ema_decay min_snr_gamma
zero_terminal_snr prompts prompt_dropout hint_dropout mask_dilation mask_simplification cached flip
seed""".split()


def steps_done(last: Path, options: TrainOptions) -> int:
    """The step of a run's last.ckpt; ValueError if it can't be gone on from with these options."""
    try:
        content = read_content(last)
        done, before = [content[key] for key in RESUMED][0], content.get("options", {})
        if not isinstance(done, int):
            raise TypeError(f"its step is {done!r}")
    except (EOFError, KeyError, TypeError, RuntimeError, MemoryError, pickle.UnpicklingError) as error:
        if wants_memory(error):
            raise ValueError(
                f"{last} can't be read for want of memory ({first_line(error)}): nothing is wrong with the "
                "file; end other programs, then give the same command again"
            ) from error
        raise ValueError(f"{last} is damaged: delete it to start anew, or give another run=FOLDER") from error
    changed = {name for name in before if before[name] != getattr(options, name, before[name])}
    for name in RESTORED:
        if name in changed:
            raise ValueError(
                f"{last.parent} was started with {name}={before[name]}, got {getattr(options, name)}: "
                "resume with the former, or give another run=FOLDER"
            )
    others = [f"{name} {before[name]} -> {getattr(options, name)}" for name in EXACT if name in changed]
    if others and done < options.max_steps:
        say(f"changed since the run was started, so that it goes on otherwise: {', '.join(others)}")
    return done


def wants_memory(error: Exception) -> bool:
    """Whether something could not be read because memory ran out, which says nothing against the file."""
    words = "cannot allocate memory", "can't allocate memory", "not enough memory", "out of memory"
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        w in str(error).lower() for w in words
    )


def begin_next_epoch(checkpoint: dict, row: int, row_before: int):
    """Make a checkpoint of Lightning's, from within an epoch, one of the epoch's last step.

    Its position counts micro-batches of `row_before` pictures, which say nothing of those of `row` pictures.
    What is counted over all epochs becomes as many of the latter, so that the number of pictures stays.
    """
    loops = checkpoint["loops"]["fit_loop"]
    loops["state_dict"] = {}  # the loader's, without which it begins at its start
    progress = loops["epoch_loop.batch_progress"]
    seen = -(-progress["total"]["ready"] * row_before // row)
    # as after a step: all but `completed` have counted its last batch; any epoch is as long as this at most
    for counts, number in ((progress["total"], seen), (progress["current"], sys.maxsize)):
        counts |= dict(ready=number, started=number, processed=number, completed=number - 1)
    progress["is_last_batch"] = True


def check_folder(run: Path):
    """Raise for a run folder that nothing can be written to, before there is work to lose."""
    found = next(path for path in (run, *run.absolute().parents) if path.exists())
    if not found.is_dir():
        raise NotADirectoryError(f"{found} is a file, no folder to write a run to: give another run=FOLDER")
    if not os.access(found, os.W_OK):
        raise PermissionError(f"{found} is not writable: give another run=FOLDER")


@rank_zero_only
def write_options(options: TrainOptions):
    """options.yaml in the run folder; whole at any time, as other processes read it."""
    run = Path(options.run)
    run.mkdir(parents=True, exist_ok=True)
    write_atomically(run / OPTIONS, OmegaConf.to_yaml(OmegaConf.structured(options)).encode())


@contextmanager
def alone(run: Path):
    """Make the run folder, and be the only run that trains there; ValueError if another process does.

    Of several processes of one run, the first one stands for all. A killed one holds nothing.
    """
    if rank_zero_only.rank:
        yield
        return
    run.mkdir(parents=True, exist_ok=True)
    with alone_in(run, busy="is being trained by another process: wait for it, or give another run=FOLDER"):
        yield
