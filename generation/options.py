"""What a command asks for, whatever the row of its table."""

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from cldm.controls import Control, check_number
from generation.generate import Settings
from generation.inpainting import Photo
from generation.table import ANNOTATED, MAPS, MAX_SEED
from pictures.pairs import TABLES

PHOTOS = *MAPS, ".jpg", ".jpeg"
RANGES = {
    "num": (1, 10_000),
    "batch_size": (1, 64),
    "grow": (0, 4096),
    "feather": (0, 4096),
    "size": (64, 4096),
    "limit": (1, 10**9),
    "seed": (0, MAX_SEED),
    "guidance": (0, 100),
    "sampling_steps": (1, 1000),
}


@dataclass
class GenerationOptions:
    """Seeds count on from `settings.seed`, `num` a row."""

    maps: Path
    settings: Settings
    scale: float | None = None  # guidance; None is 9, for the tiny model 3
    num: int = 1
    size: int | None = None  # short side; None keeps maps that are multiples of 64, near the model's own size
    photos: Path | None = None  # folder; None takes the photos that rows name
    denoise: float | None = None  # None starts from noise
    inpaint: str = ""  # regions, for `region_mask`
    grow: int = 0
    feather: int = 0

    @cached_property
    def photos_by_stem(self) -> dict[str, list[Path]]:
        found = defaultdict(list)
        for path in sorted(self.photos.iterdir()):
            if path.suffix.lower() in PHOTOS:
                found[path.stem].append(path)
        return found


def check_controls(options: GenerationOptions, files) -> None:
    """ValueError for a ControlFile that is out of its range, or means nothing for what is asked."""
    check_acting(options.settings.steps, options.denoise, files)
    for file in files:
        if file.guess_mode and options.scale in (0, 1):
            raise ValueError(
                f"--guidance {options.scale:g} leaves one of guidance's two predictions, of which guess mode "
                f"steers one alone: give another one, or {file.path} without :guess"
            )


def check_acting(num: int, denoise: float | None, files) -> None:
    """ValueError for a ControlFile that acts at none of `num` steps, of which a share `denoise` is run."""
    if denoise is not None:
        num = max(1, round(denoise * num))
    for file in files:
        try:
            control = Control(np.zeros((64, 64, 3)), strength=file.strength, start=file.start, end=file.end)
        except ValueError as error:
            raise ValueError(f"--control {file.path}: {error}") from error
        if not control.steps(range(num)):
            raise ValueError(
                f"--control {file.path} acts at none of the {num} steps: its range "
                f"{file.start:g}-{file.end:g} holds no whole step"
            )


def refuse_given(arguments, names, why: str) -> None:
    """Raise ValueError where an option is given that has no meaning for what is asked."""
    for name in names:
        if getattr(arguments, name) not in (None, "", 0):
            raise ValueError(f"--{name} {why}")


def check_ranges(arguments) -> None:
    """Raise ValueError for an option of tool_generate.py that is out of its range, or an --out of no use."""
    for name, (low, high) in RANGES.items():
        if (value := getattr(arguments, name)) is not None:
            check_number(f"--{name.replace('_', '-')}", value, low, high)
    there = next(path for path in (arguments.out, *arguments.out.absolute().parents) if path.exists())
    if not there.is_dir():
        raise ValueError(f"--out {arguments.out}: {there} is a file, a folder is wanted")
    # a prepared folder has a rejected.csv of its own, and pictures among photos would be taken for photos
    inputs = [getattr(arguments, name) for name in ("maps", "people", "garments", "photo", "fittings")]
    if any(folder and folder.resolve() == arguments.out.resolve() for folder in inputs) or any(
        (arguments.out / name).is_file() for name in (*TABLES, ANNOTATED)
    ):
        raise ValueError(f"--out {arguments.out} is a folder of what is drawn from: choose another --out")
    if arguments.grow and not arguments.inpaint:
        raise ValueError("--grow and --feather are about the regions of --inpaint: give that, too")


def read_options(arguments) -> GenerationOptions:
    """The options of tool_generate.py's arguments; ValueError names the one that is out of its range."""
    check_ranges(arguments)
    given, arguments.maps = vars(arguments), arguments.maps or Path("training/dolls")
    if arguments.photo is not None and not arguments.photo.is_dir():
        raise FileNotFoundError(f"--photo {arguments.photo} is no folder")
    if arguments.feather and not arguments.inpaint:
        raise ValueError("--grow and --feather are about the regions of --inpaint: give that, too")
    denoise = arguments.denoise
    if denoise is None and (arguments.inpaint or arguments.photo):
        denoise = 1.0 if arguments.inpaint else 0.75
    if denoise is not None:
        Photo(np.zeros((64, 64, 3), np.uint8), denoise)  # says what is wrong with it before anything is read
    sampler = arguments.sampler or "dpmpp_2m"
    settings = Settings(steps=arguments.sampling_steps, sampler=sampler, seed=arguments.seed)
    rest = {name: given[name] for name in ("maps", "num", "size", "inpaint", "grow", "feather")}
    rest |= dict(scale=arguments.guidance)
    return GenerationOptions(settings=settings, photos=arguments.photo, denoise=denoise, **rest)
