"""What can be chosen about a training folder, and which choices its files keep."""

from dataclasses import dataclass, fields
from pathlib import Path

from jobs.options import option
from jobs.parallel import default_workers
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
        "official", "The table of the regions file: official, legacy, detailed, split or your own."
    )
    regions: str | None = option(
        None, "The regions file. Without it, pictures/regions.yaml is taken.", metavar="YAML"
    )
    hints: str = option("auto", "What masks of other data hold: regions, or any picture.", choices=HINTS)
    size: int = option(512, "The square root of the pictures' area in pixels, a multiple of 64.")
    square: bool = option(False, "Make square pictures only, instead of aspect buckets of equal area.")
    margin: float = option(0.1, "The room around the garments, as a share of their box.")
    max_upscale: float = option(1.5, "How far crops may be blown up. Smaller photos are rejected.")
    second_crop: bool = option(False, "Take a second picture of photos that show several people.")
    thresholds: tuple[str, ...] = option(
        (),
        "The threshold of a check, or off. It can be given several times.",
        flag="--threshold",
        metavar="NAME=VALUE|off",
    )
    person_detector: str | None = option(
        None, "The folder of a detector that finds people whom nobody annotated.", metavar="FOLDER"
    )
    device: str = option("auto", "Where networks run: auto, cpu, mps, cuda, cuda:1 and so on.")
    prompt: tuple[str, ...] = option(
        ("caption",),
        "The sources of captions in order of preference, with commas between. Others follow, garments last.",
    )
    val: float = option(0.05, "The share of the photos held out for validation.")
    test: float = option(0.05, "The share of the photos held out for tests.")
    seed: int = option(0, "What val and test are drawn from.")
    workers: int = option(
        default_workers,
        "How many processes work. The default is one for each core, 16 at most. The output is the same.",
    )
    mask_style: str = option(
        "",
        "For try-on data: the rule that says what may be repainted. Without one vitonhd, dresscode or, for "
        "own folders, body_part.",
        metavar="STYLE",
    )
    published_masks: bool = option(False, "For try-on data: make masks with the published code's faults.")
    imagefolder: bool = option(False, "Write OUT/imagefolder for diffusers' scripts, too.")
    shards: int = option(0, "Write webdataset shards of N pictures each, too.", metavar="N")

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
            told = shown in (None, 0) or "default" in argument["help"]
            argument["help"] += "" if told else f" The default is {shown}."
            argument["type"] = type(default) if isinstance(default, int | float) else str
        parser.add_argument(flag, dest=entry.name, default=default, **argument)


def from_arguments(arguments) -> PrepareOptions:
    """The options that a parser with `add_arguments` has read."""
    values = {entry.name: getattr(arguments, entry.name) for entry in fields(PrepareOptions)}
    prompt = values["prompt"]
    order = prompt.split(",") if isinstance(prompt, str) else prompt
    values["prompt"] = tuple(source.strip() for source in order if source.strip())
    return PrepareOptions(**{**values, "thresholds": tuple(values["thresholds"])})
