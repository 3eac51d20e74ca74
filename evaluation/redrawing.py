"""Paper dolls drawn again in the garment that they try on and in others, and kept in their folder."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from jobs.parallel import run_jobs
from jobs.progress import Progress
from jobs.whole_files import write_atomically
from paperdoll.alternatives import gather_garments, vary
from paperdoll.tryon import arrange
from pictures.photo import FILTER
from preparation.fittings.one_fitting import crop_to

GARMENTS = "garment@16"
FOLDER = "redrawn"  # beside prompt.json: a file for each person in each garment that was asked for
# JPEG of quality 95 moves no pixel of a doll by more; in another garment a tenth of them differ by more
OFF, FEW = 40, 0.001
PHOTOGRAPHS = (
    "{} does not say how its people were drawn (they are photographs, or an older version has prepared it): "
    "nobody can be redrawn in other garments, so garment fidelity (garment@16, detail, ΔE) is not measured; "
    "tool_evaluate.py has estimates of it: SSIM, PSNR, LPIPS, and similarities by CLIP and DINOv2"
)


@dataclass(frozen=True)
class Redrawn:
    """A person in several garments.

    Args:
        pictures: uint8 (n, H, W, 3), the truth first: the garment that was to be tried on.
        groups: GARMENTS, and attributes that the garment shows -> rows of what the truth is to be told from.
        worn: bool (H, W), where the truth shows its garment.
    """

    pictures: np.ndarray
    groups: dict[str, slice]
    worn: np.ndarray

    @property
    def truth(self) -> np.ndarray:
        return self.pictures[0]


def is_drawn(pairs) -> bool:
    """Whether all of a dataset's pairs (person, garment), lines of a folder, say how they were drawn."""
    return all("drawn" in line for pair in pairs for line in pair)


class Redrawing:
    """The people of a dataset in other garments, each drawn once; redrawing[place] is the item's Redrawn.

    Args:
        dataset: a TryonDataset of drawn people: its `folder`, and its `pairs` of lines, person and garment.

    Raises:
        ValueError: they were not drawn, or a garment is of another category than its person's.
    """

    def __init__(self, dataset):
        self.folder, self.pairs = Path(dataset.folder), dataset.pairs
        if not is_drawn(self.pairs):
            raise ValueError(PHOTOGRAPHS.format(self.folder))
        for person, worn in self.pairs:
            if person["category"] != worn["category"]:
                raise ValueError(
                    f"{worn['name']} is a garment of category {worn['category']}, {person['name']} a person "
                    f"for {person['category']}: nobody can draw what that should look like"
                )

    def draw(self, places, workers: int = 1) -> None:
        """Draw what of these items is not there yet."""
        lacking = [place for place in places if self._read(place) is None]
        if lacking:
            progress = Progress(f"{self.folder / FOLDER}", len(lacking), "people in other garments")
            jobs = ((self.folder, *self.pairs[place]) for place in lacking)
            for _ in run_jobs(draw_person, jobs, min(workers, len(lacking))):
                progress.add(1)

    def __getitem__(self, place) -> Redrawn:
        found = self._read(place)
        if found is None:
            draw_person(self.folder, *self.pairs[place])
            found = self._read(place)
        return found

    def _read(self, place) -> Redrawn | None:
        """What an item's file holds; None where it is not there, damaged, or of other garments."""
        person, worn = self.pairs[place]
        path = name_file(self.folder, person, worn)
        if not path.exists():
            return None
        wanted = Wanted.of(person, worn)
        try:
            with np.load(path) as content:
                if str(content["key"]) == wanted.key:
                    return Redrawn(content["pictures"], wanted.rows(), content["worn"])
        except (BadZipFile, EOFError, KeyError, ValueError):
            pass
        return None


@dataclass(frozen=True)
class Wanted:
    """What is to be drawn: a paperdoll Fitting, the garment that it tries on, and others by group."""

    fitting: object
    garment: object
    others: dict[str, list]
    size: tuple[int, int]

    @classmethod
    def of(cls, person: dict, worn: dict) -> "Wanted":
        """Of two lines of a folder; ValueError where what they say of their drawing is damaged."""
        try:
            seed, index, size = (person["drawn"][key] for key in ("seed", "index", "size"))
            other = worn["drawn"]["seed"], worn["drawn"]["index"]
            fitting = arrange(seed, index, size, person["category"])
            garment = arrange(*other, size, person["category"]).garment
        except (KeyError, TypeError, ValueError) as error:
            names = f"{person['name']} or {worn['name']}"
            raise ValueError(f"{names}: 'drawn' of its line in prompt.json is damaged: {error}") from error
        garments = gather_garments(garment, person["category"], [seed, index, *other])
        groups = {GARMENTS: garments, **vary(garment)}
        others = {name: [g for g in group if g != garment] for name, group in groups.items()}
        return cls(fitting, garment, others, tuple(person["size"]))

    @property
    def key(self) -> str:
        """Tells these drawings from others."""
        return hashlib.sha256(repr(self).encode()).hexdigest()

    def draw(self) -> Redrawn:
        """The person in the garment and in all others, drawn now."""
        truth = self.fitting.wear(self.garment).drawing
        others = [self.fitting.wear(g).drawing.photo for group in self.others.values() for g in group]
        return Redrawn(
            pictures=np.stack([match_size(photo, self.size) for photo in (truth.photo, *others)]),
            groups=self.rows(),
            worn=match_size(truth.mask(garment=1).astype(np.uint8) * 255, self.size) > 127,
        )

    def rows(self) -> dict[str, slice]:
        """Where each group stands in an array that begins with the truth."""
        rows, start = {}, 1
        for name, group in self.others.items():
            rows[name] = slice(start, start + len(group))
            start += len(group)
        return rows


def name_file(folder, person, worn) -> Path:
    return Path(folder, FOLDER, f"{person['name']}__{worn['name']}.npz")


def draw_person(folder, person: dict, worn: dict) -> None:
    """Write the file of one person in one garment and in all others; ValueError if it is not that person."""
    wanted = Wanted.of(person, worn)
    check_same(match_size(wanted.fitting.wear().drawing.photo, wanted.size), Path(folder, person["target"]))
    drawn = wanted.draw()
    content = dict(key=wanted.key, pictures=drawn.pictures, worn=drawn.worn)
    data = io.BytesIO()
    np.savez_compressed(data, **content)
    path = name_file(folder, person, worn)
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, data.getvalue())


def match_size(picture, size: tuple[int, int]):
    """A drawing uint8 (h, w) or (h, w, 3), cut and resized as preparation does it with photos."""
    from PIL import Image

    if picture.shape[:2] == size:
        return picture
    crop, image = crop_to(*picture.shape[:2], size), Image.fromarray(picture)
    return np.asarray(image.resize(size[::-1], FILTER, crop.to_list(), reducing_gap=2.0))


def check_same(drawn, path: Path) -> None:
    """ValueError unless a redrawn person uint8 (H, W, 3) is the one of a folder's file."""
    from PIL import Image

    with Image.open(path) as image:
        found = np.asarray(image.convert("RGB")).astype(int)
    if found.shape != drawn.shape or (np.abs(found - drawn).max(axis=2) > OFF).mean() > FEW:
        raise ValueError(
            f"{path} is not what the drawing code draws by its seed and index: another version has drawn it, "
            "or somebody has changed it. Delete the folder, and have it drawn anew"
        )
