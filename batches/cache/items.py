"""The items of a training folder with pictures and prompts from its cache, which must be up to date."""

from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from annotator.openpose.pose import draw_joint_file
from batches.cache.choices import choose_contents, name_rows
from batches.cache.contents import read_mask, unpack_mask
from batches.cache.encoders import load_all_encoders
from batches.cache.reading import OpenCache
from batches.fitting_items import cover_with_grey
from cldm.parts_present import STAGES


class CachedItems(Dataset):
    """Items dict(moments (2 c, h, w), context (n, d), empty_context (n, d), txt, hint), all float32 but txt.

    `replaces` are the parts of the model that these items do without, of cldm.parts_present.STAGES.

    `sizes` are (height, width) of the pictures.

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
        self.dataset = dataset
        self.cache, contents, _ = open_cache(dataset, checkpoint, config, mirrored, prompts)
        targets = [line["target"] for line in dataset.data]
        names = dict(moments=targets, mirrored=targets)
        names["text"] = [line["prompt"] for line in dataset.data] + [""]
        self.places = {
            content.kind: self.cache.find(content.kind, names[content.kind]) for content in contents
        }
        self.cache.forget_names()
        sizes = next(content.sizes for content in contents if content.kind == "moments")
        self.sizes = [tuple(sizes[target]) for target in targets]
        self._check_first()

    def __len__(self):
        return len(self.dataset.data)

    def __getitem__(self, index):
        line = self.dataset.data[index]
        hint = self.dataset.read_map(line["source"]).astype(np.float32) / 255.0
        if hint.shape[:2] != self.sizes[index]:
            raise ValueError(f"{line['source']} is {hint.shape[:2]}, {line['target']} is {self.sizes[index]}")
        item = dict(moments=self.cache.read(self.places["moments"][index]), txt=line["prompt"], hint=hint)
        if "text" in self.places:
            rows = zip(("context", "empty_context"), (index, -1), strict=True)
            item |= {key: self.cache.read(self.places["text"][row]) for key, row in rows}
        return item

    def read_mirrored(self, index) -> dict:
        """What a mirrored item has of its own besides its hint."""
        return dict(moments=self.cache.read(self.places["mirrored"][index]))

    def _check_first(self):
        """Whoever has edited the dataset gets told that the cache would pass his edits over."""
        line, item, ours = self.dataset.data[0], self.dataset[0], self[0]
        picture = self.dataset.read(line["target"]).astype(np.float32) / 127.5 - 1.0
        same = np.array_equal(item["jpg"], picture) and np.array_equal(item["hint"], ours["hint"])
        if not same or item["txt"] != ours["txt"]:
            raise ValueError(
                f"{self.cache.path} is of pictures, maps and prompts as they lie in the folder, but the "
                f"dataset changes them ({line['target']} for one): train with cached=false"
            )


class CachedFittings(Dataset):
    """Items of a TryonDataset with what a recipe's conditions encode of them, float32.

    In place of pictures: moments, agnostic_moments, garment_moments (2 c, h, w). In place of prompts:
    context, empty_context, NAME_context (n, d). Of the image encoder of a condition NAME: NAME_features, and
    NAME_null if it reads black pictures where it is dropped. Mask (H, W, 1) and words are the dataset's own.

    Args:
        dataset: a TryonDataset that changes no pictures.
        checkpoint, config: of the recipe that will be trained.
        mirrored: whether mirror images are wanted as well.

    Raises:
        ValueError: as CachedItems.
    """

    replaces = STAGES

    def __init__(self, dataset, checkpoint, config=None, mirrored=False):
        self.dataset = dataset
        if dataset.augment or dataset.augment_garment:
            self._refuse_changes("augments them")
        self.cache, contents, encoders = open_cache(dataset, checkpoint, config, mirrored)
        sizes = {name: size for content in contents for name, size in content.sizes.items()}
        self.sizes = [tuple(sizes[person["target"]]) for person, _ in dataset.pairs]
        self.places = self._find(name_rows(encoders, dataset.pairs, sizes))
        self.mirrored = self._find(name_rows(encoders, dataset.pairs, sizes, True)) if mirrored else {}
        self.cache.forget_names()
        self._check_first()

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        return self.dataset.describe(index) | self._read(self.places, index)

    def read_mirrored(self, index) -> dict:
        """What a mirrored item has of its own."""
        return self._read(self.mirrored, index)

    def _find(self, rows):
        return {key: self.cache.find(kind, names) for key, (kind, names) in rows.items()}

    def _read(self, places, index):
        found = {key: self.cache.read(rows[index]) for key, rows in places.items()}
        return found | ({"mask": unpack_mask(found["mask"])} if "mask" in found else {})

    def _check_first(self):
        """As CachedItems does."""
        (person, worn), item, read = self.dataset.pairs[0], self.dataset[0], self.dataset.read
        jpg = read(person["target"]).astype(np.float32) / 127.5 - 1
        mask = read_mask(self.dataset, person["mask"]).astype(np.float32)
        pixels = read(worn["garment"])
        lying = dict(jpg=jpg, mask=mask, agnostic=cover_with_grey(jpg, mask), garment_pixels=pixels)
        lying["garment"] = pixels.astype(np.float32) / 127.5 - 1
        if "pose" in person:
            drawn = draw_joint_file(Path(self.dataset.folder, person["pose"]), *jpg.shape[:2])
            lying |= {key: picture.astype(np.float32) / 127.5 - 1 for key, picture in drawn.items()}
        same = all(np.array_equal(item[key], picture) for key, picture in lying.items())
        if not same or item["txt"] != person["prompt"]:
            self._refuse_changes(f"changes them ({person['target']} for one)")

    def _refuse_changes(self, what):
        raise ValueError(
            f"{self.dataset.folder}/cache is of pictures, masks and prompts as they lie there, but the "
            f"dataset {what}: train without a cache"
        )


def open_cache(dataset, checkpoint, config, mirrored, prompts=True):
    """(OpenCache, its contents, the model's encoders)."""
    encoders = load_all_encoders(checkpoint, config)
    contents = choose_contents(dataset, encoders, mirrored, prompts)
    model = [str(checkpoint), *([str(config)] if config else [])]
    control, fittings = ("tutorial_dataset", "MyDataset"), ("tutorial_tryon_dataset", "TryonDataset")
    script, name = fittings if encoders.conditions else control
    # tool_prepare_data.py would do as well, but write prompt.json anew, edited by hand or not
    remedy = (
        f'python -c "from batches.cache.build import build_cache; from {script} import {name}; '
        f"build_cache({name}({str(dataset.folder)!r}), {str(model)[1:-1]}"
        f'{", flips=True" * mirrored})" computes it anew, cached=false trains without'
    )
    return OpenCache(dataset.folder, encoders, contents, checkpoint, remedy), contents, encoders
