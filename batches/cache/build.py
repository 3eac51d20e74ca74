"""A training folder's latents and text embeddings, computed once, in FOLDER/cache."""

import json
import logging
from dataclasses import asdict
from pathlib import Path

from batches.cache.encode import encode_shards
from batches.cache.encoders import load_encoders
from batches.cache.shards import plan_cache, read_whole_rows
from jobs.progress import say
from jobs.whole_files import remove_temporary, write_atomically

DTYPES = "float16", "bfloat16", "float32"


def build_cache(
    dataset, checkpoint, config=None, dtype="float16", flips=False, batch_size=8, devices="auto"
) -> Path:
    """Encode every picture and prompt of a dataset; returns the path of its folder's cache/index.json.

    Moments (mean and log-variance, (2 c, h, w)) of each target picture, with `flips` also of its mirror
    image, and the context (n, d) of each distinct prompt and of the empty one; computed in fp32, stored in
    `dtype`. What a killed run or one on older data has left is used again, what is superfluous is deleted.

    Args:
        dataset: a training folder's, with `folder`, the lines `data`, and `read` (name -> uint8 (H, W, 3)).
        checkpoint: a base, a grafted checkpoint or a whole trained model.
        config: its yaml; None takes the one that the checkpoint names, else its family's.
        devices: how many, or "auto" for all there are.

    Raises:
        FileNotFoundError, ValueError: missing or unreadable pictures, sides that are no
            multiples of 64, a checkpoint without encoders.
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    weights = load_encoders(checkpoint, config)[1]
    shards = plan_cache(dataset, weights, dtype, flips)
    cache = Path(dataset.folder) / "cache"
    cache.mkdir(exist_ok=True)
    missing = [shard for shard in shards if not {*shard.keys} <= read_whole_rows(cache / shard.file).keys()]
    if missing:
        logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
        encode_shards(dataset, missing, checkpoint, config, dtype, batch_size, devices)
    write_index(cache, shards, dict(weights=weights, dtype=dtype, checkpoint=str(checkpoint)))
    remove_others(cache, {shard.file for shard in shards})
    say(describe_cache(cache, shards, len(missing)))
    return cache / "index.json"


def write_index(cache, shards, facts: dict):
    """index.json: facts, and of each shard its file, kind, size, and names in the order of its rows."""
    described = [asdict(shard) | dict(file=shard.file) for shard in shards]
    for shard in described:
        del shard["prefix"], shard["keys"]
    text = json.dumps(facts | dict(shards=described), ensure_ascii=False)
    write_atomically(cache / "index.json", text.encode())


def remove_others(cache, needed: set[str]):
    """Remove shards of older plans, and what a killed run was writing."""
    remove_temporary(cache)
    for path in cache.glob("*.safetensors"):
        if path.name not in needed:
            path.unlink(missing_ok=True)


def describe_cache(cache, shards, num_new) -> str:
    counts = {
        kind: sum(len(s.names) for s in shards if s.kind == kind) for kind in ("moments", "mirrored", "text")
    }
    size = sum((cache / shard.file).stat().st_size for shard in shards)
    listed = ", ".join(f"{counts[kind]:,} {kind}" for kind in counts)
    return f"{cache}: {listed} in {len(shards)} shards, {num_new} of them new, {size / 2**20:,.0f} MiB"
