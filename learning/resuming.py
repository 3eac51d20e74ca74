"""Whether and where a run folder goes on, and what is written down about its options."""

import os
import pickle
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from omegaconf import OmegaConf
from pytorch_lightning.utilities import rank_zero_only

from jobs.ranks import say
from jobs.whole_files import alone_in, first_line, write_atomically
from learning.options import OPTIONS, TrainOptions
from learning.verified_files import read_content

# every option is of one of these: what last.ckpt restores along with the optimizer, whatever the options say,
RESTORED = """sd_locked only_mid_control align align_at train learning_rate learning_rates zero_conv_factor
warmup_steps lr_schedule optimizer""".split()
# what may change, but then the run is not what it would have been,
COMPUTED = """data model base precision compile gradient_clip ema_decay min_snr_gamma zero_terminal_snr
prompts prompt_dropout hint_dropout mask_dilation mask_simplification after_convergence cached flip seed
strategy""".split()
# how the pictures of a step are shared, whose number is told by run_facts,
SHARES = "batch_size accumulate".split()
# or its numbers and pictures say other things than those before,
MEASURED = "segmenter measure_every measure_maps sampling_steps guidance".split()
# and what changes neither, or is told by others: by run_facts, or as what it sets
FREE = """run dry_run preset recompute effective_batch max_steps max_bad_steps workers devices num_nodes
image_log_every checkpoint_every keep_every full_checkpoints samples samples_every tracker
tracker_online""".split()
# what Lightning goes on from
RESUMED = "global_step epoch state_dict loops optimizer_states lr_schedulers".split()
LONGEST_SHOWN = 500  # characters of a change: a whole policy of prompts is no word


def read_steps_done(last: Path, options: TrainOptions, facts: dict) -> int:
    """The step of a run's last.ckpt; ValueError if it can't be gone on from with these options.

    Prints what the run computes or measures otherwise from here on; `facts` are run_facts.
    """
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
    now = {n: getattr(options, n) for n in before if n not in SHARES and hasattr(options, n)}
    for name in RESTORED:
        if name in now and before[name] != now[name]:
            raise ValueError(
                f"{last.parent} was started with {spell(name, before[name])}, got {spell(name, now[name])}: "
                "resume with the former, or give another run=FOLDER"
            )
    known = content.get("facts", {})
    changes = {name: (before[name], now[name]) for name in now if before[name] != now[name]}
    # a fact says more than the option of its name: which file it is, what auto comes to
    changes = {name: change for name, change in changes.items() if name not in known or name not in facts}
    for name in known.keys() & facts.keys():
        if known[name][0] != facts[name][0]:
            changes[name] = known[name][1], facts[name][1]
    measured = {*MEASURED, "held-out data"}
    said = {name: describe_change(name, *changes[name]) for name in sorted(changes)}
    computed = [text for name, text in said.items() if name not in measured]
    measured = [text for name, text in said.items() if name in measured]
    if computed and done < options.max_steps:
        say(f"changed since the run was started, so that it goes on otherwise: {', '.join(computed)}")
    if measured and done < options.max_steps:
        say(
            "changed since the run was started, so that what is measured and drawn from here on does not "
            f"compare with what was before: {', '.join(measured)}"
        )
    return done


def spell(name, value) -> str:
    """An option as it is given, or the parts of one that is a dict."""
    if not isinstance(value, dict):
        return f"{name}={value}"
    return " ".join(f"{name}.{part}={each}" for part, each in value.items()) or f"no {name}.PART"


def describe_change(name, before, now) -> str:
    text = f"{name} {format_value(before)} -> {format_value(now)}"
    return text if len(text) <= LONGEST_SHOWN else f"{name}, which is another"


def format_value(value) -> str:
    return "none" if value == "" else str(value)


def wants_memory(error: Exception) -> bool:
    """Whether something could not be read because memory ran out, which says nothing against the file."""
    words = "cannot allocate memory", "can't allocate memory", "not enough memory", "out of memory"
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        w in str(error).lower() for w in words
    )


def keep_place(checkpoint: dict, row: int, row_before: int):
    """Make a checkpoint of Lightning's, which counts micro-batches of `row_before` pictures, one of `row`.

    A step has as many pictures as before, so it ends at the same place of the same order.
    """
    loops = checkpoint["loops"]["fit_loop"]
    progress = loops["epoch_loop.batch_progress"]
    for counts in (progress["total"], progress["current"]):
        count_seen(counts, counts["ready"], row, row_before)
    for loader in loops["state_dict"].get("combined_loader", ()):
        loader["position"] = loader["position"] * row_before // row
    found = checkpoint["callbacks"].get("Convergence", {}).get("found")
    if found:
        found["accumulate"] = found["accumulate"] * row_before // row


def count_seen(counts: dict, batches: int, row: int, row_before: int):
    """Set counts as after a step: all but `completed` have counted its last micro-batch."""
    seen = -(-batches * row_before // row)
    counts |= dict(ready=seen, started=seen, processed=seen, completed=seen - 1)


def begin_next_epoch(checkpoint: dict, row: int, row_before: int):
    """Make a checkpoint of Lightning's, from within an epoch, one of the epoch's last step.

    Its position counts micro-batches of `row_before` pictures, which say nothing of those of `row` pictures.
    What is counted over all epochs becomes as many of the latter, so that the number of pictures stays.
    """
    loops = checkpoint["loops"]["fit_loop"]
    loops["state_dict"] = {}  # the loader's, without which it begins at its start
    progress = loops["epoch_loop.batch_progress"]
    count_seen(progress["total"], progress["total"]["ready"], row, row_before)
    count_seen(progress["current"], sys.maxsize, 1, 1)  # any epoch is as long as this at most
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
def hold_run(run: Path):
    """Make the run folder, and be the only run that trains there; ValueError if another process does.

    Of several processes of one run, the first one stands for all. A killed one holds nothing.
    """
    if rank_zero_only.rank:
        yield
        return
    run.mkdir(parents=True, exist_ok=True)
    busy = "is being trained by another process: wait for it, or give another run=FOLDER"
    with alone_in(run, busy=busy):
        try:
            yield
        finally:
            with suppress(OSError):
                run.rmdir()  # one that nothing was written into
