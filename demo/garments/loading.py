"""From the files that the demo is started with to the model that it draws with, and to others of a folder."""

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cldm.weights.graft import default_files
from cldm.weights.load import load_control, newest_checkpoint
from demo.garments.model import Demo
from generation.control_files import ControlFile, load_controls
from pictures.hint import HintEncoder

SUFFIXES = ".safetensors", ".ckpt", ".pth"


@dataclass
class Loader:
    """Makes a Demo of a checkpoint, with all that is the same for each: device, further controls, regions.

    regions: what the map's colours mean where a checkpoint does not say it. base: under a control branch,
    file or folder; None is what that names.
    """

    device: str
    regions: HintEncoder
    config: str | None = None
    controls: Sequence[str] = ()
    low_memory: bool = False
    base: str | None = None

    def __call__(self, checkpoint) -> Demo:
        """Of None: the newest training result, else Stable Diffusion 1.5 or the tiny base."""
        first = ControlFile(str(checkpoint or newest_checkpoint() or default_files()[0]))
        files = [first, *map(ControlFile.parse, self.controls)]
        loaded, (own, *further) = load_controls(files, self.config, self.device, self.base)
        for note in loaded.notes:
            print(f"{loaded.source}: {note}", flush=True)
        encoder = own.encoder or self.regions
        demo = Demo(loaded.model, encoder, loaded.source, own.file.path, own.digest, tuple(further))
        return replace(demo, low_memory=self.low_memory)


class Models:
    """The demo's first model and those of a folder, by name; one of them is in memory at a time.

    find_segmenter: called with the first Demo; gives the `segment` and the `judge` of all.
    """

    def __init__(self, load: Callable, find_segmenter: Callable, checkpoint=None, folder: Path | None = None):
        if folder is not None and not folder.is_dir():
            raise FileNotFoundError(f"--models {folder} is no folder")
        self.load, first = load, load(checkpoint)
        self.first_name = Path(first.file).name
        self.files = {self.first_name: checkpoint}
        for path in sorted(folder.iterdir()) if folder else ():
            if path.suffix in SUFFIXES:
                self.files.setdefault(path.name, path)
        self.encoder, self.native_size = first.encoder, first.native_size
        self.segment, self.judge = find_segmenter(first)
        self.name, self.demo = self.first_name, replace(first, segment=self.segment, judge=self.judge)
        self.digests = {self.name: first.digest}  # of those that have been in memory

    def get(self, name: str | None) -> Demo:
        """The Demo of a name, loaded if another one was in memory; None is the first.

        Raises:
            ValueError: there is no such name, or the page shows other regions or sizes than the model has.
        """
        name = name or self.first_name
        if name not in self.files:
            raise ValueError(f"there is no model {name[:100]!r}: models are {', '.join(self.files)}")
        if self.demo is None or name != self.name:
            self.demo = None
            gc.collect()
            try:
                demo = self.load(self.files[name])
            except (ValueError, OSError) as error:
                # visitors may know the name, not where the file is
                said = str(error).replace(str(self.files[name]), name)
                said = said if isinstance(error, ValueError) else "its file cannot be read"
                raise ValueError(f"The model {name} cannot be loaded: {said}") from error
            self._check(demo, name)
            self.name, self.demo = name, replace(demo, segment=self.segment, judge=self.judge)
            self.digests[name] = demo.digest
        return self.demo

    def _check(self, demo, name):
        if demo.encoder != self.encoder or demo.native_size != self.native_size:
            raise ValueError(
                f"{name} has other regions, colours or sizes than this page: start the demo with "
                f"--control {name}"
            )


def load_for_demo(checkpoint, config, regions: HintEncoder, device: str) -> Demo:
    """A Demo of what `load_control` finds; `regions` are what a map's colours mean where it does not say."""
    loaded = load_control(checkpoint, config, device)
    return Demo(loaded.model, loaded.encoder or regions, loaded.source)
