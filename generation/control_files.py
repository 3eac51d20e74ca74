"""Controls as a command line names them: files over one base, each with strength, range and maps."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cldm.controls import Control
from cldm.weights.load import Loaded, load_control, newest_checkpoint
from cldm.weights.load_tryon import LoadedTryon
from generation.branches import load_branch
from jobs.shipped import find_shipped
from pictures.decoding import read_hint
from pictures.hint import HintEncoder
from pictures.painted_maps import MAX_SIDE, read_map

FORM = "FILE[:STRENGTH[:START-END]][:guess][@MAPS]"
# the shortest FILE that leaves well-formed rests
PATTERN = re.compile(
    r"(.+?)(?::(?!guess(?:@|$))([^:/\\@]*))?(?::([^:/\\@-]*)-([^:/\\@-]*))?(:guess)?(?:@(.+))?"
)


@dataclass(frozen=True)
class ControlFile:
    """FORM, such as pose.safetensors:0.8:0-0.6@training/poses."""

    path: str
    strength: float | tuple[float, ...] = 1.0
    start: float = 0.0
    end: float = 1.0
    maps: Path | None = None
    guess_mode: bool = False

    @classmethod
    def parse(cls, text: str) -> "ControlFile":
        if text and Path(text).exists():
            return cls(text)
        if not (found := PATTERN.fullmatch(text)):
            raise ValueError(f"a control is {FORM}, got {text!r}")
        path, strength, start, end, guess, maps = found.groups()
        try:
            if path.endswith(":guess"):
                raise ValueError("guess stands behind strength and range, and once")
            factors = tuple(map(float, ("1" if strength is None else strength).split(",")))
            start, end = (0.0, 1.0) if start is None else (float(start), float(end))
        except ValueError as error:
            raise ValueError(f"a control is {FORM}, got {text!r}") from error
        strength = factors[0] if len(factors) == 1 else factors
        if guess and not any(factors):
            raise ValueError(f"{text}: guess mode without strength is no control: leave out either")
        return cls(path, strength, start, end, Path(maps) if maps else None, bool(guess))


@dataclass(eq=False)
class Steering:
    """A control that is loaded; `branch` None is the model's own."""

    file: ControlFile
    branch: torch.nn.Module | None
    encoder: HintEncoder | None  # None where its hints are pictures in any colours
    digest: str

    def control(self, pictures) -> Control:
        """Of what `read` gave, stacked to (n, h, w) or (n, h, w, 3)."""
        hint = self.encoder.to_hint(pictures) if self.encoder else pictures.astype(np.float32) / 255.0
        file = self.file
        return Control(
            hint=hint,
            branch=self.branch,
            strength=file.strength,
            start=file.start,
            end=file.end,
            guess_mode=file.guess_mode,
        )

    def read(self, path):
        """Region ids uint8 (h, w) of a map, or uint8 (h, w, 3) where the colours mean nothing to us."""
        return read_map(path, self.encoder) if self.encoder else read_hint(path, max_side=4 * MAX_SIDE)

    def facts(self) -> dict:
        file = self.file
        told = dict(file=file.path, sha256=self.digest, start=file.start, end=file.end)
        told |= dict(guess_mode=True) if file.guess_mode else {}
        several = isinstance(file.strength, tuple)
        return told | dict(strength=list(file.strength) if several else file.strength)


def named_or_newest(texts: list[str]) -> list[ControlFile]:
    """The controls of a command line, or the newest training result where it names none."""
    found = newest_checkpoint()
    if not texts and found is None:
        raise FileNotFoundError(
            "there is no trained control in runs/: `make demo` trains one, or name a file by --control FILE"
        )
    return parse_controls(texts or [str(found)])


def parse_controls(texts: list[str]) -> list[ControlFile]:
    """The controls of a command line, whose files and folders are there."""
    files = [ControlFile.parse(text) for text in texts]
    for file in files:
        if not Path(file.path).exists():
            raise FileNotFoundError(f"--control: {file.path} does not exist, where a control is {FORM}")
        if file.maps and not file.maps.is_dir():
            raise FileNotFoundError(
                f"--control {file.path}: the folder of its maps {file.maps} does not exist"
            )
    return files


def load_controls(files: list[ControlFile], config, device: str, base=None) -> tuple[Loaded, list[Steering]]:
    """The model of the first file, a branch on its base or a whole model, and all of them as controls.

    `base`: of the first file, where that does not say it.
    """
    loaded = load_control(files[0].path, config, device, base)
    first = Steering(files[0], None, loaded.encoder, digest(files[0].path))
    check_steering(first, loaded.model.control_model)
    return loaded, [first, *load_branches(files[1:], loaded)]


def load_branches(files: list[ControlFile], loaded: Loaded | LoadedTryon) -> list[Steering]:
    """Further controls, over a model that is there."""
    steerings = []
    for file in files:
        branch = load_branch(file.path, loaded)
        steerings.append(Steering(file, branch.network, branch.encoder, digest(file.path)))
        check_steering(steerings[-1], branch.network)
    return steerings


def check_steering(steering: Steering, network) -> None:
    """Raise ValueError for a control that takes no pictures, or whose strength or range is none."""
    if network.hint_channels != 3:
        raise ValueError(
            f"{steering.file.path} takes hints of {network.hint_channels} channels, not pictures"
        )
    # says what is wrong with strength and range before any map is read
    steering.control(np.zeros((1, 64, 64) + ((3,) * (not steering.encoder)), np.uint8)).scales(
        len(network.zero_convs) + 1
    )


def digest(path) -> str:
    """The start of a file's SHA-256, of all files' where it is a folder."""
    total, path = hashlib.sha256(), find_shipped(path)
    for file in sorted(Path(path).rglob("*")) if Path(path).is_dir() else [Path(path)]:
        if file.is_file():
            with open(file, "rb") as opened:
                while block := opened.read(2**22):
                    total.update(block)
    return total.hexdigest()[:16]
