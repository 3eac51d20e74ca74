"""A tracker gets the numbers and pictures of a run; a missing one is one line, and nothing is uploaded."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from learning import trackers
from learning.callbacks.measurement import save_samples
from learning.options import TrainOptions, parse_options

GREY = np.full((4, 6, 3), 128, np.uint8)


def options(run, **changes):
    return TrainOptions(run=str(run), **changes)


def collecting():
    """A trainer whose tracker keeps what it is given, and that."""
    kept = []
    logger = SimpleNamespace(
        log_metrics=lambda numbers, step: kept.append((step, numbers)),
        log_picture=lambda name, picture, step: kept.append((step, name, picture.shape)),
    )
    return SimpleNamespace(logger=logger, global_step=3), kept


def test_without_a_tracker_there_is_none(tmp_path):
    assert trackers.make_tracker(options(tmp_path)) is None and not list(tmp_path.iterdir())
    trackers.log_rows(SimpleNamespace(logger=None), [dict(step=3, loss=0.5)])
    trackers.log_pictures(SimpleNamespace(logger=None), dict(samples=GREY), 3)


@pytest.mark.parametrize("name", trackers.TRACKERS)
def test_a_tracker_that_is_not_installed_is_one_line_with_the_remedy(name, tmp_path, monkeypatch):
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=f"needs the package {name}: python -m pip install {name}"):
        trackers.check_tracker(options(tmp_path, tracker=name))
    assert not list(tmp_path.iterdir())


def test_an_unknown_tracker_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match="tracker must be one of none, tensorboard, wandb, got 'mlflow'"):
        parse_options([], ["tracker=mlflow"])
    with pytest.raises(ValueError, match="tracker=tensorboard uploads nothing"):
        trackers.check_tracker(SimpleNamespace(tracker="tensorboard", tracker_online=True))


def test_wandb_stays_offline_unless_it_is_told_otherwise(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(trackers, "find_spec", lambda name: trackers)
    monkeypatch.setattr(trackers.WandbLogger, "__init__", lambda self, **init: given.append(init))
    for online in (False, True):
        trackers.Wandb(options(tmp_path / "run", tracker="wandb", tracker_online=online))
    assert [init["offline"] for init in given] == [True, False]
    assert given[0]["id"] == given[1]["id"], "a resumed run is the same one"


def test_what_wandb_finds_wrong_is_one_line(tmp_path, monkeypatch):
    class Error(Exception):
        pass

    def refuse(self, params):
        raise Error("No API key configured. Use `wandb login` to\nlog in.")

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(Error=Error))
    monkeypatch.setattr(trackers, "find_spec", lambda name: trackers)
    monkeypatch.setattr(trackers.WandbLogger, "__init__", lambda self, **init: None)
    monkeypatch.setattr(trackers.WandbLogger, "log_hyperparams", refuse)
    with pytest.raises(ValueError, match="tracker=wandb can't begin: No API key configured.*to log in.$"):
        trackers.make_tracker(options(tmp_path, tracker="wandb", tracker_online=True))


def test_numbers_that_are_none_are_left_out():
    trainer, kept = collecting()
    trackers.log_rows(trainer, [dict(step=3, loss=0.5, grad_norm=float("nan"))])
    assert kept == [(3, dict(loss=0.5))]


def test_the_samples_of_a_measurement_are_shown(tmp_path):
    trainer, kept = collecting()
    save_samples(trainer, tmp_path / "samples", [GREY, GREY])
    assert kept == [(3, "samples", (4, 12, 3))] and (tmp_path / "samples" / "step_000003.png").exists()


def test_the_image_log_is_shown(tmp_path):
    trainer, kept = collecting()
    trainer.is_global_zero, trainer.default_root_dir, trainer.current_epoch = True, tmp_path, 0
    logger = trackers.TrackedImages(3)
    logger._draw = lambda *_: dict(control=torch.zeros(2, 3, 4, 6))
    logger.on_train_batch_end(trainer, None, None, None, 0)
    assert kept == [(3, "image_log/control", (4, 12, 3))]
