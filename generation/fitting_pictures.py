"""Which pictures pairs of people and garments ask for: each checked against its files before drawing."""

import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from annotator.agnostic.photos import PersonFinder
from cldm.weights.load_tryon import LoadedTryon
from generation.control_files import Steering, digest
from generation.fitting import FittingSettings, put_on
from generation.fitting_items import (
    GarmentPhoto,
    PersonPhoto,
    choose_size,
    make_item,
    wants_labels,
    wants_pose,
)
from generation.fitting_pairs import PairRow, PreparedFolder, RejectedPair, TwoFolders
from generation.table import MAPS
from generation.table_pictures import SAME_SHAPE
from pictures.decoding import read_size
from preparation.fittings.one_fitting import crop_to
from reporting.picture_sheet import Tile

MOST_SEEDS = 2**31
LONGEST = 240  # bytes of a file's name: file systems take 255, of which writing needs some


@dataclass(frozen=True)
class PairOptions:
    """What is asked for, whatever the pair. `inpaint` and `cut` are names of regions, `cut` also "mask"."""

    settings: FittingSettings
    seed: int = 0
    num: int = 1
    inpaint: str = ""
    grow: int = 0
    cut: str = ""
    prompt: str = ""


@dataclass(frozen=True)
class FittingPicture:
    """A picture to be drawn, and all that it depends on, as `facts`."""

    name: str  # its file
    row: PairRow
    size: tuple[int, int]
    seed: int
    person: PersonPhoto
    garment: GarmentPhoto
    maps: tuple[Path, ...]  # of each control
    facts: dict


