"""A training folder's latents, features and text embeddings, computed once, in FOLDER/cache."""

import json
import logging
from dataclasses import asdict
from pathlib import Path

from batches.cache.choices import choose_contents
from batches.cache.encode import encode_shards
from batches.cache.encoders import load_all_encoders
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
    `dtype`. For a try-on recipe, what its conditions read: moments of persons, agnostic persons and garments,
    masks as bits, image encoders' features of garments. Says what it will take before it writes. What a
    killed run or one on older data has left is used again, what is superfluous is deleted.

    Args:
        dataset: a training folder's, with `folder`, the lines `data`, and `read` (name -> uint8 (H, W, 3));
            a try-on recipe's has the lines' `pairs` (person, worn).
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
    encoders = load_all_encoders(checkpoint, config)
    contents = choose_contents(dataset, encoders, flips)
    shards = plan_cache(dataset.folder, contents, dtype)
    cache = Path(dataset.folder) / "cache"
    cache.mkdir(exist_ok=True)
    missing = [shard for shard in shards if not {*shard.keys} <= read_whole_rows(cache / shard.file).keys()]
    say(announce_cache(cache, encoders, contents, shards, missing, dtype))
    if missing:
        logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
        encode_shards(dataset, contents, missing, checkpoint, config, dtype, batch_size, devices)
    facts = dict(weights=encoders.weights, hashes=encoders.hashes, dtype=dtype, checkpoint=str(checkpoint))
    write_index(cache, shards, facts)
    remove_others(cache, {shard.file for shard in shards})
    say(describe_cache(cache, contents, shards, len(missing)))
    return cache / "index.json"


def write_index(cache, shards, facts: dict):
    """index.json: facts, and of each shard its file, kind, size, and names in the order of its rows."""
    described = [asdict(shard) | dict(file=shard.file) for shard in shards]
    for shard in described:
        del shard["prefix"], shard["keys"], shard["num_alone"]
    text = json.dumps(facts | dict(shards=described), ensure_ascii=False)
    write_atomically(cache / "index.json", text.encode())


def remove_others(cache, needed: set[str]):
    """Remove shards of older plans, and what a killed run was writing."""
    remove_temporary(cache)
    for path in cache.glob("*.safetensors"):
        if path.name not in needed:
            path.unlink(missing_ok=True)


def announce_cache(cache, encoders, contents, shards, missing, dtype) -> str:
    """How many rows of what size there will be, and how much of that is yet to be written."""
    encoders = encoders.modules.float()
    by_kind, row_bytes = {content.kind: content for content in contents}, {}
    for shard in shards:
        if (shard.kind, shard.size) not in row_bytes:
            content = by_kind[shard.kind]
            row_bytes[shard.kind, shard.size] = content.count_bytes(encoders, shard.size, dtype)
    sizes = [row_bytes[shard.kind, shard.size] * len(shard.names) for shard in shards]
    lines = []
    for kind, content in by_kind.items():
        own = [size for shard, size in zip(shards, sizes, strict=True) if shard.kind == kind]
        lines.append(f"{content.plural} {describe_size(sum(own))} ({len(content.files):,})")
    new = sum(size for shard, size in zip(shards, sizes, strict=True) if shard in missing)
    listed = ", ".join(lines)
    return f"{cache} takes {describe_size(sum(sizes))}: {listed}; {describe_size(new)} are to be written"


def describe_size(size: int) -> str:
    return f"{size / 2**10:,.1f} KiB" if size < 2**20 else f"{size / 2**20:,.1f} MiB"


def describe_cache(cache, contents, shards, num_new) -> str:
    size = sum((cache / shard.file).stat().st_size for shard in shards)
    listed = ", ".join(f"{len(content.files):,} {content.plural}" for content in contents)
    return f"{cache}: {listed} in {len(shards)} shards, {num_new} of them new, {describe_size(size)}"
