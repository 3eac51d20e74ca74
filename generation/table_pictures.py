"""Which pictures a table asks for: every row checked against its files before the first is drawn."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from cldm.weights.load import Loaded
from generation.control_files import Steering, digest
from generation.inpainting import Photo, named_regions, region_mask
from generation.options import GenerationOptions
from generation.table import Rejected, Row, inside
from pictures.decoding import read_photo
from pictures.painted_maps import EMPTY, resized, working_size

SAME_SHAPE = 0.02  # share by which the aspects of a map and its photo may differ


@dataclass(frozen=True)
class TablePicture:
    """A picture to be drawn: where its inputs are, and all that it depends on, as `facts`."""

    name: str  # its file
    row: Row
    size: tuple[int, int]
    seed: int
    maps: tuple[Path, ...]  # of each control
    photo: Path | None
    facts: dict


class RowChecker:
    """Rows -> TablePictures, for a model and its controls; `regions` where no control says its own."""

    def __init__(self, loaded: Loaded, controls: list[Steering], options: GenerationOptions, regions):
        self.loaded, self.controls, self.options = loaded, controls, options
        self.native = 8 * loaded.model.image_size
        scale = options.scale if options.scale is not None else 3.0 if self.native < 256 else 9.0
        self.settings = replace(options.settings, scale=scale)
        self.region_control = next((i for i, control in enumerate(controls) if control.encoder), 0)
        self.regions = controls[self.region_control].encoder or regions
        if options.inpaint:
            try:
                named_regions(options.inpaint, self.regions)
            except ValueError as error:
                raise ValueError(f"--inpaint {options.inpaint}: {error}") from error

    def check(self, rows: list[Row]) -> tuple[list[TablePicture], list[Rejected]]:
        pictures, rejected = [], []
        for row in rows:
            try:
                pictures += self._pictures(row)
            except (ValueError, FileNotFoundError) as error:
                rejected.append(Rejected(row.number, row.map[:100], str(error)))
        return pictures, rejected

    def _pictures(self, row):
        folders = [control.file.maps or self.options.maps for control in self.controls]
        maps = tuple(check_exists(inside(folder, row.map)) for folder in folders)
        pictures = [control.read(path) for control, path in zip(self.controls, maps, strict=True)]
        photo = self._photo(row)
        shapes = [picture.shape[:2] for picture in pictures] + (
            [read_photo(photo).shape[:2]] if photo else []
        )
        for shape, path in zip(shapes, [*maps, photo], strict=False):
            if abs(shape[0] * shapes[0][1] / (shape[1] * shapes[0][0]) - 1) > SAME_SHAPE:
                (h, w), (other_h, other_w) = shapes[0], shape
                raise ValueError(
                    f"{path} is {other_w} x {other_h} pixels, its map {w} x {h}: not of one shape"
                )
        if self.controls[0].encoder and not pictures[0].any():
            raise ValueError(EMPTY)
        size = self._size(shapes[0])
        if self.options.inpaint:
            self.mask(resized(pictures[self.region_control], size))
        facts = self._facts(row, maps, photo, size)
        first = row.seed if row.seed is not None else self._seed(row)
        return [
            TablePicture(
                name=self._name(row, seed),
                row=row,
                size=size,
                seed=seed,
                maps=maps,
                photo=photo,
                facts=facts | dict(seed=seed),
            )
            for seed in range(first, first + self.options.num)
        ]

    def mask(self, picture):
        """The mask bool (H, W) that is painted anew, of what the control of the regions reads."""
        ids = picture if picture.ndim == 2 else self.regions.to_ids(picture)
        return region_mask(ids, self.regions, self.options.inpaint, self.options.grow)

    def _seed(self, row):
        return self.settings.seed + (row.number - 1) * self.options.num

    def _name(self, row, seed):
        stem = re.sub(r"[^\w.-]", "_", Path(row.map.replace("\\", "/")).stem, flags=re.ASCII)[:60]
        return f"{row.number:05d}_{stem}_{seed}.png"

    def _size(self, shape):
        native, (h, w) = self.native, shape
        keeps = h % 64 == w % 64 == 0 and native**2 / 4 <= h * w <= native**2 * 9 / 4
        if self.options.size is None and keeps:
            return h, w
        return working_size(shape, self.options.size or native)

    def _photo(self, row):
        options = self.options
        if options.denoise is None:
            return None
        if options.photos is None:
            if not row.photo:
                raise ValueError("no photo is named: give --photo FOLDER, or a column photo")
            path = inside(options.maps, row.photo)
            if not path.is_file():
                raise FileNotFoundError(f"{path} does not exist: give --photo FOLDER")
            return path
        if row.photo and (path := inside(options.photos, row.photo)).is_file():
            return path
        found = options.photos_by_stem[Path(row.map).stem]
        if len(found) != 1:
            raise ValueError(
                f"{len(found)} files of {options.photos} are named as the map {row.map}, not one"
            )
        return found[0]

    def _facts(self, row, maps, photo, size):
        """All that a picture depends on besides its seed, the base being told by its path alone."""
        options = self.options
        controls = [
            control.facts() | dict(map=row.map, map_sha256=digest(path))
            for control, path in zip(self.controls, maps, strict=True)
        ]
        start = photo and dict(
            file=str(photo),
            sha256=digest(photo),
            denoise=options.denoise,
            inpaint=options.inpaint,
            grow=options.grow,
            feather=options.feather,
        )
        names = "steps", "sampler", "scale", "guidance_rescale", "eta"
        return dict(
            prompt=row.prompt,
            negative_prompt=row.negative,
            size=list(size),
            model=self.loaded.base,
            controls=controls,
            photo=start,
            **{name: getattr(self.settings, name) for name in names},
        )

    def inputs(self, batch: list[TablePicture]):
        """(Controls, Photo or None) of TablePictures of one size."""
        size = batch[0].size
        read = [
            [resized(c.read(path), size) for c, path in zip(self.controls, p.maps, strict=True)]
            for p in batch
        ]
        stacks = [np.stack(pictures) for pictures in zip(*read, strict=True)]
        controls = [control.control(stack) for control, stack in zip(self.controls, stacks, strict=True)]
        if batch[0].photo is None:
            return controls, None
        pixels = np.stack([resize_smoothly(read_photo(picture.photo), size) for picture in batch])
        masks = None
        if self.options.inpaint:
            masks = np.stack([self.mask(picture) for picture in stacks[self.region_control]])
        options = self.options
        return controls, Photo(pixels, denoise=options.denoise, mask=masks, feather=options.feather)


def check_exists(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    return path


def resize_smoothly(photo, size):
    """A photo uint8 (h, w, 3) at another size (H, W); itself where it has it."""
    if photo.shape[:2] == tuple(size):
        return photo
    return np.asarray(Image.fromarray(photo).resize(size[::-1], Image.Resampling.LANCZOS))
