"""Pickles of others: their tensors come out, and nothing in them is ever executed."""

import builtins
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from ldm.checkpoint import CheckpointError, read_state_dict, write_state_dict


def tensors():
    torch.manual_seed(0)
    return {
        "a.weight": torch.randn(3, 4),
        "a.half": torch.randn(5).half(),
        "position_ids": torch.arange(77)[None],
    }


def assert_same(got, expected):
    assert set(got) == set(expected)
    for name, tensor in expected.items():
        assert got[name].dtype == tensor.dtype, name
        assert torch.equal(got[name], tensor), name


class ModelCheckpoint:
    """Stands for a class of a package that is long gone."""

    def __init__(self):
        self.best = np.float64(0.5)


@pytest.mark.parametrize("zipped", [True, False])
def test_an_old_lightning_file_gives_its_tensors(tmp_path, zipped):
    state = OrderedDict(tensors())
    state._metadata = {"": {"version": 1}}
    content = {
        "state_dict": state,
        "callbacks": {ModelCheckpoint: ModelCheckpoint(), "shapes": {np.dtype("f4"), Path("a")}},
        "lr": [np.float64(1e-4), np.arange(3)],
        "hyper_parameters": argument_tree(),
    }
    torch.save(content, tmp_path / "old.ckpt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "old.ckpt", weights_only=True)
    assert_same(read_state_dict(tmp_path / "old.ckpt"), tensors())


def argument_tree():
    from omegaconf import OmegaConf

    return OmegaConf.create({"model": {"sizes": [1, 2], "name": "a"}})


class Payload:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def payloads(victim):
    touch = f"open({str(victim)!r}, 'w').close()"
    return {
        "system": Payload(os.system, f"touch '{victim}'"),
        "eval": Payload(builtins.eval, touch),
        "exec": Payload(builtins.exec, touch),
        "open": Payload(builtins.open, str(victim), "w"),
        "load_from_bytes": Payload(torch.storage._load_from_bytes, pickle.dumps(Payload(os.system, "true"))),
        "numpy": Payload(np.save, str(victim), np.zeros(1)),
        "getattr": Payload(builtins.getattr, Path(victim), "touch"),
    }


@pytest.mark.parametrize("name", payloads(""))
@pytest.mark.parametrize("form", ["zip", "legacy", "plain"])
def test_a_malicious_pickle_is_never_executed(tmp_path, name, form):
    victim, path = tmp_path / "victim", tmp_path / "evil.ckpt"
    content = {"state_dict": {"w": torch.zeros(1)}, "x": payloads(victim)[name]}
    if form == "plain":
        path.write_bytes(pickle.dumps(payloads(victim)[name]))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    assert not list(tmp_path.glob("victim*"))
    try:
        read_state_dict(path)
    except CheckpointError as error:
        assert len(str(error).splitlines()) == 1
        assert form == "plain" or "malicious" in str(error)
    else:  # harmless once inert, and the tensors are there
        assert form != "plain"
        assert name in ("numpy", "getattr")
    assert not list(tmp_path.glob("victim*"))


@pytest.mark.parametrize(
    "code",
    [
        b"cbuiltins\ngetattr\n(cbuiltins\n__import__\nX\x03\x00\x00\x00popltR.",
        b"\x80\x02ctorch.serialization\nos.system\nX\x0b\x00\x00\x00touch pwned\x85R.",
        b"\x80\x04\x8c\x05torch\x8c\x09os.system\x93\x8c\x0btouch pwned\x85R.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n"
        b"(X\x0c\x00\x00\x00__defaults__X\x01\x00\x00\x00at}\x86b.",
    ],
)
def test_hand_written_opcodes_reach_nothing(tmp_path, monkeypatch, code):
    monkeypatch.chdir(tmp_path)
    write_state_dict(tensors(), "good.ckpt")
    with zipfile.ZipFile("good.ckpt") as good, zipfile.ZipFile("evil.ckpt", "w") as evil:
        for name in good.namelist():
            evil.writestr(name, code if name.endswith("data.pkl") else good.read(name))
    with pytest.raises(CheckpointError):
        read_state_dict("evil.ckpt")
    assert not Path("pwned").exists()
    assert torch._utils._rebuild_tensor_v2.__defaults__ == (None,)
