"""Training from the cache is training from the pictures; a cache that is out of date is refused."""

import csv
import json
import pickle

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from batches.cache.build import build_cache
from batches.cache.items import CachedItems
from batches.loader import collate
from cldm.model import load_model
from ldm.checkpoint import read_state_dict, write_state_dict
from ldm.modules.diffusionmodules.util import ROW_SEED, row_generators
from learning.options import TrainOptions
from learning.train import train
from small_data import ENCODER, TALL, WIDE, write_items
from tutorial_dataset import MyDataset


@pytest.fixture
def folder(base, tmp_path):
    """A cached training folder of two buckets."""
    write_items(tmp_path, [WIDE, TALL] * 4, split="train")
    write_items(tmp_path, [TALL, WIDE, TALL], start=8, split="val")
    options = dict(dtype="float32", flips=True, batch_size=2)
    build_cache(MyDataset(tmp_path), base / "ini.safetensors", base / "small.yaml", **options)
    return tmp_path


def items(folder, base, **changes):
    dataset = MyDataset(folder, "train")
    return CachedItems(dataset, base / "ini.safetensors", base / "small.yaml", **changes)


def trained(folder, base, run, **changes):
    settings = dict(
        run=str(run),
        data=str(folder),
        model=str(base / "small.yaml"),
        base=str(base / "ini.safetensors"),
        max_steps=3,
        batch_size=2,
        accumulate=2,
        learning_rate=1e-3,
        precision="32-true",
        workers=0,
        measure_every=3,
        sampling_steps=2,
        image_log_every=3,
        flip=True,
    )
    options = TrainOptions(**settings | changes)
    judge = lambda pictures: np.ones(pictures.shape[:3], np.uint8)  # noqa: E731
    train(options, MyDataset(folder, "train"), MyDataset(folder, "val"), ENCODER, judge)
    return read_state_dict(run / "control.safetensors")


def losses(run):
    with open(run / "metrics.csv") as file:
        return np.array([float(row["loss"]) for row in csv.DictReader(file)])


def test_the_cache_changes_nothing_in_training(folder, base, tmp_path, capsys):
    trained(folder, base, tmp_path / "cached")
    assert f"taken from {folder}/cache" in capsys.readouterr().out
    trained(folder, base, tmp_path / "plain", cached=False, measure_every=9)
    shown = capsys.readouterr().out
    assert "8 items to train on, 3 held out; latents and prompts encoded" in shown
    assert "4 of 64x64, 4 of 128x64" in shown
    assert np.allclose(losses(tmp_path / "cached"), losses(tmp_path / "plain"), rtol=1e-5)
    trained(folder, base, tmp_path / "straight", flip=False, measure_every=9)
    assert not np.allclose(losses(tmp_path / "straight"), losses(tmp_path / "plain"), rtol=1e-3)
    names = {path.name.split("_gs-")[0] for path in (tmp_path / "cached").glob("image_log/train/*")}
    assert names == {"reconstruction", "control", "conditioning", "samples_cfg_scale_9.00"}
    assert (tmp_path / "cached" / "report.html").exists()


def test_a_step_from_the_cache_is_bit_identical_at_equal_batches(folder, base, monkeypatch):
    model = load_model(base / "small.yaml", base / "ini.safetensors").train()
    model.prompt_dropout, seeds = 0.5, {ROW_SEED: [0, 2]}
    monkeypatch.setattr(model, "log_dict", lambda logs, **options: None)
    pictures, cached = MyDataset(folder), items(folder, base)
    for rows in ([0, 2], [4, 6], [1, 3]):
        plain, ready = (collate([dataset[i] for i in rows]) | seeds for dataset in (pictures, cached))
        assert "" in model.drop_prompts(ready, row_generators(seeds))["txt"]
        assert torch.equal(model.training_step(plain, 0), model.training_step(ready, 0))


