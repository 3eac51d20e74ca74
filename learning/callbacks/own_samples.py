"""Own samples: what a yaml lists is drawn every so many steps while a run trains."""

import json
from abc import ABC, abstractmethod
from dataclasses import MISSING, dataclass, fields
from pathlib import Path

import pytorch_lightning as pl

from cldm.model import is_tryon
from evaluation.fittings import with_pairs
from generation.fitting import FittingSettings, put_on
from generation.generate import Settings, generate
from jobs.ranks import gathered, part_of
from jobs.whole_files import write_atomically
from jobs.yaml_files import read_yaml
from ldm.util import check_known
from learning.callbacks.garment_metric import to_pixels
from learning.callbacks.measurement import measuring, save_samples
from learning.options import TrainOptions
from pictures.decoding import read_hint
from pictures.painted_maps import read_map
from pictures.pairs import read_items
from reporting.strips import OWN_GIVEN, OWN_SAMPLES, save_strip


@dataclass(frozen=True)
class OwnMap:
    """A map's file, relative to the yaml's folder, and what to draw from it."""

    map: str
    prompt: str = ""
    negative: str = ""
    seed: int = 0


@dataclass(frozen=True)
class OwnFitting:
    """Names of a person and a garment of the training folder, of whichever split."""

    person: str
    garment: str
    seed: int = 0


def read_samples(path, kind) -> list:
    """What a yaml lists, of one kind of the above.

    Raises:
        FileNotFoundError, ValueError: it is not there, or an entry is none; says which.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"samples={path} is no file")
    entries = read_yaml(path)
    if not isinstance(entries, list) or not entries:
        named = ", ".join(f"{entry.name}: ..." for entry in fields(kind))
        raise ValueError(f"{path} must hold a list of samples, `- {{{named}}}` each")
    samples = []
    for number, entry in enumerate(entries, 1):
        try:
            samples.append(_read_sample(entry, kind))
        except ValueError as error:
            raise ValueError(f"{path}, sample {number}: {error}") from error
    return samples


def _read_sample(entry, kind):
    known = {field.name: field for field in fields(kind)}
    if not isinstance(entry, dict):
        raise ValueError(f"wanted {', '.join(known)}, got {entry!r:.60}")
    for name, value in entry.items():
        check_known(str(name), list(known), "key")
        if type(value) is not known[name].type:
            raise ValueError(f"{name} must be of type {known[name].type.__name__}, got {value!r:.60}")
    for name, field in known.items():
        if name not in entry and field.default is MISSING:
            raise ValueError(f"it lacks {name}")
    return kind(**entry)


class OwnSamples(pl.Callback, ABC):
    """Writes own_samples/step_*.png every `samples_every` steps and at the last one, for the report.

    The processes share the drawing. Subclasses read the samples, and raise what is wrong with them.
    """

    prompts = ()  # of the samples, for the report

    def __init__(self, options: TrainOptions):
        self.options, self.folder = options, Path(options.run, OWN_SAMPLES)

    @abstractmethod
    def given(self) -> dict[str, list]:
        """Title -> pictures uint8 (H, W, 3), what is drawn from; the first ones as large as what is drawn."""

    @abstractmethod
    def draw(self, model, place: int):
        """A picture uint8 (H, W, 3)."""

    def on_train_start(self, trainer, pl_module):
        self.seen_step, given = trainer.global_step, self.given()
        self.num = len(next(iter(given.values())))
        if trainer.is_global_zero:
            for name, pictures in given.items():
                save_strip(self.folder / f"{name}.png", pictures)
            sizes = {name: [picture.shape[:2] for picture in pictures] for name, pictures in given.items()}
            told = dict(sizes=sizes, prompts=list(self.prompts))
            write_atomically(self.folder / OWN_GIVEN, json.dumps(told, indent=1).encode())

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        step, options = trainer.global_step, self.options
        due = step % options.samples_every == 0 or step == options.max_steps
        if step == self.seen_step or not due:
            return
        self.seen_step = step
        with measuring(trainer, pl_module), pl_module.stages_present():
            drawn = [self.draw(pl_module, place) for place in part_of(range(self.num))]
        drawn = gathered(drawn)
        if trainer.is_global_zero:
            save_samples(trainer, self.folder, drawn)


class OwnMaps(OwnSamples):
    """Samples of a control. encoder: of the data's maps; None where they are pictures of any colours."""

    def __init__(self, options: TrainOptions, encoder=None):
        super().__init__(options)
        self.samples, self.encoder = read_samples(options.samples, OwnMap), encoder
        self.prompts = [sample.prompt for sample in self.samples]
        self.hints = [self._read(number, sample.map) for number, sample in enumerate(self.samples, 1)]

    def _read(self, number, name):
        where = f"{self.options.samples}, sample {number}: {name}"
        path = Path(self.options.samples).parent / name
        if not path.is_file():
            raise FileNotFoundError(f"{where} is no file of {path.parent}")
        try:
            picture = self.encoder.to_rgb(read_map(path, self.encoder)) if self.encoder else read_hint(path)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        height, width = picture.shape[:2]
        if height % 64 or width % 64:
            raise ValueError(f"{where} is {height} x {width}, where multiples of 64 are wanted: resize it")
        return picture

    def given(self):
        return dict(map=self.hints)

    def draw(self, model, place):
        sample, options = self.samples[place], self.options
        settings = Settings(
            prompt=sample.prompt,
            negative_prompt=sample.negative,
            steps=options.sampling_steps,
            scale=options.guidance,
            sampler="dpmpp_2m",
            seed=sample.seed,
        )
        return generate(model, self.hints[place].astype("float32") / 255, settings)[0]


class OwnFittings(OwnSamples):
    """Samples of a try-on recipe. dataset: a TryonDataset of the folder."""

    def __init__(self, options: TrainOptions, dataset):
        super().__init__(options)
        self.samples = read_samples(options.samples, OwnFitting)
        lines = {line["name"]: line for line in read_items(dataset.folder)[1]}
        for number, sample in enumerate(self.samples, 1):
            for name in (sample.person, sample.garment):
                where = f"{options.samples}, sample {number}"
                check_known(name, list(lines), f"name of {dataset.folder} in {where}:")
        pairs = [(lines[sample.person], lines[sample.garment]) for sample in self.samples]
        self.fittings = with_pairs(dataset, pairs)

    def given(self):
        items = [self.fittings[place] for place in range(len(self.samples))]
        return {name: [to_pixels(item[key]) for item in items] for name, key in SHOWN_OF_FITTING.items()}

    def draw(self, model, place):
        settings = FittingSettings(steps=self.options.sampling_steps)
        return put_on(model, [self.fittings[place]], [self.samples[place].seed], settings)[0]


SHOWN_OF_FITTING = dict(person="jpg", garment="garment")


def watch_own_samples(options: TrainOptions, dataset, encoder=None) -> list[OwnSamples]:
    """The callback for the option `samples`, none without it."""
    if not options.samples:
        return []
    return [OwnFittings(options, dataset) if is_tryon(options.model) else OwnMaps(options, encoder)]
