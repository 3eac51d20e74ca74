"""What the cache of a training folder has to hold: its shards, each named after what is in it."""

import hashlib
import json
import zlib
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from batches.cache.contents import Content
from jobs.progress import Progress
from ldm.checkpoint import write_state_dict

PER_SHARD = 512
FORMAT = 2  # raise it when the same name would come to mean other content


@dataclass(frozen=True)
class Shard:
    """What a ShardFile has to hold: names and SHA-256 (hexadecimal) of what is encoded, in order.

    `kind` is that of a Content, whose names have one size.
    """

    kind: str
    names: tuple[str, ...]
    keys: tuple[str, ...]
    size: tuple[int, int] | None = None  # height, width
    lengths: tuple[int, ...] = ()  # of the pictures' files in bytes
    prefix: str = ""
    num_alone: int = 0  # of the first names, encoded one at a time

    @property
    def file(self) -> str:
        content = json.dumps([self.prefix, self.size, self.names, self.keys])
        return f"{self.prefix}{hashlib.sha256(content.encode()).hexdigest()[:16]}.safetensors"


def plan_cache(folder, contents: list[Content], dtype: str) -> list[Shard]:
    """The shards of some contents of a training folder, a size per shard."""
    files = {file: None for content in contents for names in content.files.values() for file in names}
    progress = Progress("cache", len(files), "pictures read")
    for file in files:
        data = (Path(folder) / file).read_bytes()
        files[file] = hashlib.sha256(data).hexdigest(), len(data)
        progress.add(1)
    shards = []
    for content in contents:
        described = [FORMAT, content.weights, content.kind, dtype]
        context = hashlib.sha256(json.dumps(described).encode()).hexdigest()
        for size in sorted({*content.sizes.values()}) or [None]:
            names = [name for name in content.files if content.sizes.get(name) == size]
            for start in range(0, len(names), PER_SHARD):
                part = tuple(names[start : start + PER_SHARD])
                made_of = [[files[file] for file in content.files[name]] for name in part]
                digests = tuple(map(_join_digests, part, made_of))
                lengths = tuple(sum(length for _, length in pieces) for pieces in made_of)
                shards.append(
                    Shard(
                        content.kind,
                        part,
                        digests,
                        size,
                        () if size is None else lengths,
                        f"{content.kind}_{context[:8]}_",
                        sum(name in content.alone for name in part),
                    )
                )
    return shards


def _join_digests(name, pieces) -> str:
    """What a row is kept by: its file's hash, that of several files' hashes, or that of its name."""
    if len(pieces) == 1:
        return pieces[0][0]
    text = "".join(digest for digest, _ in pieces) if pieces else name
    return hashlib.sha256(text.encode()).hexdigest()


class DamagedShard(ValueError):
    """A file of a cache that was cut short or has other bytes than were written."""


class ShardFile:
    """`values` (n, ...), `keys` uint8 (n, 32) of what they were made from, and `sums` int64 (n,), CRC-32."""

    def __init__(self, path):
        self.path = Path(path)
        try:
            file = safe_open(self.path, "pt")
            self.keys = [bytes(key.tolist()).hex() for key in file.get_tensor("keys")]
            self.sums, self.values = file.get_tensor("sums").tolist(), file.get_slice("values")
        except (SafetensorError, OSError) as error:
            raise DamagedShard(f"{self.path} is damaged ({error})") from error

    def __getitem__(self, row):
        """The values of a row, in the dtype of the file."""
        values = self.values[row]
        if checksum(values) != self.sums[row]:
            raise DamagedShard(f"{self.path} is damaged: row {row} is not what was written")
        return values


def write_shard(path, rows: list[torch.Tensor], keys: list[str]):
    """Write values of one shape, and the hash (hexadecimal) of what each was made from."""
    keys = torch.frombuffer(bytearray.fromhex("".join(keys)), dtype=torch.uint8).unflatten(0, (-1, 32))
    sums = torch.tensor([checksum(values) for values in rows])
    write_state_dict(dict(values=torch.stack(rows), keys=keys, sums=sums), path, overwrite=True)


def checksum(values) -> int:
    return zlib.crc32(values.contiguous().view(torch.uint8).numpy())


def read_whole_rows(path) -> dict[str, int]:
    """Key -> row of a file; of a missing or damaged one nothing, so that it is made again as it was."""
    try:
        shard = ShardFile(path)
        for row in range(len(shard.keys)):
            shard[row]
    except DamagedShard:
        return {}
    return {key: row for row, key in enumerate(shard.keys)}
