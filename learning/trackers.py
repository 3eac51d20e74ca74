"""Trackers: programs that show a run's numbers and pictures besides its own tables and report."""

import math
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from cldm.logger import ImageLogger
from jobs.whole_files import write_atomically
from learning.options import TrainOptions


class TensorBoard(TensorBoardLogger):
    """Files in RUN/tensorboard, for `tensorboard --logdir RUN`."""

    def __init__(self, options: TrainOptions):
        super().__init__(options.run, name="", version="tensorboard", default_hp_metric=False)

    @rank_zero_only
    def log_picture(self, name, picture, step):
        self.experiment.add_image(name, picture, step, dataformats="HWC")


class Wandb(WandbLogger):
    """Files in RUN/wandb, which `wandb sync` uploads; with tracker_online they are uploaded at once."""

    def __init__(self, options: TrainOptions):
        run = Path(options.run)
        super().__init__(
            name=run.name,
            save_dir=run,
            id=_keep_id(run / "wandb" / "id.txt"),
            offline=not options.tracker_online,
            project="garment-controlnet",
        )

    @rank_zero_only
    def log_hyperparams(self, params):
        """Raises ValueError where wandb does not begin, nobody being logged in for example."""
        from wandb import Error

        try:
            super().log_hyperparams(params)
        except Error as error:
            raise ValueError(f"tracker=wandb can't begin: {' '.join(str(error).split())}") from error

    @rank_zero_only
    def log_picture(self, name, picture, step):
        self.log_image(name, [picture], step)


TRACKERS = dict(tensorboard=TensorBoard, wandb=Wandb)


def check_tracker(options: TrainOptions) -> None:
    """Raise ValueError for a tracker whose package is not installed, or that can't upload."""
    name = options.tracker
    if options.tracker_online and name != "wandb":
        raise ValueError(f"tracker_online=true is for tracker=wandb; tracker={name} uploads nothing")
    if name != "none" and find_spec(name) is None:
        raise ValueError(
            f"tracker={name} needs the package {name}: python -m pip install {name}, or give tracker=none"
        )


def make_tracker(options: TrainOptions) -> TensorBoard | Wandb | None:
    """The logger that `tracker` names, with the options told to it; None for none."""
    if options.tracker == "none":
        return None
    check_tracker(options)
    tracker = TRACKERS[options.tracker](options)
    tracker.log_hyperparams(asdict(options))
    return tracker


@rank_zero_only
def _keep_id(file: Path) -> str:
    """The name under which a run is known to others, the same when it is resumed."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, uuid4().hex[:12].encode())
    return file.read_text(encoding="utf-8").strip()


def log_rows(trainer, rows):
    """Hand rows with a `step` to the tracker, if there is one."""
    for row in rows if trainer.logger else []:
        numbers = {name: float(value) for name, value in row.items() if name != "step"}
        finite = {name: value for name, value in numbers.items() if math.isfinite(value)}
        trainer.logger.log_metrics(finite, row["step"])


def log_pictures(trainer, pictures: dict, step: int):
    """Hand pictures uint8 (H, W, 3) by name to the tracker, if there is one."""
    for name, picture in pictures.items() if trainer.logger else []:
        trainer.logger.log_picture(name, picture, step)


class TrackedImages(ImageLogger):
    """The image log, whose grids the tracker shows too."""

    def show(self, trainer, grids):
        log_pictures(trainer, {f"image_log/{name}": grid for name, grid in grids.items()}, self.last_step)
