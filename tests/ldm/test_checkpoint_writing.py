"""Writing is all or nothing: a checkpoint is there, complete, or the old one still is."""

import errno
import json
import os
import shutil

import pytest
import torch

from jobs.whole_files import write_atomically
from ldm.checkpoint import CheckpointError, read_state_dict, write_state_dict


def test_an_existing_file_is_refused_unless_told(tmp_path):
    path = tmp_path / "out.ckpt"
    write_state_dict({"w": torch.zeros(1)}, path)
    with pytest.raises(FileExistsError, match="exists already"):
        write_state_dict({"w": torch.ones(1)}, path)
    assert read_state_dict(path)["w"] == 0
    write_state_dict({"w": torch.ones(1)}, path, overwrite=True)
    assert read_state_dict(path)["w"] == 1


def test_outputs_that_cannot_be_are_refused_before_the_work(tmp_path):
    with pytest.raises(CheckpointError, match="ends in .ckpt or .safetensors"):
        write_state_dict({"w": torch.zeros(2)}, tmp_path / "out.bin")
    with pytest.raises(FileNotFoundError, match="missing does not exist: make it first"):
        write_state_dict({"w": torch.zeros(2)}, tmp_path / "missing" / "out.ckpt")


def test_a_bare_file_name_is_a_file_in_this_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_state_dict({"w": torch.zeros(2)}, "out.ckpt")
    assert read_state_dict("out.ckpt")["w"].tolist() == [0, 0]


def test_a_read_only_folder_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    if os.access(tmp_path, os.W_OK):
        pytest.skip("the superuser may write anywhere")
    with pytest.raises(PermissionError, match="not writable"):
        write_state_dict({"w": torch.zeros(2)}, tmp_path / "out.ckpt")


def test_a_full_disk_is_seen_before_writing(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1))
    with pytest.raises(CheckpointError, match="the disk is full"):
        write_state_dict({"w": torch.zeros(2)}, tmp_path / "out.ckpt")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("unexpected pos")]
)
def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, error):
    path = tmp_path / "out.ckpt"
    write_state_dict({"w": torch.zeros(1)}, path)

    def fail(state, temporary):
        temporary.write_text("half")
        raise error

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(CheckpointError, match="could not be written, nothing was left"):
        write_state_dict({"w": torch.ones(1)}, path, overwrite=True)
    monkeypatch.undo()
    assert read_state_dict(path)["w"] == 0
    assert list(tmp_path.iterdir()) == [path]


def test_a_writer_that_is_interrupted_leaves_nothing(tmp_path):
    def writer(temporary):
        temporary.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a.json", writer)
    assert not list(tmp_path.iterdir())
    write_atomically(tmp_path / "a.json", lambda temporary: temporary.write_text(json.dumps([1])))
    assert json.loads((tmp_path / "a.json").read_text()) == [1]


@pytest.mark.parametrize("name", ["out.ckpt", "out.safetensors"])
def test_a_checkpoint_is_as_readable_for_others_as_any_file(tmp_path, name):
    (tmp_path / "any").touch()
    write_state_dict({"w": torch.zeros(2)}, tmp_path / name)
    assert (tmp_path / name).stat().st_mode == (tmp_path / "any").stat().st_mode
