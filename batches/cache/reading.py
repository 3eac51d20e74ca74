"""A cache that is open for reading, once it has been found to be up to date."""

import json
import os
from pathlib import Path

import numpy as np
import torch

from batches.cache.choices import first
from batches.cache.contents import Content
from batches.cache.encoders import Encoders
from batches.cache.shards import DamagedShard, ShardFile


class OpenCache:
    """Rows of a training folder's cache. Files are opened where they are read, in each process.

    Args:
        contents: what is read of it. model: the checkpoint that will be trained, for messages.
        remedy: what helps where it is refused, for messages.

    Raises:
        ValueError: the cache is damaged, of other weights, or older than its pictures.
    """

    def __init__(self, folder, encoders: Encoders, contents: list[Content], model, remedy: str):
        self.path, self.remedy, self._open = Path(folder) / "cache", remedy, {}
        hashes, made_by, self.shards = self._read_index()
        # a picture that is new has a new prompt as well: the picture is what to name
        contents = sorted(contents, key=lambda content: content.kind == "text")
        for content in contents:
            if hashes.get(content.part, "") != content.weights:
                self.refuse(f"is of {made_by}, whose encoders are not those of {model}")
        self.files = [shard["file"] for shard in self.shards]
        if gone := [file for file in self.files if not (self.path / file).exists()]:
            self.refuse(f"lacks {len(gone)} of its files, {first(gone)}")
        places = {content.kind: self._find_rows(content) for content in contents}
        for shard in range(len(self.shards)):
            self.read((shard, 0))
        for content in contents:
            self._check_files(Path(folder), content, places[content.kind])
        self._places = places
        del self.shards

    def find(self, kind: str, names) -> np.ndarray:
        """(shard, row) int (n, 2) of rows, for `read`."""
        return np.array([self._places[kind][name] for name in names])

    def forget_names(self):
        """Keep no names once all places are found: each process has a copy of them."""
        del self._places

    def read(self, place) -> torch.Tensor:
        """The values of a row, as float32 if they are no bits."""
        shard, row = place
        opened = os.getpid(), shard
        try:
            if opened not in self._open:
                self._open[opened] = ShardFile(self.path / self.files[shard])
            values = self._open[opened][int(row)]
        except DamagedShard as error:
            raise ValueError(f"{error}: {self.remedy}") from error
        return values.to(torch.float32 if values.is_floating_point() else None, copy=True)

    def __getstate__(self):
        return self.__dict__ | dict(_open={})

    def refuse(self, problem: str):
        raise ValueError(f"{self.path} {problem}: {self.remedy}")

    def _read_index(self):
        """(hashes of the encoders by part, checkpoint that they were taken from, shards)."""
        path = self.path / "index.json"
        try:
            index = json.loads(path.read_text(encoding="utf-8"))
            # a control's index that is older than try-on's caches has but one hash
            parts = dict.fromkeys(("first_stage_model", "cond_stage_model"), index["weights"])
            return index.get("hashes", parts), index["checkpoint"], index["shards"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} cannot be read ({error}): {self.remedy}") from error

    def _find_rows(self, content: Content) -> dict[str, tuple[int, int]]:
        """(shard, row) by the names of a content."""
        places = {}
        for i, shard in enumerate(self.shards):
            if shard["kind"] == content.kind:
                places |= {name: (i, row) for row, name in enumerate(shard["names"])}
        if lacking := [name for name in content.files if name not in places]:
            self.refuse(f"lacks {len(lacking)} {content.plural}, {first(lacking)}")
        return places

    def _check_files(self, folder, content, places):
        changed = []
        for name, files in content.files.items():
            if files:
                shard, row = places[name]
                length = sum((folder / file).stat().st_size for file in files)
                if length != self.shards[shard]["lengths"][row]:
                    changed.append(name)
        if changed:
            self.refuse(f"is older than {len(changed)} {content.plural}, {first(changed)}")
