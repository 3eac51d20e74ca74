"""Pictures of people in garments: drawn by a checkpoint, or found in another program's folder."""

import hashlib
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from cldm.weights.load_tryon import LoadedTryon, load_tryon
from evaluation.fittings import HeldOutFittings, roll_garments, with_pairs
from evaluation.picture_sets import (
    STRIDE,
    count_missing,
    digest_tensors,
    fill_set,
    make_picture_set,
    read_png,
)
from generation.control_files import digest
from generation.fitting import FittingSettings, put_on, reconstruct
from pictures.pairs import PICTURES

OWN = "try-on"  # what the pictures of the only checkpoint are called
FLOOR, ROLLED, CEILING = "floor", "rolled", "ceiling"


@dataclass(frozen=True)
class FittingCheckpoint:
    """A try-on checkpoint, or a folder of pictures; see evaluation.checkpoints.Checkpoint."""

    label: str
    path: Path
    settings: FittingSettings
    facts: dict

    @property
    def draws(self) -> bool:
        return not self.path.is_dir()


def read_checkpoint(label, path, request, held_out: HeldOutFittings) -> FittingCheckpoint:
    """Load a checkpoint to see what it is, and whether it can draw these items; or look into a folder.

    Raises:
        ValueError, FileNotFoundError: it cannot, or pictures are missing; the message says why.
    """
    if Path(path).is_dir():
        files = find_pictures(path, held_out)
        kinds = ", ".join(sorted({file.suffix[1:] for file in files.values()}))
        facts = dict(file=str(path), sha256=digest_files(files.values()), drawn_by="another program")
        return FittingCheckpoint(label, Path(path), request.settings, facts | dict(file_format=kinds))
    loaded = load_tryon(path, request.config, request.device)
    for note in loaded.notes:
        print(f"{path}: {note}", flush=True)
    loaded.record.check_data(held_out.dataset.data)
    multiple = loaded.model.size_multiple
    for height, width in set(held_out.sizes):
        if height % multiple or width % multiple:
            raise ValueError(f"{path} draws multiples of {multiple}, the data are {height} x {width}")
    guidance = loaded.model.guidance
    if request.scale is not None:
        guidance = guidance.rescaled(request.scale)
    repaint = request.settings.repaint or loaded.record.repaint
    facts = dict(
        file=str(path),
        sha256=digest(path),
        drawn_by=loaded.source,
        model=loaded.config,
        sha256_of_all_weights=digest_tensors(loaded.model, path),
        sha256_of_autoencoder=digest_tensors(loaded.model.first_stage_model, path),
        guidance=guidance.describe(),
        repaint=repaint,
        mask_style=loaded.record.mask_style,
        scale_factor=loaded.model.scale_factor,
        dtype=str(next(loaded.model.model.parameters()).dtype),
    )
    settings = replace(request.settings, guidance=guidance, repaint=repaint)
    return FittingCheckpoint(label, Path(path), settings, facts)


def sweep_guidance(checkpoint: FittingCheckpoint, scales) -> list[FittingCheckpoint]:
    """The checkpoint once for each scale of its guidance; ValueError where that has not one scale."""
    own = checkpoint.settings.guidance
    return [
        replace(
            checkpoint,
            label=f"guidance {scale:g}",
            settings=replace(checkpoint.settings, guidance=own.rescaled(scale)),
            facts=checkpoint.facts | dict(guidance=own.rescaled(scale).describe()),
        )
        for scale in scales
    ]


def check_repaint(checkpoints) -> str:
    """What all of them leave outside of the mask; ValueError where that differs."""
    found = {c.label: c.facts["repaint"] for c in checkpoints if c.draws}
    if len(set(found.values())) > 1:
        told = " and ".join(f"{label} with {repaint}" for label, repaint in found.items())
        raise ValueError(
            f"what lies outside of the mask is drawn by {told}, which moves all numbers: give both one "
            "--repaint"
        )
    return next(iter(found.values()), "as the other program does it")


@dataclass(frozen=True)
class FoundPictures:
    """A PictureSet of files that are there: one for each held-out item, by its key."""

    folder: Path
    files: dict[str, Path]
    num_seeds: int = 1

    def pictures(self, key):
        return read_png(self.files[key])[None]


def find_pictures(folder, held_out: HeldOutFittings) -> dict[str, Path]:
    """Key of each held-out item -> its file in a folder, named PERSON__GARMENT or PERSON.

    Raises:
        FileNotFoundError: one is missing; names it.
        ValueError: one has another size than the item.
    """
    from PIL import Image

    there = {path.stem: path for path in sorted(Path(folder).iterdir()) if path.suffix.lower() in PICTURES}
    found, lacking = {}, []
    for place, key, size in zip(held_out.places, held_out.keys, held_out.sizes, strict=True):
        name = held_out.dataset.describe(place)["name"]
        names = name, held_out.dataset.data[place]["name"]
        path = next((there[n] for n in names if n in there), None)
        if path is None:
            lacking.append(name)
            continue
        found[key] = path
        with Image.open(path) as image:
            if image.size[::-1] != size:
                raise ValueError(
                    f"{path} is {image.height} x {image.width}, the data are {size[0]} x {size[1]}: a filter "
                    "that resizes moves all numbers, so prepare the data at that size"
                )
    if lacking:
        raise FileNotFoundError(
            f"{folder} lacks {len(lacking)} of {len(held_out)} pictures, the first is {lacking[0]}.png, or "
            f"{lacking[0].split('__')[0]}.png"
        )
    return found


