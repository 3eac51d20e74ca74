"""What a run wrote on one device is read on any other, without that device and without its memory."""

import shutil
from types import SimpleNamespace

import pytest
import torch

from learning.build import resolve_precision
from learning.options import TrainOptions
from learning.resuming import read_steps_done
from learning.verified_files import VerifiedIO
from pictures.regions import REGIONS_FILE
from small_data import WIDE, write_items

CHECKPOINT = dict(
    global_step=3, epoch=0, state_dict=dict(w=torch.arange(4.0)), loops={}, optimizer_states=[]
) | dict(lr_schedulers=[], options={})


@pytest.fixture
def on_a_gpu(monkeypatch):
    """What is saved says that it was on a GPU, which this machine need not have."""
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:1")
    # with a GPU at hand, reading it there would go unseen
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_a_checkpoint_of_a_gpu_is_read_back_and_resumed_without_one(on_a_gpu, tmp_path):
    VerifiedIO().save_checkpoint(CHECKPOINT, tmp_path / "last.ckpt")
    with pytest.raises(RuntimeError, match="deserialize object on a CUDA device"):
        torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert read_steps_done(tmp_path / "last.ckpt", TrainOptions(), {}) == 3


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("unable to mmap 5 bytes from file <last.ckpt>: Cannot allocate memory (12)"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_want_of_memory_is_not_taken_for_a_damaged_file(tmp_path, monkeypatch, error):
    def read(path):
        raise error

    monkeypatch.setattr("learning.resuming.read_content", read)
    with pytest.raises(
        ValueError, match="last.ckpt can't be read for want of memory .* nothing is wrong"
    ) as told:
        read_steps_done(tmp_path / "last.ckpt", TrainOptions(), {})
    assert "delete" not in str(told.value)


@pytest.mark.parametrize(
    ("capability", "precision"), [((7, 0), "16-mixed"), ((7, 5), "16-mixed"), ((8, 0), "bf16-mixed")]
)
def test_a_gpu_that_only_emulates_bf16_computes_in_fp16(monkeypatch, capability, precision):
    properties = type("Properties", (), dict(zip(("major", "minor"), capability, strict=True)))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setattr(torch.cuda, "_check_bf16_tensor_supported", lambda device: True)
    assert resolve_precision("auto") == precision


@pytest.mark.parametrize(
    ("found", "rank", "device"), [("cuda", "1", "cuda:1"), ("mps", "0", "mps"), (None, "0", "cpu")]
)
def test_the_judge_looks_on_the_device_that_its_process_trains_on(monkeypatch, tmp_path, found, rank, device):
    import annotator.segment
    from tutorial_dataset import MyDataset
    from tutorial_train import judge_of

    asked = []

    def load_judge(path, regions, device):
        asked.append(device)
        return SimpleNamespace(segment=len)

    accelerator = found and torch.device(found)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: accelerator)
    monkeypatch.setattr(annotator.segment, "load_judge", load_judge)
    monkeypatch.setenv("LOCAL_RANK", rank)
    write_items(tmp_path, [WIDE], split="val")
    shutil.copy(REGIONS_FILE, tmp_path / "regions.yaml")
    given = TrainOptions(data=str(tmp_path), segmenter="judge.safetensors")
    assert judge_of(given, MyDataset(tmp_path))[2] is len
    assert asked == [device]
