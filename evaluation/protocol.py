"""All that the numbers of an evaluation depend on, to stand beside each of them."""

import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from evaluation.comparison import FEWEST, LEVEL, SEED
from evaluation.picture_sets import STRIDE
from jobs.code_commit import code_commit

PACKAGES = "torch torchvision numpy open-clip-torch transformers torchmetrics pillow opencv-python".split()


def describe_pictures(settings, names, num_items, num_seeds, batch_size) -> dict:
    """How pictures were drawn: the `names` among the settings, how many, and from which seeds."""
    first = getattr(settings, "seed", 0)
    return {name: getattr(settings, name) for name in names} | dict(
        seeds_per_item=num_seeds,
        count_per_set=num_seeds * num_items,
        seed_rule=f"item i of the split and repeat k draw from seed {first} + {STRIDE} k + i",
        batch_size=batch_size,
        file_format="PNG",
    )


def describe_protocol(data: dict, checkpoints: dict, pictures: dict, backbones: dict, device) -> dict:
    """Nested dicts of texts and numbers.

    Args:
        data: the held-out items' facts.
        checkpoints: the facts of each by its label.
        pictures: of `describe_pictures`.
        backbones: Choice.facts.
    """
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
        checkpoints=checkpoints,
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


# of a flat protocol: circumstances, which may differ between numbers that are compared, as checkpoints may
FREE = {"measured", "command", "device", "machine", "commit", "versions.python", "pictures.batch_size"}
PATHS = "folder", "file"  # what lies there has a digest


def check_alike(first: dict, second: dict) -> None:
    """ValueError that says in what two protocols differ, but for their checkpoints and circumstances."""
    a, b = flatten(first), flatten(second)
    names = [name for name in {**a, **b} if name not in FREE and name.split(".")[-1] not in PATHS]
    names = [name for name in names if not name.startswith("checkpoints.") and a.get(name) != b.get(name)]
    if names:
        told = "; ".join(f"{name}: {a.get(name)}, {b.get(name)}" for name in names)
        raise ValueError(f"the protocols differ, so that numbers do not compare: {told}")
