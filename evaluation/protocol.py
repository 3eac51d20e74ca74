"""All that the numbers of an evaluation depend on, to stand beside each of them."""

import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from evaluation.comparison import FEWEST, LEVEL, SEED
from evaluation.picture_sets import STRIDE
from jobs.code_commit import code_commit

PACKAGES = "torch", "torchvision", "numpy", "open-clip-torch", "transformers", "torchmetrics", "pillow"


def describe_protocol(data: dict, checkpoints, num_seeds, batch_size, backbones: dict, device) -> dict:
    """Nested dicts of texts and numbers; `data` are HeldOut.facts, `backbones` Choice.facts."""
    settings = checkpoints[0].settings
    names = "steps", "sampler", "guidance_rescale", "eta", "negative_prompt"
    pictures = {name: getattr(settings, name) for name in names}
    pictures |= dict(
        seeds_per_item=num_seeds,
        count_per_set=num_seeds * data["items"],
        seed_rule=f"item i of the split and repeat k draw from seed {settings.seed} + {STRIDE} k + i",
        batch_size=batch_size,
    )
    intervals = dict(
        level=LEVEL,
        method="paired bootstrap over items, each with all its pictures and its photo; standard error "
        f"times Student's t; none below {FEWEST} items",
        resamples=1000,
        resamples_of_fid=200,
        seed=SEED,
    )
    return dict(
        measured=datetime.now(UTC).isoformat(timespec="seconds"),
        command=" ".join(sys.argv),
        data=data,
        checkpoints={checkpoint.label: checkpoint.facts for checkpoint in checkpoints},
        pictures=pictures,
        backbones=backbones,
        intervals=intervals,
        versions=read_versions(),
        device=device,
        machine=platform.processor() or platform.machine(),
        commit=code_commit() or "unknown",
    )


def read_versions() -> dict:
    found = dict(python=platform.python_version())
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def flatten(protocol, stem="") -> dict:
    """Nested dicts as one of dotted names; a list of names is left out, as its digest is there."""
    rows = {}
    for name, value in protocol.items():
        if isinstance(value, dict):
            rows |= flatten(value, f"{stem}{name}.")
        elif f"{stem}{name}" != "data.names":
            rows[f"{stem}{name}"] = value
    return rows
