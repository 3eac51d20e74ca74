"""The map's takeover is found where it is, and not where there is only noise."""

import json

import numpy as np
import pytest

from learning.callbacks.convergence import Convergence
from learning.options import TrainOptions, read_accumulation_after
from learning.takeover import advise, describe_takeover, find_takeover, find_takeover_in
from reporting.tables import read_rows, write_rows

# control mIoU of benchmarks/RESULTS.md: the demo's run, and two of the sweep's
DEMO = [0.137, 0.431, 0.613, 0.583, 0.633, 0.686]
SWEEP = [0.118, 0.119, 0.338, 0.392, 0.450]
DESTROYED = [0.118, 0.117, 0.083, 0.108, 0.061]


def found(values, scale=1.0):
    result = find_takeover(range(len(values)), values, scale)
    return result and (result.before, result.after)


def noise(num, sigma=0.05, seed=0):
    return np.random.default_rng(seed).normal(0, sigma, num)


@pytest.mark.parametrize("at", [1, 2, 10, 17])
def test_a_sudden_rise_is_found_where_it_is(at):
    values = noise(20) + 0.6 * (np.arange(20) >= at)
    assert found(values) == (at - 1, at)


def test_it_is_found_soon_after():
    values = noise(20) + 0.6 * (np.arange(20) >= 8)
    first = next(n for n in range(3, 21) if found(values[:n]))
    assert first <= 8 + 4


def test_noise_raises_an_alarm_in_less_than_one_run_in_fifty():
    """30 measurements, looked at after each; noise of up to a tenth of the way from floor to ceiling."""
    for sigma in (0.02, 0.05, 0.1):
        runs = [noise(30, sigma, seed) for seed in range(100)]
        alarms = sum(any(found(values[:n]) for n in range(3, 31)) for values in runs)
        assert alarms < 0.02 * len(runs)


def test_a_spike_is_no_takeover():
    values = noise(20)
    values[9] += 0.8
    assert not any(found(values[:n]) for n in range(3, 21))


def test_a_dip_afterwards_changes_nothing():
    values = noise(20) + 0.6 * (np.arange(20) >= 8)
    values[13] -= 0.5
    assert found(values) == (7, 8)


def test_a_slow_rise_is_told_as_slow():
    before, after = found(np.linspace(0, 1, 30) + noise(30, 0.03))
    assert after - before >= 5


def test_a_small_or_falling_step_is_none():
    assert found(noise(20, 0.001) + 0.1 * (np.arange(20) >= 8)) is None
    assert found(noise(20) - 0.6 * (np.arange(20) >= 8)) is None


def test_too_few_or_missing_numbers_are_no_evidence():
    assert found([0, 1]) is None and found([]) is None
    assert found([0, np.nan, 1, np.nan]) is None
    assert found([0, 1, 1, 1, 1, 1], scale=0) is None


def test_measured_runs_are_read_as_a_person_reads_them():
    assert found(DEMO, 0.81) == (0, 2)
    assert found(SWEEP, 0.83) == (1, 2)
    assert found(DESTROYED, 0.83) is None


def test_tables_of_a_run_tell_by_control_miou_or_else_by_the_gap(tmp_path):
    steps = range(0, 2000, 200)
    gaps = [dict(step=s, loss=f"{0.3 - 0.03 * (s > 900)}", gap=f"{0.03 * (s > 900)}") for s in steps]
    write_rows(tmp_path / "validation.csv", gaps, list(gaps[0]))
    gap = find_takeover_in(tmp_path)
    assert (gap.before, gap.after, gap.measure) == (800, 1000, "the gap in validation loss")
    rows = [dict(step=200 * i, miou=v, floor=0.137, ceiling=0.947) for i, v in enumerate(DEMO) if i]
    write_rows(tmp_path / "control_miou.csv", rows, list(rows[0]))
    miou = find_takeover_in(tmp_path)
    assert (miou.before, miou.after, miou.measure) == (0, 400, "control mIoU")
    told = "(on average, control mIoU was 0.137 before and 0.589 after)"
    assert f"between steps 0 and 400 {told}" in describe_takeover(vars(miou))
    assert find_takeover_in(tmp_path / "none") is None


class Trainer:
    """As much of Lightning's as the callback sees."""

    is_global_zero, accumulate_grad_batches, global_step = True, 2, 0

    def __init__(self):
        self.strategy = self.fit_loop = self.epoch_loop = self.batch_progress = self.current = self
        self.ready = 0

    def broadcast(self, value):
        return value


def run_to(callback, trainer, batches):
    """Micro-batches up to the last one of `batches`; a step ends every accumulate_grad_batches."""
    for batch in range(trainer.ready, batches):
        trainer.ready = batch + 1
        trainer.global_step += trainer.ready % trainer.accumulate_grad_batches == 0
        callback.on_train_batch_end(trainer, None, None, None, batch)


@pytest.fixture
def run(tmp_path):
    rows = [dict(step=i, miou=v, floor=0.137, ceiling=0.947) for i, v in enumerate(DEMO) if i]
    write_rows(tmp_path / "control_miou.csv", rows[:4], list(rows[0]))
    return tmp_path


def options(run, **changes):
    return TrainOptions(**dict(run=str(run), accumulate=2, measure_every=5) | changes)


def test_the_switch_waits_for_a_whole_window_and_is_resumed(run, capsys):
    settings = options(run, after_convergence="accumulate:8")
    callback, trainer = Convergence(settings), Trainer()
    (run / "control_miou.csv").rename(run / "later.csv")
    callback.on_train_start(trainer, None)
    (run / "later.csv").rename(run / "control_miou.csv")
    run_to(callback, trainer, 10)  # step 5 ends in the middle of a window of 8
    assert "took over between steps 0 and 2" in capsys.readouterr().out
    assert trainer.accumulate_grad_batches == 2
    stopped = callback.state_dict()
    run_to(callback, trainer, 16)
    assert trainer.accumulate_grad_batches == 8 and trainer.global_step == 8
    assert "step 8: from here on 8 micro-batches a step" in capsys.readouterr().out
    assert json.loads((run / "convergence.json").read_text())["accumulate_from"] == 8
    for state, ready, expected in ((stopped, 10, 2), (callback.state_dict(), 16, 8)):
        again, trainer = Convergence(settings), Trainer()
        again.load_state_dict(state)
        trainer.ready, trainer.global_step = ready, 5 if ready == 10 else 8
        again.on_train_start(trainer, None)
        assert trainer.accumulate_grad_batches == expected
        run_to(again, trainer, 16)
        assert trainer.accumulate_grad_batches == 8


def test_without_an_action_the_option_to_use_is_printed_once(run, capsys):
    callback, trainer = Convergence(options(run)), Trainer()
    callback.on_train_start(trainer, None)
    run_to(callback, trainer, 40)
    assert capsys.readouterr().out.count(advise(2)) == 1 and "accumulate:8" in advise(2)
    assert read_accumulation_after(options(run, after_convergence="accumulate:8")) == 8
    assert trainer.accumulate_grad_batches == 2


def test_a_run_resumed_before_its_takeover_forgets_it(run):
    (run / "convergence.json").write_text("{}")
    write_rows(run / "control_miou.csv", read_rows(run / "control_miou.csv")[:1], ["step", "miou"])
    Convergence(options(run)).on_train_start(Trainer(), None)
    assert not (run / "convergence.json").exists()


def test_windows_that_do_not_fit_into_one_another_are_refused(run):
    with pytest.raises(ValueError, match="accumulate:7 must be a multiple of accumulate=2, 8 say"):
        Convergence(options(run, after_convergence="accumulate:7"))
