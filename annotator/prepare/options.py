"""What can be chosen about a training folder, and which choices its files can't be changed from afterwards."""

from dataclasses import dataclass, field
from pathlib import Path

from annotator.parallel import num_cores

MULTIPLE, SMALLEST = 64, 64
HINTS = ("auto", "regions", "picture")


@dataclass(frozen=True)
class PrepareOptions:
    """Options of `prepare_folder`.

    The files depend on those from `table` to `second_crop`: a folder keeps them. All others may change when
    the command runs again.

    Args:
        table: which of the regions file's tables assigns garments to regions.
        regions: yaml of regions, colours and tables; None is annotator/imaterialist/regions.yaml.
        hints: what masks of other data are: region maps, pictures, or auto for whatever the first one is.
        size: square root of the pictures' area in pixels; `square` allows one shape only.
        margin: room around the garments, as a share of their box.
        max_upscale: how far a crop may be blown up; smaller photos are rejected as tiny.
        second_crop: a second picture of photos that show several people.
        thresholds: NAME=VALUE or NAME=off for the checks of annotator.prepare.cleaning.
        person_detector: folder of a detector that finds people nobody annotated; `device` is where it runs.
        prompt: caption sources in the order of preference; the others follow, garment words last.
        val, test: shares of the photos, drawn by `seed`.
        workers: processes; the output does not depend on it.
        imagefolder: write the folder for diffusers' scripts, too. shards: pictures in a webdataset shard, 0 for none.
    """

    table: str = "official"
    regions: str | None = None
    hints: str = "auto"
    size: int = 512
    square: bool = False
    margin: float = 0.1
    max_upscale: float = 1.0
    second_crop: bool = False
    thresholds: tuple[str, ...] = ()
    person_detector: str | None = None
    device: str = "auto"
    prompt: tuple[str, ...] = ("caption",)
    val: float = 0.05
    test: float = 0.05
    seed: int = 0
    workers: int = field(default_factory=num_cores)
    imagefolder: bool = False
    shards: int = 0

    def check(self) -> None:
        """Raise ValueError for values that mean nothing."""
        wrong = [
            (self.size < SMALLEST or self.size % MULTIPLE, "size", f"a multiple of {MULTIPLE}"),
            (self.hints not in HINTS, "hints", f"one of {', '.join(HINTS)}"),
            (not 0 <= self.margin <= 1, "margin", "from 0 to 1"),
            (self.max_upscale < 1, "max_upscale", "1 or more"),
            (not 0 <= self.val < 1, "val", "in [0, 1)"),
            (not 0 <= self.test < 1, "test", "in [0, 1)"),
            (self.val + self.test >= 1, "val", "so small that val and test leave something to train on"),
            (self.workers < 1, "workers", "at least 1"),
            (self.shards < 0, "shards", "pictures per shard, or 0"),
        ]
        for is_wrong, name, wanted in wrong:
            if is_wrong:
                raise ValueError(f"{name} must be {wanted}, got {getattr(self, name)!r}")
        if self.regions is not None and not Path(self.regions).is_file():
            raise FileNotFoundError(f"--regions {self.regions} does not exist")

    def of_files(self) -> dict:
        """The choices that decide what is in the files."""
        names = ("table", "size", "square", "margin", "max_upscale", "second_crop")
        return {name: getattr(self, name) for name in names}