def test_a_run_from_the_cache_resumes_exactly(folder, base, tmp_path):
    whole = trained(folder, base, tmp_path / "whole", max_steps=4)
    trained(folder, base, tmp_path / "halves", max_steps=1)
    halves = trained(folder, base, tmp_path / "halves", max_steps=4)
    assert all(torch.equal(whole[name], halves[name]) for name in whole)


def test_items_are_read_in_any_process_and_survive_pickling(folder, base):
    dataset = items(folder, base)
    assert dataset.sizes == [WIDE, TALL] * 4 and len(dataset) == 8
    item = pickle.loads(pickle.dumps(dataset))[1]
    assert item.keys() == {"moments", "context", "empty_context", "txt", "hint"}
    assert item["moments"].shape == (8, 16, 8) and item["context"].shape == item["empty_context"].shape == (
        5,
        16,
    )
    assert not item["empty_context"].any() and item["context"].any()
    loader = DataLoader(dataset, batch_sampler=[[0, 2], [1, 3]], collate_fn=collate, num_workers=2)
    for batch, (i, _) in zip(loader, ([0, 2], [1, 3]), strict=True):
        assert torch.equal(batch["moments"][0], dataset[i]["moments"])


def edit(folder, change):
    lines = [json.loads(line) for line in (folder / "prompt.json").read_text().splitlines()]
    change(lines[0])
    (folder / "prompt.json").write_text("\n".join(map(json.dumps, lines)))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda f: edit(f, lambda line: line.update(prompt="new")), "lacks 1 prompts, new"),
        (lambda f: write_items(f, [WIDE], start=20), "lacks 1 pictures, 20.png"),
        (lambda f: (f / "2.png").write_bytes(b"other"), "is older than 1 pictures, 2.png"),
        (lambda f: next((f / "cache").glob("text_*")).unlink(), "lacks 1 of its files, text_"),
        (lambda f: (f / "cache" / "index.json").write_text("{"), "index.json cannot be read"),
    ],
)
def test_a_stale_cache_is_refused_with_the_remedy(folder, base, harm, message):
    harm(folder)
    remedy = f"build_cache.*{folder}.*ini.safetensors.* cached=false"
    with pytest.raises(ValueError, match=f"{message}.*{remedy}"):
        items(folder, base)


def test_a_cache_of_other_weights_is_refused(folder, base, tmp_path):
    state = read_state_dict(base / "ini.safetensors")
    state["first_stage_model.quant_conv.bias"] += 1e-3
    write_state_dict(state, tmp_path / "other.safetensors")
    with pytest.raises(
        ValueError, match="ini.safetensors, whose encoders are not those of .*other.safetensors"
    ):
        CachedItems(MyDataset(folder), tmp_path / "other.safetensors", base / "small.yaml")


def test_flips_need_a_cache_of_mirrored_pictures(folder, base):
    build_cache(MyDataset(folder), base / "ini.safetensors", base / "small.yaml")
    items(folder, base)
    with pytest.raises(ValueError, match="lacks 8 mirror images .* flips=True"):
        items(folder, base, mirrored=True)


@pytest.mark.parametrize("key", ["jpg", "hint", "txt"])
def test_a_dataset_that_changes_its_items_does_not_take_them_from_the_cache(folder, base, key):
    class Edited(MyDataset):
        def __getitem__(self, index):
            item = super().__getitem__(index)
            return item | {key: item[key] * 0 if key != "txt" else ""}

    with pytest.raises(ValueError, match="the dataset changes them .0.png for one.: train with cached=false"):
        CachedItems(Edited(folder), base / "ini.safetensors", base / "small.yaml")


def test_a_map_of_another_size_is_named(folder, base):
    dataset = items(folder, base)
    cv2.imwrite(str(folder / "3_map.png"), np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(ValueError, match=r"3_map.png is \(64, 64\), 3.png is \(128, 64\)"):
        dataset[3]
