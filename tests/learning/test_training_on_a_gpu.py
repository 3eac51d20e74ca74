"""A run on a GPU mixes no devices: on the pretended one of pretended_gpu, with every option that computes."""

import csv

import numpy as np
import pytest
import torch

from batches.cache.build import build_cache
from ldm.checkpoint import read_state_dict
from learning.options import TrainOptions
from learning.train import train
from small_data import ENCODER, TALL, WIDE, write_base, write_items
from tutorial_dataset import MyDataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A cached training folder of two buckets, and the small base beside it."""
    folder = write_base(tmp_path_factory.mktemp("gpu"))
    write_items(folder, [WIDE, TALL] * 2, split="train")
    write_items(folder, [WIDE, TALL], start=4, split="val")
    options = dict(dtype="float32", flips=True, batch_size=2)
    build_cache(MyDataset(folder), folder / "ini.safetensors", folder / "small.yaml", **options)
    return folder


def trained(folder, run, data=None, measured=False, **changes):
    """The rows of metrics.csv of a run that measures each step; `measured`: control mIoU, too."""
    settings = dict(
        run=str(run),
        data=str(folder),
        model=str(folder / "small.yaml"),
        base=str(folder / "ini.safetensors"),
        max_steps=1,
        batch_size=2,
        learning_rate=1e-3,
        precision="32-true",
        workers=0,
        checkpoint_every=1,
        measure_every=1,
        measure_maps=2,
        sampling_steps=2,
        image_log_every=0,
    )
    judge = (lambda pictures: np.ones(pictures.shape[:3], np.uint8)) if measured else None
    data, held_out = data or MyDataset(folder, "train"), MyDataset(folder, "val")
    train(TrainOptions(**settings | changes), data, held_out, ENCODER, judge)
    with open(run / "metrics.csv") as file:
        return list(csv.DictReader(file))


def test_a_run_from_the_cache_keeps_everything_on_its_device_also_when_resumed(gpu, folder, tmp_path):
    options = dict(
        precision="16-mixed", flip=True, batch_size=1, accumulate=2, ema_decay=0.9, min_snr_gamma=5
    )
    for steps in (1, 2):
        rows = trained(folder, tmp_path, max_steps=steps, image_log_every=1, **options)
    assert [int(row["step"]) for row in rows] == [1, 2]
    assert all(np.isfinite(float(row["loss"])) for row in rows)
    assert all(
        tensor.device.type == "cpu" for tensor in read_state_dict(tmp_path / "control.safetensors").values()
    )


RUNS = dict(
    auto=dict(precision="auto", cached=False, hint_dropout=0.5, mask_dilation=3, mask_simplification=2)
    | dict(full_checkpoints=True, keep_every=1, measured=True, max_steps=1),
    unlocked=dict(sd_locked=False, only_mid_control=True, recompute=False, gradient_clip=0.01, workers=1)
    | dict(lr_schedule="cosine", warmup_steps=1, after_convergence="accumulate:2", max_steps=2),
)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_with_other_options_keeps_everything_on_its_device(gpu, folder, tmp_path, name):
    assert all(np.isfinite(float(row["loss"])) for row in trained(folder, tmp_path, **RUNS[name]))


def test_the_guard_against_bad_numbers_works_on_a_gpu(gpu, folder, tmp_path, capsys):
    class Bad(MyDataset):
        def __getitem__(self, index):
            item = super().__getitem__(index)
            return item | dict(jpg=np.full_like(item["jpg"], np.nan))

    options = dict(
        data=Bad(folder, "train"), cached=False, precision="16-mixed", max_bad_steps=2, max_steps=2
    )
    with pytest.raises(ValueError, match="The run stops at max_bad_steps=2"):
        trained(folder, tmp_path, **options)
    assert "The step is skipped" in capsys.readouterr().out


PLANTED = {
    "small.PromptStub.forward": lambda self, texts: torch.zeros(len(texts), 5, 16),
    "ldm.models.diffusion.ddpm.draw_normal": lambda like, generator: torch.zeros(like.shape),
    "generation.generate.to_uint8": lambda images: np.uint8(images.clamp(0, 1) * 255),
    "batches.loader.collate": lambda items, multiple: dict(jpg=torch.zeros(1, device="cuda")),
}


@pytest.mark.parametrize("place", PLANTED)
def test_a_planted_mix_of_devices_ends_a_run(gpu, folder, tmp_path, monkeypatch, place):
    monkeypatch.setattr(place, PLANTED[place])
    with pytest.raises((RuntimeError, TypeError), match="cuda"):
        trained(folder, tmp_path, cached=False, measured=True)
