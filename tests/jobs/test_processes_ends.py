"""Runs of two processes end, in any way, so that the same command goes on."""

import sys

import pytest

from ldm.checkpoint import read_state_dict
from learning.verified_files import are_equal
from small_data import TALL, WIDE, write_base, write_items
from small_processes import TWO, started


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    """Of a run of two processes on pictures of two sizes, as the command line takes them."""
    base, data = (tmp_path_factory.mktemp(name) for name in ("base", "data"))
    write_base(base), write_items(data, [WIDE, TALL] * 5)
    small = "batch_size=1 accumulate=2 learning_rate=1e-3 flip=true precision=32-true devices=2 strategy=ddp"
    small += " workers=0 image_log_every=0 checkpoint_every=1 segmenter="
    return [*small.split(), f"base={base}/ini.safetensors", f"model={base}/small.yaml", f"data={data}"]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [TWO, [sys.executable]])
def test_two_processes_are_one_run_that_resumes_exactly_even_if_one_was_killed(options, tmp_path, launcher):
    def said(run, steps, killed="", code=0):
        script = ["tests/helpers/killed_rank.py", *options, f"run={tmp_path / run}", f"max_steps={steps}"]
        process = started([*launcher, *script], KILLED=killed)
        text = process.communicate()[0]
        assert process.returncode == code, text
        assert text.count(f"trained to step {steps}") == (not code), text
        return text

    said("whole", 3)
    text = said("parts", 3, killed="1", code=1)  # amid step 3
    assert "error: another process of this run has ended" in text
    assert f"the same command resumes {tmp_path / 'parts'} from its last checkpoint" in text
    assert f"resuming {tmp_path / 'parts'} at step 2" in said("parts", 3)
    whole, parts = (read_state_dict(tmp_path / run / "control.safetensors") for run in ("whole", "parts"))
    assert are_equal(whole, parts)
