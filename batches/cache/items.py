"""The items of a training folder with pictures and prompts from its cache, which must be up to date."""

import json
import os
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from batches.cache.encoders import load_encoders
from batches.cache.shards import DamagedShard, ShardFile, first
from cldm.parts_present import STAGES


class CachedItems(Dataset):
    """Items dict(moments (2 c, h, w), context (n, d), empty_context (n, d), txt, hint), all float32 but txt.

    `replaces` are the parts of the model that these items do without, of cldm.parts_present.STAGES.

    `sizes` are (height, width) of the pictures. Files are opened where they are read, in each process.

    Args:
        dataset: of a training folder, with its `folder`, its lines `data`, and `read_map`.
        checkpoint, config: the model that will be trained; the cache must be of its encoders.
        mirrored: whether the mirror images' moments are wanted as well.
        prompts: whether prompts are those of the lines, whose contexts it holds; else items have none.

    Raises:
        ValueError: the cache is damaged, of other weights, older data or other items than the dataset's.
    """

    def __init__(self, dataset, checkpoint, config=None, mirrored=False, prompts=True):
        self.replaces = STAGES if prompts else STAGES[:1]
        self.dataset, self.cache = dataset, Path(dataset.folder) / "cache"
        model = [str(checkpoint), *([str(config)] if config else [])]
        # tool_prepare_data.py would do as well, but write prompt.json anew, edited by hand or not
        self.remedy = (
            'python -c "from batches.cache.build import build_cache; from tutorial_dataset import MyDataset; '
            f"build_cache(MyDataset({str(dataset.folder)!r}), {str(model)[1:-1]}"
            f'{", flips=True" * mirrored})" computes it anew, cached=false trains without'
        )
        weights, made_by, shards = self._read_index()
        if weights != load_encoders(checkpoint, config)[1]:
            self._refuse(f"is of {made_by}, whose encoders are not those of {checkpoint}")
        self.files = [shard["file"] for shard in shards]
        if gone := [file for file in self.files if not (self.cache / file).exists()]:
            self._refuse(f"lacks {len(gone)} of its files, {first(gone)}")
        kinds = ["moments", *["text"] * prompts, *["mirrored"] * mirrored]
        self.places = {kind: self._find(kind, shards) for kind in kinds}
        self.sizes = [tuple(shards[shard]["size"]) for shard, _ in self.places["moments"]]
        self._open = {}
        for shard in range(len(shards)):
            self._value((shard, 0))
        self._check_files([shards[shard]["lengths"][row] for shard, row in self.places["moments"]])
        self._check_first()

    def __len__(self):
        return len(self.dataset.data)

    def __getitem__(self, index):
        line = self.dataset.data[index]
        hint = self.dataset.read_map(line["source"]).astype(np.float32) / 255.0
        if hint.shape[:2] != self.sizes[index]:
            raise ValueError(f"{line['source']} is {hint.shape[:2]}, {line['target']} is {self.sizes[index]}")
        item = dict(moments=self.moments(index), txt=line["prompt"], hint=hint)
        if "text" in self.places:
            rows = zip(("context", "empty_context"), (index, -1), strict=True)
            item |= {key: self._value(self.places["text"][row]) for key, row in rows}
        return item

    def moments(self, index, mirrored=False):
        """(2 c, h, w) of a picture, or of its mirror image."""
        return self._value(self.places["mirrored" if mirrored else "moments"][index])

    def _value(self, place):
        shard, row = place
        opened = os.getpid(), shard
        try:
            if opened not in self._open:
                self._open[opened] = ShardFile(self.cache / self.files[shard])
            return self._open[opened][int(row)].to(torch.float32, copy=True)
        except DamagedShard as error:
            raise ValueError(f"{error}: {self.remedy}") from error

    def __getstate__(self):
        return self.__dict__ | dict(_open={})

    def _read_index(self):
        """(hash of the encoders, checkpoint that they were taken from, shards)."""
        path = self.cache / "index.json"
        try:
            index = json.loads(path.read_text(encoding="utf-8"))
            return index["weights"], index["checkpoint"], index["shards"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} cannot be read ({error}): {self.remedy}") from error

    def _find(self, kind, shards):
        """(shard, row) int (n, 2) of each item; among texts, the empty prompt's last."""
        places = {}
        for i, shard in enumerate(shards):
            if shard["kind"] == kind:
                places |= {name: (i, row) for row, name in enumerate(shard["names"])}
        key = "prompt" if kind == "text" else "target"
        names = [line[key] for line in self.dataset.data] + [""] * (kind == "text")
        if lacking := [name for name in dict.fromkeys(names) if name not in places]:
            what = {"text": "prompts", "moments": "pictures", "mirrored": "mirror images of pictures"}[kind]
            self._refuse(f"lacks {len(lacking)} {what}, {first(lacking)}")
        return np.array([places[name] for name in names])

    def _check_files(self, lengths):
        changed = []
        for line, length in zip(self.dataset.data, lengths, strict=True):
            path = Path(self.dataset.folder) / line["target"]
            if not path.is_file() or path.stat().st_size != length:
                changed.append(line["target"])
        if changed:
            self._refuse(f"is older than {len(changed)} pictures, {first(changed)}")

    def _check_first(self):
        """Whoever has edited the dataset gets told that the cache would pass his edits over."""
        line, item, ours = self.dataset.data[0], self.dataset[0], self[0]
        picture = self.dataset.read(line["target"]).astype(np.float32) / 127.5 - 1.0
        same = np.array_equal(item["jpg"], picture) and np.array_equal(item["hint"], ours["hint"])
        if not same or item["txt"] != ours["txt"]:
            raise ValueError(
                f"{self.cache} is of pictures, maps and prompts as they lie in the folder, but the dataset "
                f"changes them ({line['target']} for one): train with cached=false"
            )

    def _refuse(self, problem: str):
        raise ValueError(f"{self.cache} {problem}: {self.remedy}")
