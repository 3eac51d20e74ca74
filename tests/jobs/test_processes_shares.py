"""However many processes share a step, it takes the same pictures with the same noise; so do later ones."""

import json

import pytest
import torch

from ldm.checkpoint import read_state_dict
from learning.options import TrainOptions
from learning.train import train
from reporting.tables import read_rows
from small_data import TALL, WIDE, write_base, write_items
from small_processes import THREE, TWO, started
from tutorial_dataset import MyDataset

STEPS = 3  # of 6 pictures, of which an epoch has two, one of each size


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    """Of a run on pictures of two sizes, all of whose draws depend on chance."""
    base, data = (tmp_path_factory.mktemp(name) for name in ("base", "data"))
    write_base(base), write_items(data, [WIDE, TALL] * 6)
    files = dict(base=f"{base}/ini.safetensors", model=f"{base}/small.yaml", data=str(data))
    draws = dict(flip=True, prompt_dropout=0.5, hint_dropout=0.3, learning_rate=1e-3)
    return files | draws | dict(precision="32-true", workers=0, image_log_every=0)


def trained_in(launcher, options, run, **shares):
    """What the processes of a launcher said that shared the steps of a run."""
    config = run.with_suffix(".yaml")
    config.write_text(json.dumps(options | shares | dict(run=str(run), max_steps=STEPS)))
    process = started([*launcher, "tests/helpers/killed_rank.py", "--config", config], KILLED="")
    said = process.communicate()[0]
    assert process.returncode == 0, said
    return said


def trained_here(options, run, max_steps, **shares):
    train(TrainOptions(run=str(run), max_steps=max_steps, **options, **shares), MyDataset(options["data"]))


def test_one_two_and_three_processes_take_the_same_steps_also_when_they_take_turns(options, tmp_path):
    one, two, turns = (tmp_path / name for name in ("one", "two", "turns"))
    trained_here(options, one, STEPS, batch_size=2, accumulate=3)
    trained_in(TWO, options, two, batch_size=3)
    trained_here(options, turns, 1, batch_size=6)
    said = trained_in(THREE, options, turns, batch_size=1, effective_batch=6)
    assert f"resuming {turns} at step 1" in said and "changed since" not in said and "next epoch" not in said
    tables = [read_rows(run / "metrics.csv") for run in (one, two, turns)]
    assert [len(table) for table in tables] == [STEPS] * 3
    for rows in zip(*tables, strict=True):
        assert len({(row["step"], row["pictures"]) for row in rows}) == 1
        first, *others = (float(row["loss"]) for row in rows)
        assert others == pytest.approx([first] * 2, rel=1e-5)
    before = read_state_dict(options["base"])
    learned = [
        torch.cat([(tensor - before[name]).flatten() for name, tensor in sorted(state.items())])
        for state in (read_state_dict(run / "control.safetensors") for run in (one, two, turns))
    ]
    # AdamW's first steps are the gradient's sign, which round-off turns where there is hardly any
    assert all((other - learned[0]).norm() < 0.05 * learned[0].norm() for other in learned[1:])
