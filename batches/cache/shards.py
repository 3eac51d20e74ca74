"""What the cache of a training folder has to hold: its shards, each named after what is in it."""

import hashlib
import json
import zlib
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from jobs.progress import Progress
from ldm.checkpoint import write_state_dict
from pictures.decoding import read_size

PER_SHARD = 512
FORMAT = 2  # raise it when the same name would come to mean other content


@dataclass(frozen=True)
class Shard:
    """What a ShardFile has to hold: names and SHA-256 (hexadecimal) of what is encoded, in order.

    `kind` is "text" (names are prompts), "moments" or "mirrored" (names are target pictures of one size).
    """

    kind: str
    names: tuple[str, ...]
    keys: tuple[str, ...]
    size: tuple[int, int] | None = None  # height, width
    lengths: tuple[int, ...] = ()  # of the pictures' files in bytes
    prefix: str = ""

    @property
    def file(self) -> str:
        content = json.dumps([self.prefix, self.size, self.names, self.keys])
        return f"{self.prefix}{hashlib.sha256(content.encode()).hexdigest()[:16]}.safetensors"


def plan_cache(dataset, weights: str, dtype: str, flips: bool) -> list[Shard]:
    """The shards of a dataset's lines: texts first, then pictures, a size per shard.

    Args:
        weights: the encoders' hash; `flips`: of mirrored pictures as well.
    """
    folder, lines = Path(dataset.folder), dataset.data
    sizes = picture_sizes(folder, lines)
    contents, progress = {}, Progress("cache", len(sizes), "pictures read")
    for name in sizes:
        data = (folder / name).read_bytes()
        contents[name] = (hashlib.sha256(data).hexdigest(), len(data))
        progress.add(1)
    prompts = dict.fromkeys(["", *(line["prompt"] for line in lines)])
    keys = {prompt: hashlib.sha256(prompt.encode()).hexdigest() for prompt in prompts}
    parts = [("text", None, list(prompts))]
    for kind in ("moments", "mirrored")[: 1 + flips]:
        groups = {size: [name for name in sizes if sizes[name] == size] for size in sorted({*sizes.values()})}
        parts += [(kind, size, names) for size, names in groups.items()]
    shards = []
    for kind, size, names in parts:
        context = hashlib.sha256(json.dumps([FORMAT, weights, kind, dtype]).encode()).hexdigest()
        for start in range(0, len(names), PER_SHARD):
            part = tuple(names[start : start + PER_SHARD])
            lengths = () if kind == "text" else tuple(contents[name][1] for name in part)
            digests = tuple(keys[name] if kind == "text" else contents[name][0] for name in part)
            shards.append(Shard(kind, part, digests, size, lengths, f"{kind}_{context[:8]}_"))
    return shards


def picture_sizes(folder: Path, lines: list[dict]) -> dict[str, tuple[int, int]]:
    """Target -> (height, width) as the line says, else as the file does; refuses odd sides, missing files."""
    said = {line["target"]: line.get("size") for line in lines}
    missing = [name for name in said if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{len(missing)} pictures of {folder} are missing, {first(missing)}")
    sizes = {name: tuple(size) if size else read_size(folder / name) for name, size in said.items()}
    odd = [f"{name} ({h} x {w})" for name, (h, w) in sizes.items() if h % 64 or w % 64]
    if odd:
        raise ValueError(f"sides must be multiples of 64, {len(odd)} pictures have others, {first(odd)}")
    return sizes


def first(names, most=3) -> str:
    """'the first: a, b, c', to name a few of many."""
    return ("the first: " if len(names) > 1 else "") + ", ".join(map(str, names[:most]))


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
