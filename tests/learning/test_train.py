"""A whole run on a model of a few layers: it trains, resumes exactly, and leaves behind what it promises."""

import csv
import json
import os
import shutil
import signal

import cv2
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from ldm.checkpoint import read_metadata, read_state_dict
from learning.options import TrainOptions
from learning.train import train
from pictures.hint import HintEncoder
from pictures.regions import REGIONS_FILE
from tutorial_dataset import MyDataset

ENCODER = HintEncoder.from_file(REGIONS_FILE)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """12 pictures with maps of two regions."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    lines = []
    for i in range(12):
        ids = np.zeros((64, 64), np.uint8)
        ids[8 : 30 + i, 10:50], ids[40:60, 20:44] = 1, 2
        cv2.imwrite(str(folder / f"{i}_map.png"), ENCODER.to_rgb(ids)[..., ::-1])
        cv2.imwrite(str(folder / f"{i}.png"), rng.integers(0, 255, (64, 64, 3)).astype(np.uint8))
        split = "val" if i >= 10 else "train"
        prompt = f"a red top, number {i}"
        lines.append(dict(source=f"{i}_map.png", target=f"{i}.png", prompt=prompt, split=split))
    (folder / "prompt.json").write_text("\n".join(json.dumps(line) for line in lines))
    return folder


@pytest.fixture(scope="module")
def whole(base, data, tmp_path_factory):
    """The branch after a run that nothing stopped."""
    return trained(options(base, data, tmp_path_factory.mktemp("whole")), data)


def options(base, data, run, **changes):
    settings = dict(
        run=str(run),
        data=str(data),
        model=str(base / "small.yaml"),
        base=str(base / "ini.safetensors"),
        max_steps=7,
        batch_size=2,
        accumulate=2,
        learning_rate=1e-3,
        warmup_steps=3,
        precision="32-true",
        workers=0,
        checkpoint_every=3,
        measure_every=4,
        measure_maps=2,
        sampling_steps=2,
        image_log_every=0,
    )
    return TrainOptions(**settings | changes)


def trained(options, data, judge=None):
    train(options, MyDataset(data, "train"), MyDataset(data, "val"), ENCODER, judge)
    return read_state_dict(f"{options.run}/control.safetensors")


@pytest.mark.parametrize("stops", [[3], [2, 4, 6]])  # within an epoch, and at the end of several
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(base, data, tmp_path, stops, whole):
    for stop in stops:
        trained(options(base, data, tmp_path, max_steps=stop), data)
    parts = trained(options(base, data, tmp_path), data)
    with open(tmp_path / "metrics.csv") as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == [*range(1, 8)]
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_run_leaves_curve_report_checkpoints_and_options(base, data, tmp_path):
    run = tmp_path / "run"
    settings = options(base, data, run, image_log_every=4, full_checkpoints=True, keep_every=4)
    state = trained(settings, data, judge=lambda pictures: np.ones(pictures.shape[:3], np.uint8))
    assert all(name.startswith("control_model.") for name in state)
    assert read_metadata(run / "control.safetensors")["hint"] == ENCODER.metadata()
    assert OmegaConf.load(run / "options.yaml").learning_rate == 1e-3
    with open(run / "control_miou.csv") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [4, 7] and [int(row["pictures"]) for row in rows] == [16, 28]
    assert 0 < float(rows[-1]["top"]) < 1 and float(rows[-1]["bottom"]) == 0
    assert b"Is the map obeyed?" in (run / "report.html").read_bytes()
    kept = "control control_best control_step_000004 full_step_000004 full_step_000007"
    assert {path.stem for path in run.glob("*.safetensors")} == {*kept.split()}
    names = {path.name.split("_gs-")[0] for path in (run / "image_log" / "train").iterdir()}
    assert names == {"reconstruction", "control", "conditioning", "samples_cfg_scale_9.00"}
    assert (run / "samples" / "step_000004.png").exists()
    assert list((run / "image_log" / "train").glob("control_gs-000004_e-000001_b-00000?.png"))


def test_a_finished_run_is_left_alone_and_says_so(base, data, tmp_path, capsys):
    settings = options(base, data, tmp_path, max_steps=1)
    trained(settings, data)
    before = (tmp_path / "control.safetensors").stat().st_mtime_ns
    trained(settings, data)
    assert "has its 1 steps already" in capsys.readouterr().out
    assert (tmp_path / "control.safetensors").stat().st_mtime_ns == before


def test_a_run_stopped_by_a_scheduler_says_so_and_fails(base, data, tmp_path, capsys):
    class Stopped(MyDataset):
        def __getitem__(self, index):
            if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:  # the run listens: training has begun
                os.kill(os.getpid(), signal.SIGTERM)
            return super().__getitem__(index)

    with pytest.raises(SystemExit) as stop:
        train(options(base, data, tmp_path), Stopped(data, "train"))
    assert stop.value.code == 143 and "the same command resumes" in capsys.readouterr().out


def test_the_resumable_checkpoint_holds_no_locked_weights(base, data, tmp_path):
    trained(options(base, data, tmp_path, max_steps=2), data)
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert saved["state_dict"] and all(name.startswith("control_model.") for name in saved["state_dict"])
    assert saved["global_step"] == 2


def test_a_run_is_resumed_with_other_held_out_maps_and_keeps_its_curve(base, data, tmp_path):
    def judge(pictures):
        return np.ones(pictures.shape[:3], np.uint8)

    settings = dict(measure_every=1, warmup_steps=0)
    trained(options(base, data, tmp_path, max_steps=1, measure_maps=1, **settings), data, judge)
    text = (tmp_path / "control_miou.csv").read_text().replace(",bottom", ",bottom,head", 1)
    (tmp_path / "control_miou.csv").write_text(text.rstrip("\n") + ",0.5\n")
    trained(options(base, data, tmp_path, max_steps=2, measure_maps=2, **settings), data, judge)
    with open(tmp_path / "control_miou.csv") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["1", "2"]


def test_a_damaged_checkpoint_or_another_learning_rate_is_refused(base, data, tmp_path):
    trained(options(base, data, tmp_path, max_steps=1), data)
    with pytest.raises(ValueError, match="was started with learning_rate=0.001, got learning_rate=0.0001"):
        trained(options(base, data, tmp_path, learning_rate=1e-4), data)
    whole = (tmp_path / "last.ckpt").read_bytes()
    for damaged in (b"", b"hello", whole[: len(whole) // 2]):
        (tmp_path / "last.ckpt").write_bytes(damaged)
        with pytest.raises(ValueError, match="last.ckpt is damaged: delete it"):
            trained(options(base, data, tmp_path), data)
    for other in (dict(global_step="one"), dict(global_step=1, state_dict={})):
        torch.save(other, tmp_path / "last.ckpt")
        with pytest.raises(ValueError, match="last.ckpt is damaged: delete it"):
            trained(options(base, data, tmp_path), data)
    (tmp_path / "last.ckpt").write_bytes(whole)
    shutil.copy(tmp_path / "control.safetensors", tmp_path / "control_best.safetensors")
    with pytest.raises(ValueError, match="control_best.safetensors is damaged or another's: delete it"):
        trained(options(base, data, tmp_path), data)


def test_weights_that_are_no_numbers_replace_no_good_ones(base, data, tmp_path):
    good = trained(options(base, data, tmp_path, max_steps=1), data)
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    next(iter(saved["state_dict"].values())).fill_(torch.nan)
    torch.save(saved, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match="no numbers any more at step 3"):
        trained(options(base, data, tmp_path), data)
    kept = read_state_dict(tmp_path / "control.safetensors")
    assert all(torch.equal(good[name], kept[name]) for name in good)


def test_a_run_killed_between_its_files_is_not_taken_for_finished(base, data, tmp_path, monkeypatch):
    def killed(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("learning.callbacks.checkpoints.write_weights", killed)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(options(base, data, tmp_path, max_steps=1), MyDataset(data, "train"))
    assert not (tmp_path / "last.ckpt").exists()


def test_a_takeover_that_nobody_would_see_is_not_waited_for(base, data, tmp_path):
    settings = options(base, data, tmp_path / "run", after_convergence="accumulate:4")
    with pytest.raises(ValueError, match="accumulate:4 needs held-out pictures .* no items of split val"):
        train(settings, MyDataset(data, "train"))
    assert not (tmp_path / "run").exists()
