"""The cache holds what the encoders say, is computed once, and survives being killed."""

import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open

from batches.cache.build import build_cache
from batches.cache.contents import Photos
from batches.cache.encoders import load_encoders
from batches.cache.shards import write_shard
from cldm.model import load_model
from ldm.checkpoint import CheckpointError, read_state_dict, write_state_dict
from small_data import TALL, WIDE, write_items
from sources import ROOT
from tutorial_dataset import MyDataset

SIZES = [WIDE, TALL, WIDE, WIDE, TALL, WIDE]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("batches.cache.shards.PER_SHARD", 2)
    return write_items(tmp_path, SIZES)


def build(folder, base, **options):
    return build_cache(MyDataset(folder), base / "ini.safetensors", base / "small.yaml", **options)


def files(folder):
    return {path.name: path.read_bytes() for path in (folder / "cache").iterdir()}


def cached(folder):
    """(kind, name) -> values."""
    index = json.loads((folder / "cache" / "index.json").read_text())
    found = {}
    for shard in index["shards"]:
        with safe_open(folder / "cache" / shard["file"], "pt") as file:
            values = file.get_tensor("values")
        assert len(values) == len(shard["names"])
        found |= {(shard["kind"], name): v for name, v in zip(shard["names"], values, strict=True)}
    return found


@pytest.fixture
def encoded(monkeypatch):
    """Names of the pictures that were encoded."""
    names, read = [], Photos.read_checked
    monkeypatch.setattr(Photos, "read_checked", lambda *a: names.append(a[-1]) or read(*a))
    return names


def test_the_cache_holds_what_the_encoders_say(folder, base):
    build(folder, base, dtype="float32", flips=True, batch_size=2)
    found, model = cached(folder), load_model(base / "small.yaml", base / "ini.safetensors")
    prompts = {"", "a red top, number 0", "a red top, number 1", "a red top, number 2"}
    names = {f"{i}.png" for i in range(6)}
    assert {name for kind, name in found if kind == "text"} == prompts
    assert {name for kind, name in found if kind == "moments"} == names
    for name in names:
        image = cv2.imread(str(folder / name), cv2.IMREAD_COLOR_RGB).astype(np.float32) / 127.5 - 1
        for kind, picture in (("moments", image), ("mirrored", image[:, ::-1].copy())):
            wanted = model.encode_first_stage(torch.from_numpy(picture)[None].movedim(-1, 1)).parameters[0]
            assert torch.allclose(found[kind, name], wanted, atol=1e-5)
    for prompt in prompts:
        assert torch.allclose(found["text", prompt], model.get_learned_conditioning([prompt])[0])


def test_it_is_stored_in_the_asked_dtype(folder, base):
    for dtype in ("float32", "float16", "bfloat16"):
        build(folder, base, dtype=dtype)
        assert {values.dtype for values in cached(folder).values()} == {getattr(torch, dtype)}
    with pytest.raises(ValueError, match="dtype must be one of float16"):
        build(folder, base, dtype="int8")


@pytest.mark.parametrize("survived", range(5))
def test_a_killed_build_resumes_to_the_same_bytes(folder, base, tmp_path, monkeypatch, encoded, survived):
    with monkeypatch.context() as patch:
        written = []

        def killed(path, rows, keys):
            if len(written) == survived:
                raise KeyboardInterrupt
            written.append(path.name)
            write_shard(path, rows, keys)

        patch.setattr("batches.cache.encode.write_shard", killed)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            build(folder, base)
    (folder / "cache" / ".x.99.1.tmp").mkdir()
    kept = {name: (folder / "cache" / name).stat().st_mtime_ns for name in written}
    build(folder, base)
    assert all((folder / "cache" / name).stat().st_mtime_ns == time for name, time in kept.items())
    other = tmp_path / "other"
    other.mkdir()
    build(write_items(other, SIZES), base)
    assert files(folder) == files(other)


