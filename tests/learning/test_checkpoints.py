"""What a run leaves on the disk: checked when it is written, the best kept, and told where it is from."""

import subprocess
from types import SimpleNamespace

import pytest
import torch

import learning.verified_files
from cldm.average import WeightAverage
from jobs.code_commit import ROOT, code_commit
from ldm.checkpoint import CheckpointError, read_metadata, read_state_dict
from learning.callbacks.checkpoints import Checkpoints
from learning.callbacks.stopping import RunStopped
from learning.options import TrainOptions
from learning.run_metadata import collect_metadata
from learning.verified_files import VerifiedIO, are_equal, write_weights
from pictures.hint import HintEncoder
from pictures.regions import REGIONS_FILE
from small import small_model

STATE = dict(a=torch.arange(6.0), b=torch.tensor(True))


def test_equal_means_to_the_bit():
    nest = dict(a=[torch.tensor([0.0, torch.nan])], b=(1, "x"), c=torch.nan)
    assert are_equal(nest, dict(a=[torch.tensor([0.0, torch.nan])], b=(1, "x"), c=torch.nan))
    assert not are_equal(nest, nest | dict(a=[torch.tensor([-0.0, torch.nan])]))
    assert not are_equal(STATE, STATE | dict(a=STATE["a"].double()))
    assert not are_equal(STATE, dict(a=STATE["a"])) and not are_equal(nest, nest | dict(b=[1, "x"]))
    assert are_equal(STATE, STATE | dict(a=STATE["a"][:, None].T[0]))


def flipped(read):
    def read_wrongly(*arguments, **options):
        content = read(*arguments, **options)
        return content | dict(a=content["a"] + 1)

    return read_wrongly


def test_a_file_that_reads_back_otherwise_leaves_the_former(tmp_path, monkeypatch):
    weights, last = tmp_path / "control.safetensors", tmp_path / "last.ckpt"
    write_weights(STATE, weights, dict(step="1"))
    VerifiedIO().save_checkpoint(STATE, last)
    before = weights.read_bytes(), last.read_bytes()
    monkeypatch.setattr(learning.verified_files, "read_state_dict", flipped(read_state_dict))
    monkeypatch.setattr(torch, "load", flipped(torch.load))
    with pytest.raises(CheckpointError, match="control.safetensors was read back other .* former one stays"):
        write_weights(STATE, weights, dict(step="2"))
    with pytest.raises(CheckpointError, match="last.ckpt was read back other"):
        VerifiedIO().save_checkpoint(STATE, last)
    assert (weights.read_bytes(), last.read_bytes()) == before
    assert len(list(tmp_path.iterdir())) == 2


def callback(run, signum=0, at=0, **options):
    """Checkpoints of a run that begins `at` a step, what they see of a Trainer, and the small model."""
    options = TrainOptions(run=str(run), max_steps=9, **dict(checkpoint_every=100) | options)
    trainer = SimpleNamespace(global_step=at, world_size=1, is_global_zero=True, callback_metrics={})
    trainer.fit_loop = SimpleNamespace(
        epoch_loop=SimpleNamespace(total_batch_idx=11),
        epoch_progress=SimpleNamespace(current=SimpleNamespace(started=1, processed=0)),
    )
    trainer.save_checkpoint = lambda path, weights_only: path.write_bytes(b"state")
    model = small_model()
    made = Checkpoints(run, options, dict(config="a.yaml"), SimpleNamespace(asked=lambda: signum))
    made.on_train_start(trainer, model)
    return made, trainer, model


def step(made, trainer, model, number, miou=None):
    trainer.global_step = number
    trainer.callback_metrics |= {} if miou is None else dict(control_miou=torch.tensor(miou))
    made.on_train_batch_end(trainer, model, None, None, None)


