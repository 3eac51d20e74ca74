"""Several processes, started by torchrun or by Lightning, train as one run."""

import os
import sys

import pytest
import torch
from PIL import Image
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from jobs.ranks import explain_lost_process, gathered, part_of
from learning.build import make_trainer
from learning.options import TrainOptions
from learning.verified_files import are_equal
from reporting.tables import read_rows
from small_data import TALL, WIDE, write_base, write_items
from small_processes import TWO, started
from sources import ROOT


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Weights of the small model, pictures of one size, and of two."""
    base, data, mixed = (tmp_path_factory.mktemp(name) for name in ("base", "data", "mixed"))
    return write_base(base), write_items(data, [WIDE] * 8), write_items(mixed, [WIDE, TALL] * 5)


def launched(monkeypatch, started, nodes):
    """As in one of the processes of a machine of torchrun's."""
    variables = dict(LOCAL_WORLD_SIZE=started, WORLD_SIZE=started * nodes, RANK=0, LOCAL_RANK=0)
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(torch.distributed, "is_torchelastic_launched", lambda: True)
    given = {}
    monkeypatch.setattr("learning.build.pl.Trainer", lambda **options: given.update(options))
    return given


@pytest.mark.parametrize(("processes", "nodes"), [(1, 1), (2, 1), (2, 4)])
def test_the_trainer_expects_the_processes_that_torchrun_started(monkeypatch, tmp_path, processes, nodes):
    given = launched(monkeypatch, processes, nodes)
    make_trainer(TrainOptions(run=str(tmp_path)), [])
    assert (given["devices"], given["num_nodes"], given["strategy"]) == (processes, nodes, "auto")
    make_trainer(TrainOptions(run=str(tmp_path), devices=processes, num_nodes=nodes), [])
    with pytest.raises(ValueError, match=f"devices=7, but torchrun has started {processes}"):
        make_trainer(TrainOptions(run=str(tmp_path), devices=7), [])


def test_without_torchrun_devices_machines_and_strategy_are_as_asked(monkeypatch):
    given = {}
    monkeypatch.setattr("learning.build.pl.Trainer", lambda **options: given.update(options))
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    make_trainer(TrainOptions(devices=4, num_nodes=2, strategy="ddp"), [])
    assert (given["devices"], given["num_nodes"], given["strategy"]) == (4, 2, "ddp")
    make_trainer(TrainOptions(), [])
    assert given["devices"] == "auto"


def test_what_the_machine_or_lightning_cannot_start_is_refused_by_the_option(monkeypatch):
    monkeypatch.setattr("torch.accelerator.device_count", lambda: 0)
    many = os.cpu_count() + 1
    with pytest.raises(ValueError, match=f"devices={many}: .* {os.cpu_count()} cores"):
        make_trainer(TrainOptions(devices=many), [])

    def refused(**options):
        raise MisconfigurationException("no DeepSpeed is installed")

    monkeypatch.setattr("learning.build.pl.Trainer", refused)
    with pytest.raises(ValueError, match="devices=1 strategy=deepspeed: no DeepSpeed"):
        make_trainer(TrainOptions(devices=1, strategy="deepspeed"), [])


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed"), True),
        (torch.distributed.DistBackendError("NCCL error: unhandled system error"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_the_loss_of_another_process_is_told_in_a_line_and_other_errors_stay(error, told):
    with pytest.raises(ChildProcessError if told else RuntimeError) as caught, explain_lost_process():
        raise error
    assert ("another process of this run has ended" in str(caught.value)) == told


def test_one_process_shares_with_nobody():
    assert part_of([1, 2, 3]) == gathered([1, 2, 3]) == [1, 2, 3]


@pytest.fixture(scope="module")
def ranks(folders, tmp_path_factory):
    """What two_ranks.py left and said, two processes that accumulate 2 and one that accumulates 4."""
    base, data, mixed = folders
    two, one = (tmp_path_factory.mktemp(name) for name in ("two", "one"))
    script = ROOT / "tests" / "helpers" / "two_ranks.py"
    processes = [
        started([*TWO, script, base, data, mixed, two, 2, 9]),
        started([sys.executable, script, base, data, mixed, one, 4, 1]),
    ]
    said = [process.communicate()[0] for process in processes]
    print(*said)
    assert [process.returncode for process in processes] == [1, 0]  # of torchrun after a signal, and of one
    return two, one, said[0]


def load(path):
    return torch.load(path, weights_only=True)


def test_two_processes_that_accumulate_2_make_the_step_of_one_that_accumulates_4(ranks):
    two, one, _ = ranks
    first, second, together = (load(path / f"gradients_{i}.pt") for path, i in ((two, 0), (two, 1), (one, 0)))
    assert are_equal(first, second) and first.keys() == together.keys()
    ours, theirs = (load(path / "weights_0_1.pt") for path in (two, one))
    for name, gradient in first.items():
        # a bias that a norm takes out again has a gradient of nothing but round-off
        error = (gradient - together[name]).norm()
        assert error < 1e-5 * together[name].norm() + 1e-7, (name, float(error))
        # AdamW's first step is the gradient's sign, which round-off may turn where there is hardly any
        there = together[name].abs() > 1e-6
        name = name.removeprefix("control_model.")
        assert torch.allclose(ours[name][there], theirs[name][there], rtol=0, atol=1e-5), name


def test_two_processes_measure_together_what_one_measures(ranks):
    rows = [
        [read_rows(path / "run_0" / f"{name}.csv") for name in ("control_miou", "validation")]
        for path in ranks[:2]
    ]
    for two, one in zip(*rows, strict=True):
        two = two[: len(one)]  # of step 1 at last
        assert [row["step"] for row in one] == [row["step"] for row in two] and one[-1]["step"] == "1"
        for column in one[0]:
            ours, theirs = ([float(row[column]) for row in table] for table in (two, one))
            assert ours == pytest.approx(theirs, abs=1e-3), column
        assert "miou" not in one[0] or 0.05 < float(one[0]["miou"]) < 0.95


def test_a_bad_loss_of_one_process_and_a_signal_to_one_are_minded_by_all(ranks):
    two, _, said = ranks
    assert said.count("The step is skipped (1 so far") == 1
    assert "step 2: the gradient of control_model." in said and "the loss is nan for " in said
    assert "stopped by SIGTERM at step 3, which is saved" in said
    last = load(two / "run_0" / "last.ckpt")
    assert last["global_step"] == 3 and last["callbacks"]["Gradients"] == dict(bad_steps=1)
    weights = load(two / "weights_0_3.pt")
    assert are_equal(weights, load(two / "weights_1_3.pt"))
    assert all(value.isfinite().all() for value in weights.values())


def test_only_rank_0_writes_and_its_image_log_has_the_pictures_of_both(ranks):
    two, _, _ = ranks
    assert not (two / "run_1").exists()
    log = list((two / "run_0" / "image_log" / "train").glob("control_gs-000001*.png"))
    with Image.open(log[0]) as picture:
        assert len(log) == 1 and picture.size == (4 * 64, 64)  # batches of 2


def test_what_is_shared_among_processes_comes_back_in_order(ranks):
    assert all(all(load(ranks[0] / f"parts_{rank}.pt")) for rank in (0, 1))