def digest_files(paths) -> str:
    total = hashlib.sha256()
    for path in paths:
        total.update(digest(path).encode())
    return total.hexdigest()[:16]


def list_sets(checkpoint: FittingCheckpoint, held_out, out, request, alone: bool) -> dict[str, tuple]:
    """Label -> (way of WAYS, PictureSet), in the order of columns; `alone`: it is the only checkpoint."""

    def name(way):
        return checkpoint.label if way == OWN else way if alone else f"{way} of {checkpoint.label}"

    if not checkpoint.draws:
        found = FoundPictures(checkpoint.path, find_pictures(checkpoint.path, held_out))
        return {checkpoint.label: (OWN, found)}
    told, settings = checkpoint.facts, checkpoint.settings
    named = "model", "sha256_of_all_weights", "scale_factor", "guidance", "repaint", "dtype"
    drawn = {name: told[name] for name in named}
    drawn |= dict(steps=settings.steps, sampler=settings.sampler, eta=settings.eta)
    floor = {name: value for name, value in drawn.items() if name != "guidance"}  # it has none of its own
    facts = {FLOOR: floor, OWN: drawn}
    if not request.sweep and (rolled := roll(held_out)):
        facts = {FLOOR: floor, ROLLED: drawn | dict(garments=digest_garments(rolled, held_out)), OWN: drawn}
    if held_out.has_truth:
        facts[CEILING] = dict(sha256_of_autoencoder=told["sha256_of_autoencoder"], truth=held_out.digest)
    seeds = {way: 1 if way == CEILING else request.num_seeds for way in facts}
    return {name(way): (way, make_picture_set(out, way, facts[way], seeds[way])) for way in facts}


def roll(held_out: HeldOutFittings):
    """The dataset of the same people with other garments, None where there are none."""
    try:
        return with_pairs(held_out.dataset, roll_garments(held_out.dataset.pairs))
    except ValueError:
        return None


def digest_garments(dataset, held_out) -> str:
    """Identifies the garments that a dataset gives the people of held-out items."""
    worn = [dataset.pairs[place][1] for place in held_out.places]
    return digest_files(Path(dataset.folder, line["garment"]) for line in worn)


class Drawing:
    """A loaded checkpoint's pictures of held-out items, a batch at a time."""

    def __init__(self, loaded: LoadedTryon, held_out: HeldOutFittings, settings: FittingSettings):
        self.model, self.held_out, self.settings = loaded.model, held_out, settings
        self.rolled = roll(held_out)

    def draw(self, way: str, part: list[int], seed: int):
        """Pictures uint8 (n, H, W, 3) of the items `part` in one of WAYS, repeat number `seed`."""
        return WAYS[way](self, part, seed)

    def _put_on(self, dataset, part, seed, settings):
        places = [self.held_out.places[i] for i in part]
        items, seeds = [dataset[place] for place in places], [STRIDE * seed + place for place in places]
        return put_on(self.model, items, seeds, settings)

    def own(self, part, seed):
        return self._put_on(self.held_out.dataset, part, seed, self.settings)

    def of_rolled(self, part, seed):
        return self._put_on(self.rolled, part, seed, self.settings)

    def without_garment(self, part, seed):
        settings = replace(self.settings, guidance=self.model.guidance_without_garment())
        return self._put_on(self.held_out.dataset, part, seed, settings)

    def of_truth(self, part, seed):
        return reconstruct(self.model, np.stack([self.held_out[i].photo for i in part]))


WAYS = {
    OWN: Drawing.own,
    FLOOR: Drawing.without_garment,
    ROLLED: Drawing.of_rolled,
    CEILING: Drawing.of_truth,
}


def draw_all(checkpoint, held_out, out, request, progress, alone: bool) -> dict:
    """Draw what a checkpoint's sets lack; returns PictureSets by label, in the order of columns."""
    sets = list_sets(checkpoint, held_out, out, request, alone)
    drawn = {label: entry for label, entry in sets.items() if checkpoint.draws}
    todo = sum(count_missing(held_out, pictures) for _, pictures in drawn.values())
    if todo:
        total = len(held_out) * sum(pictures.num_seeds for _, pictures in drawn.values())
        report = progress(f"drawing by {checkpoint.path}", total, "pictures", total - todo).add
        loaded = load_tryon(checkpoint.path, request.config, request.device)
        drawing = Drawing(loaded, held_out, checkpoint.settings)
        for way, pictures in drawn.values():
            fill_set(held_out, pictures, request.batch_size, report, partial(drawing.draw, way))
    return {label: pictures for label, (_, pictures) in sets.items()}
