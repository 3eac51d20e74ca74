"""Checkpoint files: what goes in comes out, nothing is executed, and every bad file gets one clear line."""

import json
import pickle
import struct
import zipfile
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ldm.checkpoint import CheckpointError, read_metadata, read_state_dict, write_state_dict

DEEP = "[" * 100_000


def tensors():
    torch.manual_seed(0)
    return {
        "a.weight": torch.randn(3, 4),
        "a.half": torch.randn(5).half(),
        "a.brain": torch.randn(2, 2).bfloat16(),
        "steps": torch.tensor(7),
        "position_ids": torch.arange(77)[None],
        "empty": torch.zeros(0, 3),
    }


def assert_same(got, expected):
    assert list(got) == list(expected) or set(got) == set(expected)
    for name, tensor in expected.items():
        assert got[name].dtype == tensor.dtype and torch.equal(got[name], tensor), name


@pytest.mark.parametrize("suffix", [".ckpt", ".pth", ".safetensors"])
def test_what_is_written_is_read(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    write_state_dict(tensors(), path)
    assert_same(read_state_dict(path), tensors())
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_written_ckpt_is_a_bare_state_dict_for_anyone(tmp_path):
    write_state_dict(tensors(), tmp_path / "model.ckpt", metadata={"ignored": "in this format"})
    assert_same(torch.load(tmp_path / "model.ckpt", weights_only=True), tensors())


def test_metadata_travels_in_safetensors_and_is_read_from_lightning_files(tmp_path):
    metadata = {
        "title": "tiny",
        "regions": {"names": ["top", "head"], "colours": [[255, 0, 0]]},
        "tags": ["1"],
    }
    write_state_dict(tensors(), tmp_path / "model.safetensors", metadata)
    assert read_metadata(tmp_path / "model.safetensors") == metadata
    torch.save({"state_dict": tensors(), "metadata": metadata}, tmp_path / "last.ckpt")
    assert read_metadata(tmp_path / "last.ckpt") == metadata
    write_state_dict(tensors(), tmp_path / "bare.ckpt")
    assert read_metadata(tmp_path / "bare.ckpt") == {}


@pytest.mark.parametrize("name", ["model.ckpt", "model.safetensors"])
def test_reading_maps_the_file_instead_of_copying_it(tmp_path, name):
    if not Path("/proc/self/maps").exists():
        pytest.skip("needs /proc")
    write_state_dict(tensors(), tmp_path / name)
    state = read_state_dict(tmp_path / name)
    assert str(tmp_path / name) in Path("/proc/self/maps").read_text()
    del state


@pytest.mark.parametrize("name", ["model.ckpt", "model.safetensors"])
def test_a_file_is_recognised_by_its_content(tmp_path, name):
    other = {"model.ckpt": "x.safetensors", "model.safetensors": "x.ckpt"}[name]
    write_state_dict(tensors(), tmp_path / name)
    (tmp_path / name).rename(tmp_path / other)
    assert_same(read_state_dict(tmp_path / other), tensors())


def test_a_header_whose_length_spells_the_start_of_a_web_page_is_still_one(tmp_path):
    length = int.from_bytes(b" <", "little")
    header = json.dumps(dict(a=dict(dtype="F32", shape=[1], data_offsets=[0, 4]))).encode().ljust(length)
    content = length.to_bytes(8, "little") + header + torch.ones(1).numpy().tobytes()
    (tmp_path / "x.safetensors").write_bytes(content)
    assert_same(read_state_dict(tmp_path / "x.safetensors"), dict(a=torch.ones(1)))


@pytest.mark.parametrize("name", ["out.ckpt", "out.safetensors"])
def test_views_and_tied_tensors_are_written_as_tensors_of_their_own(tmp_path, name):
    base = torch.arange(12.0)
    state = {"whole": base, "tied": base, "view": base[4:8], "turned": base.reshape(3, 4).T}
    write_state_dict(state, tmp_path / name)
    read = read_state_dict(tmp_path / name)
    assert_same(read, state)
    assert (tmp_path / name).stat().st_size < 4000
    read["whole"].zero_()
    assert torch.equal(read["tied"], base)


def test_a_state_dict_is_unwrapped_and_parameters_become_tensors(tmp_path):
    state = torch.nn.Linear(2, 2).state_dict(keep_vars=True)
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "in.ckpt")
    read = read_state_dict(tmp_path / "in.ckpt")
    assert sorted(read) == ["bias", "weight"]
    assert not any(tensor.requires_grad for tensor in read.values())


def truncated(path, name):
    write_state_dict({"w": torch.randn(1000)}, path.with_name(name))
    path.write_bytes(path.with_name(name).read_bytes()[:-500])


BAD_FILES = {
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "folder": (lambda path: path.mkdir(), "is a folder"),
    "html": (lambda path: path.write_text("\n<!DOCTYPE html><html>"), "is a web page"),
    "lfs": (
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0"),
        "git lfs pull",
    ),
    "text": (lambda path: path.write_text("hello, I am no checkpoint at all"), "not a checkpoint"),
    "picture": (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100)), "not a checkpoint"),
    "cut ckpt": (lambda path: truncated(path, "whole.ckpt"), "truncated"),
    "cut safetensors": (lambda path: truncated(path, "whole.safetensors"), "truncated"),
    "cut header": (lambda path: path.write_bytes(struct.pack("<Q", 900) + b'{"w":{"dtype"'), "truncated"),
    "other zip": (lambda path: zipfile.ZipFile(path, "w").writestr("a.txt", "a"), "is a zip file"),
    "no tensors": (lambda path: torch.save({"epoch": 1}, path), "holds no state dict"),
    "a tensor": (lambda path: torch.save(torch.zeros(3), path), "holds no state dict"),
    "plain pickle": (
        lambda path: path.write_bytes(pickle.dumps({"w": [1.0]})),
        "damaged or not a checkpoint",
    ),
    "model object": (
        lambda path: torch.save({"w": torch.zeros(1), "v": Fraction(1)}, path),
        "v is not a tensor",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_gives_one_line_that_names_it(tmp_path, case):
    make, message = BAD_FILES[case]
    path = tmp_path / "bad.ckpt"
    make(path)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_state_dict(path)
    assert len(str(caught.value).splitlines()) == 1
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.ckpt does not exist"):
        read_state_dict(tmp_path / "nowhere.ckpt")


@pytest.mark.parametrize("cut", [100, 1000, 3000])
def test_a_truncated_legacy_file_is_named(tmp_path, cut):
    path = tmp_path / "legacy.ckpt"
    torch.save({"w": torch.randn(1000)}, path, _use_new_zipfile_serialization=False)
    assert read_state_dict(path)["w"].shape == (1000,)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(CheckpointError, match="damaged"):
        read_state_dict(path)


def test_safetensors_of_others_are_read(tmp_path):
    save_file({"w": torch.ones(2)}, tmp_path / "x.safetensors", metadata={"ss_steps": "5", "x": DEEP})
    assert read_metadata(tmp_path / "x.safetensors") == {"ss_steps": "5", "x": DEEP}
    assert_same(read_state_dict(tmp_path / "x.safetensors"), {"w": torch.ones(2)})
