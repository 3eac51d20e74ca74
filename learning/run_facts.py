"""What a run computes and measures with, so that a resumption can tell what is not as it was."""

import hashlib
import json
from pathlib import Path

import numpy as np

from jobs.shipped import find_shipped
from learning.build import resolve_precision
from learning.options import TrainOptions, read_accumulation_after

SAMPLES, SAMPLE_BYTES = 64, 2**16  # of a large file, and of a folder's pictures
ITEMS_LOOKED_AT = 64


def collect_facts(options: TrainOptions, num_devices: int, dataset, held_out=None, encoder=None) -> dict:
    """Name -> [what of it counts, what to call it], of all that the words of the options do not settle.

    A file counts by its content, wherever it lies, `auto` by what it comes to on this machine. Of pictures
    some are looked at, of large files some parts: enough to see that they were made anew.
    """
    folder = getattr(dataset, "folder", None)
    cached = bool(options.cached and folder and Path(folder, "cache", "index.json").exists())
    facts = dict(precision=resolve_precision(options.precision), cached=cached)
    row = options.batch_size * num_devices
    facts["pictures of a step"] = row * options.accumulate
    if options.lr_schedule != "constant":
        facts["max_steps"] = options.max_steps  # where the learning rate falls to
    facts = {name: [value, str(value)] for name, value in facts.items()}
    if options.after_convergence:
        facts["after_convergence"] = [row * read_accumulation_after(options), options.after_convergence]
    for name in ("model", "base", "segmenter"):
        path = getattr(options, name)
        facts[name] = name_fact(digest_file(path) if path else "", path or "none")
    facts["data"] = name_fact(digest_data(dataset, encoder), f"{options.data}, {len(dataset):,} items")
    if held_out:
        facts["held-out data"] = name_fact(digest_data(held_out, encoder), f"{len(held_out):,} items")
    return facts


def name_fact(digest: str, name: str) -> list[str]:
    return [digest, f"{name} ({digest[:8]})" if digest else name]


def digest_file(path) -> str:
    """Of a file's length and of parts of it, all of a small one; of a folder's files with their names."""
    total, path = hashlib.sha256(), find_shipped(path)
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            total.update(f"{file.relative_to(path)} {file.stat().st_size}".encode())
            with open(file, "rb") as opened:
                for place in np.linspace(0, max(0, file.stat().st_size - SAMPLE_BYTES), SAMPLES, dtype=int):
                    opened.seek(int(place))
                    total.update(opened.read(SAMPLE_BYTES))
    return total.hexdigest()


def digest_data(dataset, encoder) -> str:
    """Of a dataset's lines and the files of some of them, of the colours of its maps, of how many items."""
    lines, folder = getattr(dataset, "data", ()), getattr(dataset, "folder", None)
    said = [len(dataset), lines, encoder.metadata() if encoder else None]
    total = hashlib.sha256(json.dumps(said, default=str).encode())
    for i in (
        sorted({*np.linspace(0, len(lines) - 1, ITEMS_LOOKED_AT, dtype=int)}) if lines and folder else []
    ):
        for name in ("source", "target", "garment", "mask"):
            if (path := Path(folder, lines[i].get(name, ""))).is_file():
                total.update(digest_file(path).encode())
    return total.hexdigest()
