"""What the command line says of captioners: their options as NAME.KEY=VALUE, and a folder of weights each."""

from dataclasses import fields, replace
from pathlib import Path

from annotator.caption.captioners import CAPTIONERS
from jobs.command_line import DTYPES
from jobs.options import nearest, read_value
from jobs.parallel import default_workers
from preparation.captions.run import CaptionJob
from preparation.captions.table_columns import Table


def make_jobs(arguments) -> list[CaptionJob]:
    """A job for each captioner that tutorial_caption.py's arguments name, in their order."""
    names = read_names(arguments.captioner or "")
    if arguments.column is not None and len(names) > 1:
        raise ValueError(f"--column is for one captioner, not for {', '.join(names)}")
    weights, options = read_weights(names, arguments.weights), read_options(names, arguments.options)
    same = "batch_size num_nodes min_agreement limit".split()
    common = {name: getattr(arguments, name) for name in same} | dict(dtype=DTYPES[arguments.dtype])
    workers = default_workers() if arguments.workers is None else arguments.workers
    common |= dict(workers=workers, accelerator=arguments.device, devices=arguments.devices or None)
    table = Table(arguments.folder)
    return [
        CaptionJob(
            table=table,
            captioner=name,
            column=arguments.column or name,
            options=options[name],
            weights=weights[name],
            **common,
        )
        for name in names
    ]


def read_names(text: str) -> list[str]:
    """The captioners of a list with commas between; ValueError for another name, with the nearest."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in CAPTIONERS:
            raise ValueError(f"--captioner {name}: there is none of that name{nearest(name, CAPTIONERS)}")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"--captioner {text!r} must name captioners, each once: {', '.join(CAPTIONERS)}")
    return names


def read_weights(names: list[str], text: str | None) -> dict[str, Path | None]:
    """The folder of each captioner, None for those that need none."""
    needing = [name for name in names if CAPTIONERS[name].needs_weights]
    folders = [folder.strip() for folder in (text or "").split(",") if folder.strip()]
    if len(folders) != len(needing):
        wanted = f"a folder for each of {', '.join(needing)}, in that order" if needing else "no folder"
        raise ValueError(f"--weights must give {wanted}; it gives {len(folders)}")
    given = dict(zip(needing, map(Path, folders), strict=True))
    for name, folder in given.items():
        if not folder.is_dir():
            raise FileNotFoundError(f"--weights {folder}, for {name}, is no folder")
    return {name: given.get(name) for name in names}


def read_options(names: list[str], given: list[str]) -> dict:
    """The options of each captioner, from KEY=VALUE where one of them has it, or NAME.KEY=VALUE.

    Raises:
        ValueError: an unknown key, with the nearest known one, or a value of the wrong type.
    """
    options = {name: CAPTIONERS[name].options() for name in names}
    keys = {name: {f.name: f.type for f in fields(options[name])} for name in names}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"options are KEY=VALUE, got {text!r}")
        owner, _, short = key.rpartition(".")
        known = [*dict.fromkeys(k for of in keys.values() for k in of), *_full_names(keys)]
        owners = [name for name in names if short in keys[name] and owner in ("", name)]
        if not owners:
            raise ValueError(f"unknown option {key!r} of {', '.join(names)}{nearest(key, known)}")
        if len(owners) > 1:
            both = " or ".join(f"{name}.{short}=" for name in owners)
            raise ValueError(f"option {key!r} is one of several captioners: write {both}")
        [name] = owners
        options[name] = replace(options[name], **{short: read_value(key, value, keys[name][short])})
    return options


def _full_names(keys: dict) -> list[str]:
    return [f"{name}.{key}" for name, of in keys.items() for key in of]
