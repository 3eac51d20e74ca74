"""One file of a cache: a row per picture or prompt, with sums that tell whether the disk has kept it."""

import zlib
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from ldm.checkpoint import write_state_dict


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


def whole_rows(path) -> dict[str, int]:
    """Key -> row of a file; of a missing or damaged one nothing, so that it is made again as it was."""
    try:
        shard = ShardFile(path)
        for row in range(len(shard.keys)):
            shard[row]
    except DamagedShard:
        return {}
    return {key: row for row, key in enumerate(shard.keys)}
