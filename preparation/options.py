"""What can be chosen about a training folder, and which choices its files keep."""

from dataclasses import dataclass, fields
from pathlib import Path

from jobs.options import option
from jobs.parallel import num_cores
from preparation.people import check_detector

MULTIPLE = 64
HINTS = ("auto", "regions", "picture")


@dataclass(frozen=True)
class PrepareOptions:
    """Options of `prepare_folder`.

    The files depend on those from `table` to `second_crop`: a folder keeps them. All others may change when
    the command runs again.
    """

    table: str = option(
        "official", "table of the regions file: official, legacy, detailed, split or your own"
    )
    regions: str | None = option(
        None, "regions file, if not annotator/imaterialist/regions.yaml", metavar="YAML"
    )
    hints: str = option("auto", "what masks of other data are: regions or any picture", choices=HINTS)
    size: int = option(512, "square root of the pictures' area in pixels, a multiple of 64")
    square: bool = option(False, "square pictures only, instead of aspect buckets of equal area")
    margin: float = option(0.1, "room around the garments, as a share of their box")
    max_upscale: float = option(1.5, "how far crops may be blown up; smaller photos are rejected")
    second_crop: bool = option(False, "a second picture of photos that show several people")
    thresholds: tuple[str, ...] = option(
        (), "threshold of a check; repeatable", flag="--threshold", metavar="NAME=VALUE|off"
    )
    person_detector: str | None = option(
        None, "folder of a detector that finds people nobody annotated", metavar="FOLDER"
    )
    device: str = option("auto", "where the detector runs: auto, cpu, cuda, ...")
    prompt: tuple[str, ...] = option(
        ("caption",), "caption sources in order of preference, commas between; others follow, garments last"
    )
    val: float = option(0.05, "share of the photos held out for validation")
    test: float = option(0.05, "share of the photos held out for tests")
    seed: int = option(0, "draws val and test")
    workers: int = option(num_cores, "processes; the output does not depend on it")
    mask_style: str = option(
        "ootd_hd", "of try-on data: which rule says what may be repainted", metavar="STYLE"
    )
    published_masks: bool = option(False, "of try-on data: masks with the published code's faults")
    imagefolder: bool = option(False, "write OUT/imagefolder for diffusers' scripts, too")
    shards: int = option(0, "write webdataset shards of so many pictures, too", metavar="N")

    def check(self) -> None:
        """Raise ValueError for values that mean nothing."""
        wrong = [
            (self.size < MULTIPLE or self.size % MULTIPLE, "size", f"a multiple of {MULTIPLE}"),
            (self.hints not in HINTS, "hints", f"one of {', '.join(HINTS)}"),
            (not 0 <= self.margin <= 1, "margin", "from 0 to 1"),
            (not 1 <= self.max_upscale <= 16, "max_upscale", "from 1 to 16"),
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
        if self.person_detector is not None:
            check_detector(self.person_detector)

    def of_files(self) -> dict:
        """The choices that decide what is in the files."""
        names = ("table", "size", "square", "margin", "max_upscale", "second_crop")
        return {name: getattr(self, name) for name in names}


def add_arguments(parser) -> None:
    """Give an argparse parser a flag for each option."""
    for entry in fields(PrepareOptions):
        argument = dict(entry.metadata)
        flag = argument.pop("flag", "--" + entry.name.replace("_", "-"))
        default = entry.default_factory() if callable(entry.default_factory) else entry.default
        if default is False:
            argument["action"] = "store_true"
        elif entry.name == "thresholds":
            argument["action"] = "append"
            default = []
        else:
            shown = ",".join(default) if isinstance(default, tuple) else default
            argument["help"] += f" (default: {shown})" if shown not in (None, 0) else ""
            argument["type"] = type(default) if isinstance(default, int | float) else str
        parser.add_argument(flag, dest=entry.name, default=default, **argument)


def from_arguments(arguments) -> PrepareOptions:
    """The options that a parser with `add_arguments` has read."""
    values = {entry.name: getattr(arguments, entry.name) for entry in fields(PrepareOptions)}
    prompt = values["prompt"]
    order = prompt.split(",") if isinstance(prompt, str) else prompt
    values["prompt"] = tuple(source.strip() for source in order if source.strip())
    return PrepareOptions(**{**values, "thresholds": tuple(values["thresholds"])})
