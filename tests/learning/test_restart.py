"""A run that failed: what starts again, with other options or the same, is not mixed up with it."""

import numpy as np
import pytest
import torch

from cldm.cldm import ControlLDM
from jobs.whole_files import alone_in
from ldm.checkpoint import read_metadata
from ldm.modules.diffusionmodules.util import ROW_SEED
from learning.options import TrainOptions
from learning.resuming import keep_place
from learning.train import train
from reporting.strips import forget_pictures_after
from reporting.tables import read_rows
from small_data import ENCODER, WIDE, write_base, write_items
from tutorial_dataset import MyDataset


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base, data = tmp_path_factory.mktemp("base"), tmp_path_factory.mktemp("data")
    write_items(data, [WIDE] * 8, split="train")
    return write_base(base), write_items(data, [WIDE], start=8, split="val")


def trained(folders, run, **changes):
    """Train, measured by a judge that finds less and less of the maps."""
    base, data = folders
    given = dict(run=str(run), data=str(data), model=f"{base}/small.yaml", base=f"{base}/ini.safetensors")
    given |= dict(batch_size=2, workers=0, precision="32-true", image_log_every=1, sampling_steps=1)
    given |= dict(learning_rate=1e-3, checkpoint_every=100, measure_every=1, measure_maps=1, max_steps=3)
    seen = iter(range(64, 0, -8))

    def judge(pictures):
        ids = np.zeros(pictures.shape[:3], np.uint8)
        ids[:, : next(seen)] = 1
        return ids

    train(TrainOptions(**given | changes), MyDataset(data, "train"), MyDataset(data, "val"), ENCODER, judge)


def failing_at(monkeypatch, step, error, original=ControlLDM.training_step):
    def training_step(self, batch, batch_idx):
        if self.global_step == step:
            raise error
        return original(self, batch, batch_idx)

    monkeypatch.setattr(ControlLDM, "training_step", training_step)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("target/3.png is no picture"), "target/3.png is no picture"),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
            "out of memory at batch_size=2 .*Tried to allocate 2 GiB.*: lower batch_size and raise",
        ),
    ],
)
def test_a_run_that_saved_nothing_starts_again_with_other_options(
    folders, tmp_path, monkeypatch, capsys, error, said
):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        failing_at(patch, 2, error)
        with pytest.raises(ValueError, match=said):
            trained(folders, run)
    assert "the run has failed; once the cause is mended, start it again" in capsys.readouterr().out
    trained(folders, run, learning_rate=1e-4, sd_locked=False, max_steps=1, accumulate=2, batch_size=1)
    out = capsys.readouterr().out
    assert f"starting {run}" in out and "changed since" not in out
    for name in ("metrics", "validation", "control_miou"):
        assert (run / f"{name}.csv").read_text().splitlines()[-1].startswith("1,2,")
    assert {path.name for path in (run / "samples").glob("step_*")} == {"step_000001.png"}
    assert {path.name.split("_gs-")[1][:6] for path in run.glob("image_log/*/*.png")} == {"000001"}
    best, newest = (read_metadata(run / f"control{name}.safetensors") for name in ("_best", ""))
    assert best["options"] == newest["options"] and best["options"]["learning_rate"] == 1e-4


def test_options_of_a_failed_start_are_not_taken_for_the_checkpoints(folders, tmp_path, monkeypatch, capsys):
    trained(folders, tmp_path, max_steps=1)
    with monkeypatch.context() as patch:
        failing_at(patch, 1, torch.OutOfMemoryError("CUDA out of memory"))
        with pytest.raises(ValueError, match="out of memory at batch_size=4"):
            trained(folders, tmp_path, batch_size=4)
    assert "so that it goes on otherwise: pictures of a step 2 -> 4" in capsys.readouterr().out
    trained(folders, tmp_path, max_steps=2)
    assert "changed since" not in capsys.readouterr().out
    trained(folders, tmp_path, batch_size=4)
    assert "so that it goes on otherwise: pictures of a step 2 -> 4" in capsys.readouterr().out
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert saved["options"]["batch_size"] == 4


@pytest.fixture
def taken(monkeypatch, original=ControlLDM.training_step):
    """(step, epoch, a number of each picture's map, seeds) of each micro-batch from here on."""
    taken = []

    def training_step(self, batch, batch_idx):
        hints = [hint.sum().item() for hint in batch["hint"]]
        taken.append((self.global_step, self.current_epoch, hints, batch[ROW_SEED]))
        return original(self, batch, batch_idx)

    monkeypatch.setattr(ControlLDM, "training_step", training_step)
    return taken