def test_the_best_is_kept_when_later_ones_are_worse_and_after_a_resumption(tmp_path):
    best = tmp_path / "control_best.safetensors"
    given = callback(tmp_path)
    for number, miou in ((1, None), (2, 0.3), (3, None), (4, 0.5), (5, 0.4)):
        step(*given, number, miou)
    metadata = read_metadata(best)
    assert (metadata["step"], metadata["control_miou"], metadata["pictures"]) == ("4", "0.500000", "48")
    resumed = callback(tmp_path, at=5)
    step(*resumed, 6, 0.45)
    assert read_metadata(best)["step"] == "4"
    step(*resumed, 7, 0.6)
    assert read_metadata(best)["step"] == "7"


def test_the_best_of_try_on_is_that_of_the_highest_detail(tmp_path):
    made, trainer, model = callback(tmp_path)
    model.published = "tryon"
    for number, detail in ((1, -0.1), (2, 0.4), (3, 0.3)):
        trainer.callback_metrics["garment_detail"] = torch.tensor(detail)
        step(made, trainer, model, number)
    metadata = read_metadata(tmp_path / "tryon_best.safetensors")
    assert (metadata["step"], metadata["garment_detail"]) == ("2", "0.400000")


def test_kept_ones_come_by_their_own_rule_and_a_stop_is_saved(tmp_path):
    made, trainer, model = callback(tmp_path, keep_every=2, checkpoint_every=3)
    for number in (1, 2, 3, 4, 5):
        step(made, trainer, model, number)
    kept = {"control", "control_step_000002", "control_step_000004"}
    assert {path.stem for path in tmp_path.glob("*.safetensors")} == kept
    assert read_metadata(tmp_path / "control.safetensors")["step"] == "4"
    stopped = callback(tmp_path, signum=15)
    with pytest.raises(RunStopped, match="SIGTERM at step 5, which is saved"):
        step(*stopped, 5)
    assert read_metadata(tmp_path / "control.safetensors")["step"] == "5"


def test_the_average_is_what_is_published_and_the_model_keeps_its_weights(tmp_path):
    made, trainer, model = callback(tmp_path, keep_every=1)
    model.average = WeightAverage(model, 0.9)
    for shadow in model.average.shadow:
        shadow.add_(1.0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    step(made, trainer, model, 1)
    published = read_state_dict(tmp_path / "control.safetensors")
    assert published and all(torch.equal(before[name] + 1, value) for name, value in published.items())
    assert are_equal(before, dict(model.state_dict()))


def test_what_a_killed_run_left_unfinished_is_removed_at_the_next_start(tmp_path):
    (tmp_path / ".control.safetensors.x1").mkdir()
    (tmp_path / ".control.safetensors.x1" / "control.safetensors").write_bytes(b"half")
    (tmp_path / ".last.ckpt").write_bytes(b"whole, but its weights were not published")
    (tmp_path / "last.ckpt").write_bytes(b"former")
    callback(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_disk_with_little_room_is_told_of_at_the_start(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=2**20))
    callback(tmp_path)
    assert "0.0 GiB of the disk are free, checkpoints may take" in capsys.readouterr().out


def test_metadata_say_what_prompts_were_made_of_and_which_code_ran(monkeypatch, tmp_path):
    lines = [dict(prompt="a red top", captions=dict(words="a red top", garments="a top"))] * 2
    lines += [dict(prompt="a top", captions=dict(words="", garments="a top")), dict(prompt="x")]
    metadata = collect_metadata(TrainOptions(prompt_dropout=0.3), HintEncoder.from_file(REGIONS_FILE), lines)
    assert metadata["prompt_policy"] == dict(prompt_dropout=0.3, captions=dict(words=2, garments=1, other=1))
    assert metadata["hint"]["colours"] and metadata["options"]["prompt_dropout"] == 0.3
    assert metadata["torch"] == torch.__version__
    if (ROOT / ".git").exists():
        head = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True)
        assert metadata["git_commit"].removesuffix("-dirty") == head.stdout.strip()
    monkeypatch.setattr("jobs.code_commit.ROOT", tmp_path)
    assert code_commit() == "" and "git_commit" not in collect_metadata(TrainOptions())