def test_only_what_changed_is_encoded_again_and_the_rest_deleted(folder, base, encoded):
    build(folder, base)
    before, pictures = files(folder), len(encoded)
    assert pictures == 6
    build(folder, base)
    assert len(encoded) == 6 and files(folder) == before
    cv2.imwrite(str(folder / "3.png"), np.zeros((64, 64, 3), np.uint8))
    write_items(folder, [WIDE], start=6)
    build(folder, base)
    assert encoded[6:] == ["3.png", "6.png"]
    build(folder, base, flips=True)
    assert len(encoded) == 8 + 7
    lines = (folder / "prompt.json").read_text().splitlines()[1:]
    (folder / "prompt.json").write_text("\n".join(lines))
    values = cached(folder)
    build(folder, base)
    assert len(encoded) == 15 and "mirrored" not in {kind for kind, _ in cached(folder)}
    assert all(torch.equal(values[place], v) for place, v in cached(folder).items())
    assert len(list((folder / "cache").glob("*.safetensors"))) == 3 + 2 + 1


def test_grafts_and_whole_models_of_one_base_have_its_hash(base, tmp_path):
    wanted = load_encoders(base / "ini.safetensors", base / "small.yaml")[1]
    state = read_state_dict(base / "ini.safetensors")
    others = {
        "base": {k: v for k, v in state.items() if not k.startswith("control_model.")},
        "trained": state | {k: v + 1 for k, v in state.items() if k.startswith("control_model.")},
        "encoders": {
            k: v for k, v in state.items() if k.startswith(("first_stage_model", "cond_stage_model"))
        },
    }
    for name, tensors in others.items():
        write_state_dict(tensors, tmp_path / f"{name}.ckpt")
        assert load_encoders(tmp_path / f"{name}.ckpt", base / "small.yaml")[1] == wanted
    changed = state | {"cond_stage_model.scale": state["cond_stage_model.scale"] * 2}
    write_state_dict(changed, tmp_path / "changed.ckpt")
    assert load_encoders(tmp_path / "changed.ckpt", base / "small.yaml")[1] != wanted
    halves = {name: tensor.half() for name, tensor in read_state_dict("models/tiny/base.safetensors").items()}
    write_state_dict({k: v.float() for k, v in halves.items()}, tmp_path / "float.ckpt")
    hashes = {load_encoders(path)[1] for path in ("models/tiny/base.safetensors", tmp_path / "float.ckpt")}
    assert len(hashes) == 1
    branch = {k: v for k, v in state.items() if k.startswith("control_model.")}
    write_state_dict(branch, tmp_path / "branch.ckpt")
    with pytest.raises(CheckpointError, match="a control branch alone"):
        load_encoders(tmp_path / "branch.ckpt")


def test_what_cannot_be_encoded_is_named(folder, base, tmp_path):
    with pytest.raises(FileNotFoundError, match="has no prompt.json"):
        build(tmp_path / "nowhere", base)
    (folder / "2.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="2.png can't be read: it is no JPEG"):
        build(folder, base)
    (folder / "2.png").unlink()
    with pytest.raises(FileNotFoundError, match="1 pictures of .* 2.png"):
        build(folder, base)
    write_items(folder, [WIDE, (72, 64)], start=2, said=False)
    with pytest.raises(ValueError, match=r"multiples of 64.* 3.png \(72 x 64\)"):
        build(folder, base)
    cv2.imwrite(str(folder / "3.png"), np.zeros((128, 64, 3), np.uint8))
    (folder / "prompt.json").write_text(
        json.dumps(dict(source="0.png", target="3.png", prompt="", size=WIDE))
    )
    with pytest.raises(ValueError, match="3.png is 128 x 64, its line says 64 x 64"):
        build(folder, base)


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher", [[], ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]]
)
def test_two_processes_write_what_one_writes(base, tmp_path, launcher):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nimport small\nfrom batches.cache.build import build_cache\n"
        "from tutorial_dataset import MyDataset\nif __name__ == '__main__':\n"
        "    build_cache(MyDataset(sys.argv[1]), *sys.argv[2:4], devices=int(sys.argv[4]), flips=True)\n"
    )
    environment = os.environ | dict(PYTHONPATH=f"{ROOT}:{ROOT / 'tests' / 'helpers'}", OMP_NUM_THREADS="1")
    for devices in (1, 2):
        folder = tmp_path / str(devices)
        folder.mkdir()
        write_items(folder, SIZES)
        arguments = [script, folder, base / "ini.safetensors", base / "small.yaml", str(devices)]
        command = [sys.executable, *(launcher if devices == 2 else []), *arguments]
        subprocess.run(command, check=True, env=environment, cwd=ROOT)
    assert files(tmp_path / "1") == files(tmp_path / "2")