def test_with_other_steps_none_is_short_and_no_picture_is_seen_twice(folders, tmp_path, taken, capsys):
    trained(folders, tmp_path, accumulate=2, max_steps=1)
    taken.clear()
    trained(folders, tmp_path, max_steps=5, accumulate=1)
    assert "a step takes 2 pictures, 4 before: the next epoch begins" in capsys.readouterr().out
    assert [at for at, *_ in taken] == [1, 2, 3, 4] and {len(hints) for _, _, hints, _ in taken} == {2}
    first = [hint for _, _, hints, _ in taken for hint in hints]
    assert len(set(first)) == len(first) == 8 and taken[0][1] == 1  # each has a map of its own
    rows = [line.split(",")[:2] for line in (tmp_path / "metrics.csv").read_text().splitlines()[1:]]
    assert [int(seen) for _, seen in rows] == [4, 6, 8, 10, 12]


def test_with_other_micro_batches_of_the_same_steps_a_run_goes_on_as_if_it_had_not_been_stopped(
    folders, tmp_path, taken, capsys
):
    options = dict(image_log_every=0, measure_every=100, prompt_dropout=0.5)
    trained(folders, tmp_path / "whole", batch_size=1, accumulate=2, max_steps=7, **options)
    whole = taken.copy()
    taken.clear()
    for batch_size, accumulate, stop in ((1, 2, 1), (2, 1, 4), (1, 2, 6), (2, 1, 7)):  # 4 end an epoch
        shares = dict(batch_size=batch_size, accumulate=accumulate)
        trained(folders, tmp_path / "parts", max_steps=stop, **shares, **options)
    said = capsys.readouterr().out
    assert "changed since" not in said and "next epoch" not in said

    def by_step(taken):
        steps = {}
        for step, epoch, *lists in taken:
            kept = steps.setdefault(step, (epoch, [], []))
            for one, more in zip(kept[1:], lists, strict=True):
                one += more
        return steps

    assert by_step(taken) == by_step(whole) and [epoch for epoch, *_ in by_step(whole).values()][-1] == 1
    tables = [read_rows(tmp_path / run / "metrics.csv") for run in ("whole", "parts")]
    for ours, theirs in zip(*tables, strict=True):
        assert ours["pictures"] == theirs["pictures"]
        assert float(ours["loss"]) == pytest.approx(float(theirs["loss"]), rel=1e-4)


def test_a_place_in_the_order_and_the_steps_after_a_takeover_are_counted_in_pictures():
    counts = dict(ready=6, started=6, processed=6, completed=5)
    progress = dict(total=counts | dict(ready=18), current=dict(counts), is_last_batch=False)
    loops = {"epoch_loop.batch_progress": progress}
    loops["state_dict"] = dict(combined_loader=[dict(epoch=1, position=6)])
    checkpoint = dict(loops=dict(fit_loop=loops), callbacks=dict(Convergence=dict(found=dict(accumulate=6))))
    keep_place(checkpoint, row=6, row_before=4)
    assert progress["current"] == dict(ready=4, started=4, processed=4, completed=3)
    assert progress["total"] == dict(ready=12, started=12, processed=12, completed=11)
    assert loops["state_dict"]["combined_loader"] == [dict(epoch=1, position=4)]
    assert checkpoint["callbacks"]["Convergence"]["found"] == dict(accumulate=4)


def test_pictures_beyond_a_step_are_forgotten_and_a_persons_files_are_not(tmp_path):
    names = "samples/step_000001.png samples/step_1000000.png samples/step_best.png samples/maps.png"
    names += " image_log/train/control_gs-000003_e-000000_b-000001.png image_log/train/notes.png"
    for name in names.split():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    forget_pictures_after(tmp_path, 2)
    kept = {path.name for path in tmp_path.rglob("*.png")}
    assert kept == {"step_000001.png", "step_best.png", "maps.png", "notes.png"}


def test_a_run_that_another_process_trains_is_refused_and_left_alone(folders, tmp_path):
    trained(folders, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with alone_in(tmp_path), pytest.raises(ValueError, match="is being trained by another process: wait"):
        trained(folders, tmp_path, max_steps=4)
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
    trained(folders, tmp_path, max_steps=4)
    assert read_metadata(tmp_path / "control.safetensors")["step"] == "4"
