"""Pickles of others: their tensors come out, and nothing in them is ever executed."""

import builtins
import os
import pickle
import time
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


def write_zip(path, change, content=None):
    """What torch.save makes of tensors, but for its pickle, which `change` makes of the honest one."""
    torch.save(tensors() if content is None else content, "good.ckpt")
    with zipfile.ZipFile("good.ckpt") as good, zipfile.ZipFile(path, "w") as evil:
        for name in good.namelist():
            evil.writestr(name, change(good.read(name)) if name.endswith("data.pkl") else good.read(name))


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
    write_zip("evil.ckpt", lambda good: code)
    with pytest.raises(CheckpointError):
        read_state_dict("evil.ckpt")
    assert not Path("pwned").exists()
    assert torch._utils._rebuild_tensor_v2.__defaults__ == (None,)


@pytest.fixture
def little_memory():
    """A GiB and five seconds for what a test reads."""
    resource = pytest.importorskip("resource")
    status = Path("/proc/self/statm")
    if not status.exists():
        pytest.skip("needs /proc")
    limits, start = resource.getrlimit(resource.RLIMIT_AS), time.monotonic()
    now = int(status.read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + 2**30, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)
    assert time.monotonic() - start < 5


HUGE = 10**11
REBUILD = torch._utils._rebuild_tensor_v2


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (lambda: Payload(bytearray, HUGE), "a bytearray of 100,000,000,000 bytes"),
        (
            lambda: Payload(
                REBUILD, torch.zeros(1).untyped_storage(), 0, (HUGE,), (1,), False, OrderedDict()
            ),
            r"a tensor of shape \[100000000000\] in 4 bytes",
        ),
        (
            lambda: Payload(
                REBUILD, torch.zeros(1).untyped_storage(), HUGE, (1,), (1,), False, OrderedDict()
            ),
            r"a tensor of shape \[1\] in 4 bytes",
        ),
    ],
)
def test_a_call_for_more_memory_than_the_file_has_is_refused(
    tmp_path, little_memory, payload, message, zipped
):
    path = tmp_path / "bomb.ckpt"
    torch.save({"state_dict": tensors(), "x": payload()}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=f"bomb.ckpt is damaged or malicious: it asks for {message}"):
        read_state_dict(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_storage_of_more_bytes_than_the_file_is_refused(tmp_path, monkeypatch, little_memory, zipped):
    monkeypatch.chdir(tmp_path)
    content = {"w": torch.zeros(200)}

    def enlarge(data):
        """Say the huge number wherever the file says 200."""
        assert b"K\xc8" in data
        return data.replace(b"K\xc8", b"\x8a\x06" + HUGE.to_bytes(6, "little"))

    if zipped:
        write_zip("bomb.ckpt", enlarge, content)
    else:
        torch.save(content, "good.ckpt", _use_new_zipfile_serialization=False)
        Path("bomb.ckpt").write_bytes(enlarge(Path("good.ckpt").read_bytes()))
    with pytest.raises(CheckpointError, match="bomb.ckpt is .* it asks for tensors of 400,000,000,000 bytes"):
        read_state_dict("bomb.ckpt")


@pytest.mark.parametrize("start", [b"\x8e", b"\x96", b"\x8d"])  # bytes, a bytearray, a text
def test_a_text_of_more_bytes_than_the_file_is_refused(tmp_path, monkeypatch, little_memory, start):
    monkeypatch.chdir(tmp_path)
    write_zip("bomb.ckpt", lambda good: b"\x80\x05" + start + HUGE.to_bytes(8, "little") + b".")
    with pytest.raises(CheckpointError, match="bomb.ckpt is .* it asks for a text of 100,000,000,000 bytes"):
        read_state_dict("bomb.ckpt")


@pytest.mark.parametrize(
    "extra",
    [
        b"X\x01\x00\x00\x00xNr\xf0\xff\xff\x7f",  # "x": None, as the memo's object 2**31
        b")" + b"2\x86" * 60 + b"N",  # a tuple of a tuple of ..., each twice, as a key
        b"(" + b")" + b"2\x86" * 60 + b"\x91N",  # the same in a frozen set
    ],
)
def test_what_costs_others_memory_or_time_is_read_in_little(tmp_path, monkeypatch, little_memory, extra):
    monkeypatch.chdir(tmp_path)
    write_zip("odd.ckpt", lambda good: good.removesuffix(b".") + b"0}X\x01\x00\x00\x00s}" + extra + b"ss.")
    with pytest.raises(CheckpointError, match="odd.ckpt holds no state dict"):
        read_state_dict("odd.ckpt")


def test_zip_parts_that_claim_more_than_the_file_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_state_dict(tensors(), "bomb.ckpt")
    data = bytearray(Path("bomb.ckpt").read_bytes())
    entry = data.index(b"PK\x01\x02")  # of the table at its end; the size is its bytes 24 to 28
    data[entry + 24 : entry + 28] = (2**31).to_bytes(4, "little")
    Path("bomb.ckpt").write_bytes(data)
    with pytest.raises(CheckpointError, match="bomb.ckpt is .* its parts claim more bytes than it has"):
        read_state_dict("bomb.ckpt")


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_of_every_kind_of_torch_are_read(tmp_path, zipped):
    shared, marked = torch.randn(6), torch.randn(2)
    marked.note = "a tensor with an attribute"
    state = {
        "a.float8": torch.randn(4).to(torch.float8_e4m3fn),
        "a.bfloat16": torch.randn(4).bfloat16(),
        "a.uint16": torch.arange(4).to(torch.uint16),
        "a.bool": torch.tensor([True, False]),
        "a.scalar": torch.tensor(3.0),
        "a.empty": torch.zeros(0, 5),
        "a.turned": torch.randn(2, 3).T,
        "a.parameter": torch.nn.Parameter(torch.randn(2)),
        "a.marked": marked,
        "a.first": shared[:3],
        "a.last": shared[3:],
    }
    torch.save(state, tmp_path / "x.ckpt", _use_new_zipfile_serialization=zipped)
    assert_same(read_state_dict(tmp_path / "x.ckpt"), state)