class PairChecker:
    """PairRows -> FittingPictures of a model, and what is drawn of them.

    `load_finder` is called once, if some person or garment lacks what annotators may find; it gives a
    PersonFinder or None.
    """

    def __init__(
        self,
        loaded: LoadedTryon,
        controls: list[Steering],
        source: PreparedFolder | TwoFolders,
        options: PairOptions,
        checkpoint: dict,
        load_finder,
    ):
        self.loaded, self.controls, self.source, self.options = loaded, controls, source, options
        self.checkpoint, self.load_finder = checkpoint, cache(load_finder)
        self.digest = cache(digest)

    def check(self, rows: list[PairRow]) -> tuple[list[FittingPicture], list[RejectedPair]]:
        pictures, rejected, taken = [], [], {}
        for row in rows:
            try:
                found = self._pictures(row)
                for name in [picture.name for picture in found]:
                    if name in taken:
                        raise ValueError(f"its picture would have the name of that of row {taken[name]}")
                taken |= dict.fromkeys([picture.name for picture in found], row.number)
                pictures += found
            except (ValueError, FileNotFoundError) as error:
                rejected.append(RejectedPair(row.number, row.person[:100], row.garment[:100], str(error)))
        return pictures, rejected

    def _pictures(self, row):
        options = self.options
        person = self.source.person(row, options.inpaint, options.grow, options.prompt)
        garment = self.source.garment(row, options.cut)
        size = choose_size(self.loaded, self.source.size_of(row))
        item = self.make_item(person, garment, size)
        maps = tuple(self._map_of(control, row, person) for control in self.controls)
        for control, path in zip(self.controls, maps, strict=True):
            control.read(path)
        facts = self._facts(person, garment, size, item["txt"], maps)
        name = f"{person.name}__{garment.name}"
        if len(f"{name}__{options.num}.png".encode()) > LONGEST:
            raise ValueError(f"its picture's name would be longer than {LONGEST} bytes: give shorter names")
        # of the pair alone, so that no picture depends on the order or on what else is listed
        first = options.seed + zlib.crc32(name.encode()) % MOST_SEEDS if row.seed is None else row.seed
        return [
            FittingPicture(
                name=f"{name}__{number + 1}.png" if number else f"{name}.png",
                row=row,
                size=size,
                seed=first + number,
                person=person,
                garment=garment,
                maps=maps,
                facts=facts | dict(seed=first + number),
            )
            for number in range(options.num)
        ]

    def make_item(self, person: PersonPhoto, garment: GarmentPhoto, size) -> dict:
        return make_item(self.loaded, person, garment, size, self.finder_for(person, garment))

    def finder_for(self, person: PersonPhoto, garment: GarmentPhoto) -> PersonFinder | None:
        """The annotators where something of a pair is to be found."""
        lacks_map = garment.regions and garment.region_map is None
        wanted = lacks_map or wants_labels(person) or wants_pose(person, self.loaded)
        return self.load_finder() if wanted else None

    def _map_of(self, control: Steering, row: PairRow, person: PersonPhoto) -> Path:
        folder = control.file.maps
        path = self.source.map_of(row)
        if folder is not None:
            paths = (folder / f"{person.name}{suffix}" for suffix in MAPS)
            path = next((path for path in paths if path.is_file()), None)
        if path is None:
            raise FileNotFoundError(
                f"there is no map of {person.name} for {control.file.path}: name a folder of maps by "
                f"--control {control.file.path}@MAPS"
            )
        (height, width), (tall, wide) = read_size(path), read_size(person.photo)
        if abs(height * wide / (width * tall) - 1) > SAME_SHAPE:
            raise ValueError(
                f"{path} is {width} x {height} pixels, the photo {wide} x {tall}: not of one shape"
            )
        return path

    def _told(self, path) -> dict:
        return dict(file=str(path), sha256=self.digest(path))

    def _facts(self, person, garment, size, prompt, maps):
        """All that a picture depends on besides its seed."""
        model, settings = self.loaded.model, self.options.settings
        controls = [
            control.facts() | dict(map=str(path), map_sha256=self.digest(path))
            for control, path in zip(self.controls, maps, strict=True)
        ]
        worn = dict(self._told(garment.photo), cut=self.options.cut)
        if garment.mask is not None:
            worn |= dict(mask=self._told(garment.mask))
        if garment.region_map is not None:
            worn |= dict(map=self._told(garment.region_map))
        return dict(
            person=self._told(person.photo),
            garment=worn,
            category=garment.category,
            mask=self._tell_mask(person),
            found_by=dict(finder.files) if (finder := self.finder_for(person, garment)) else None,
            prompt=prompt,
            garment_prompt=garment.prompt,
            size=list(size),
            checkpoint=self.checkpoint,
            model=self.loaded.source,
            controls=controls,
            guidance=(settings.guidance or model.guidance).describe(),
            repaint=settings.repaint or model.repaint,
            steps=settings.steps,
            sampler=settings.sampler,
            eta=settings.eta,
            denoise=settings.strength,
        )

    def _tell_mask(self, person):
        if person.mask is not None:
            return self._told(person.mask)
        how = dict(regions=person.regions, grow=person.grow) if person.regions else {}
        how = how or dict(style=self.loaded.record.mask_style)
        names = dict(regions="map")
        how |= {names.get(name, name): self._told(path) for name, path in person.labels.items()}
        return how | (dict(joints=self._told(person.joints)) if person.joints is not None else {})

    def draw(self, batch: list[FittingPicture]) -> np.ndarray:
        """Pictures uint8 (n, H, W, 3) of FittingPictures of one size."""
        items = [self.make_item(picture.person, picture.garment, picture.size) for picture in batch]
        controls = []
        for i, control in enumerate(self.controls):
            hints = [self.read_map(control, picture.maps[i], picture.size) for picture in batch]
            controls.append(control.control(np.stack(hints)))
        seeds = [picture.seed for picture in batch]
        return put_on(self.loaded.model, items, seeds, self.options.settings, controls=controls)

    def read_map(self, control: Steering, path, size):
        """What a control reads of a map, cut as the photo is: nearest pixels only."""
        pixels = control.read(path)
        return pixels[np.ix_(*crop_to(*pixels.shape[:2], size).sample_points())]

    def show(self, picture: FittingPicture) -> tuple[str, list[Tile]]:
        """Who wears what; the person, what stays of them, the garment as the model is given it, and maps."""
        item = self.make_item(picture.person, picture.garment, picture.size)
        names = dict(jpg="person", agnostic="what stays", garment="garment")
        tiles = [
            Tile(((item[key] + 1) * 127.5).round().astype(np.uint8), caption)
            for key, caption in names.items()
        ]
        for control, path in zip(self.controls, picture.maps, strict=True):
            pixels = self.read_map(control, path, picture.size)
            tiles.append(Tile(control.encoder.to_rgb(pixels) if control.encoder else pixels, "map", True))
        return f"{picture.person.name} in {picture.garment.name}, {picture.garment.category}", tiles
