"""Segmenters are trained on training folders: what they see, what the loss is, and what is written."""

import json
import re
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

import tutorial_train_segmenter
from annotator.segment import load_segmenter
from annotator.segment.segformer import SegFormerSegmenter
from annotator.segment.u2net import U2NetSegmenter
from learning.segmenter.data import DistortedPhotos, FolderPhotos, SqueezedPhotos, weigh_regions
from learning.segmenter.judging import judge_segmenter
from learning.segmenter.train import SegmenterTraining
from pictures.region_maps import save_map
from pictures.regions import REGIONS_FILE, Regions

NUM_TRAIN, NUM_VAL = 4, 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A training folder of pictures of a red block, a top, and in one of them a yellow one, a head."""
    folder, lines = tmp_path_factory.mktemp("training"), []
    for name in ("source", "target"):
        (folder / name).mkdir()
    for i in range(NUM_TRAIN + NUM_VAL):
        ids = np.zeros((64, 48), np.uint8)
        ids[16:48, 8 : 24 + i] = 1
        ids[:8, :8] = 4 if i == 0 else 0
        photo = np.uint8([[30, 30, 30], [200, 40, 40], [0, 0, 0], [0, 0, 0], [200, 200, 0]])[ids]
        save_map(folder / "source" / f"{i}.png", ids)
        Image.fromarray(photo).save(folder / "target" / f"{i}.png")
        split = "train" if i < NUM_TRAIN else "val"
        lines.append(dict(source=f"source/{i}.png", target=f"target/{i}.png", prompt="", split=split))
    (folder / "prompt.json").write_text("\n".join(map(json.dumps, lines)))
    (folder / "regions.yaml").write_bytes(Regions.read(REGIONS_FILE).to_yaml())
    return folder


def test_photos_and_maps_come_from_their_split(folder):
    train, val = FolderPhotos(folder, "train"), FolderPhotos(folder, "val")
    assert (len(train), len(val)) == (NUM_TRAIN, NUM_VAL) and train.names[1:] == (
        "top",
        "bottom",
        "whole",
        "head",
    )
    photo, ids = train[0]
    assert photo.shape == (64, 48, 3) and photo[20, 10].tolist() == [200, 40, 40] and ids[20, 10] == 1
    photo, ids = SqueezedPhotos(val, 32, 2)[1]
    assert photo.shape == (32, 32, 3) and ids.shape == (32, 32) and set(np.unique(ids)) == {0, 1}


def test_each_photo_is_seen_once_an_epoch_and_distorted_by_its_number_alone(folder):
    train = FolderPhotos(folder, "train")
    seen = []
    train_items = train.items
    one, other = (DistortedPhotos(train, 32, seed=1, num_items=8) for _ in range(2))
    assert all((a == b).all() for a, b in zip(one[5], other[5], strict=True))
    assert one[5][0].shape == (32, 32, 3) and one[5][0].dtype == one[5][1].dtype == np.uint8

    class Noted:
        def __len__(self):
            return len(train)

        def __getitem__(self, index):
            seen.append(int(index))
            return train[index]

    noted = DistortedPhotos(Noted(), 32, seed=1, num_items=8)
    for index in range(8):
        noted[index]
    assert sorted(seen[:4]) == sorted(seen[4:]) == [0, 1, 2, 3] and len(train_items) == NUM_TRAIN


def test_regions_weigh_by_median_frequency(folder, capsys):
    weights = weigh_regions(FolderPhotos(folder, "train"))
    size = 64 * 48
    top = sum(32 * (16 + i) for i in range(4)) / (4 * size)
    head, background = 64 / size, 1 - top - 64 / (4 * size)
    frequencies = np.array([background, top, head])
    assert np.allclose(weights[[0, 1, 4]], np.median(frequencies) / frequencies)
    assert weights[2:4].tolist() == [1, 1]
    assert "no training map has the regions bottom, whole" in capsys.readouterr().out


def test_a_folder_that_cannot_be_trained_on_is_refused(tmp_path, folder):
    (tmp_path / "prompt.json").write_text((folder / "prompt.json").read_text().splitlines()[0])
    with pytest.raises(FileNotFoundError, match="has no regions.yaml.*tool_prepare_data"):
        FolderPhotos(tmp_path, "train")
    (tmp_path / "regions.yaml").write_bytes((folder / "regions.yaml").read_bytes())
    with pytest.raises(ValueError, match="has no items of split 'val'"):
        FolderPhotos(tmp_path, "val")
    with pytest.raises(FileNotFoundError, match="0.png is missing"):
        FolderPhotos(tmp_path, "train")[0]


def test_deep_supervision_adds_the_losses_of_all_seven_outputs():
    torch.manual_seed(0)
    segmenter = U2NetSegmenter.fresh(("background", "cloth"), 32, width=4)
    training = SegmenterTraining(segmenter, 1e-3, 1, weights=np.float32([0.5, 2]))
    training.log = lambda *_: None
    photos = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    ids = torch.randint(0, 2, (2, 32, 32), dtype=torch.uint8)
    loss = training.training_step((photos, ids), 0)
    logits = training(photos)
    assert len(logits) == 7
    assert torch.allclose(loss, sum(training.loss(one, ids.long()) for one in logits))
    loss.backward()
    assert all(p.grad is not None for p in training.parameters())
    assert all(p.grad.any() for name, p in training.named_parameters() if "side" in name or "outconv" in name)


def test_weights_are_the_cross_entropys():
    training = SegmenterTraining(U2NetSegmenter.fresh(("a", "b"), 32, width=4), 1e-3, 1, weights=[1.0, 3.0])
    logits, ids = torch.zeros(1, 2, 1, 2), torch.tensor([[[0, 1]]])
    logits[0, :, 0, 1] = torch.tensor([2.0, 0.0])
    losses = torch.tensor([np.log(2), np.log(1 + np.exp(2))])
    plain = SegmenterTraining(U2NetSegmenter.fresh(("a", "b"), 32, width=4), 1e-3, 1)
    overlap = plain.loss(logits, ids) - losses.mean()
    assert torch.allclose(training.loss(logits, ids) - overlap, (losses * torch.tensor([1, 3])).sum() / 4)


def run(monkeypatch, folder, out, *options):
    command = [
        "",
        "--data",
        folder,
        "--run",
        out,
        "--batch-size",
        2,
        "--size",
        32,
        "--workers",
        0,
        "--precision",
        "32-true",
    ]
    monkeypatch.setattr(sys, "argv", [*map(str, command), *map(str, options)])
    tutorial_train_segmenter.main()


def test_the_loss_falls_and_what_is_written_is_what_was_judged(tmp_path, monkeypatch, folder, capsys):
    monkeypatch.setattr(tutorial_train_segmenter, "STEPS_PER_EPOCH", 20)
    run(monkeypatch, folder, tmp_path, "--max-steps", 60)
    printed = capsys.readouterr().out
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+), held-out mIoU", printed)]
    assert len(losses) == 3 and losses[-1] < losses[0] and "(background" in printed
    with safe_open(tmp_path / "segmenter.safetensors", "pt") as file:
        said = file.metadata()
    assert "--size 32" in said["recipe"] and "--data" in said["recipe"] and said["held_out_clean"] in printed
    segmenter = load_segmenter(tmp_path / "segmenter.safetensors")
    assert segmenter.size == 32 and segmenter.names == FolderPhotos(folder, "val").names
    found = judge_segmenter(segmenter, FolderPhotos(folder, "val"), 2, tutorial_train_segmenter.JUDGING_SEED)
    assert found["held_out_clean"] == said["held_out_clean"]


def test_a_place_where_nothing_can_be_written_is_refused_before_the_training(monkeypatch, folder, capsys):
    for network in ("pixel", "segformer"):
        with pytest.raises(SystemExit):
            run(monkeypatch, folder, folder, "--network", network, "--out", folder)
        assert "is a folder" in capsys.readouterr().err


@pytest.mark.parametrize("network", ["u2net", "segformer"])
def test_an_interrupted_training_of_each_network_goes_on_where_it_was(tmp_path, monkeypatch, folder, network):
    monkeypatch.setattr(tutorial_train_segmenter, "STEPS_PER_EPOCH", 1)
    options = ["--max-steps", 2, "--network", network, *(["--width", 4] if network == "u2net" else [])]
    run(monkeypatch, folder, tmp_path / "unbroken", *options)

    def stop(training, outputs, batch, batch_idx):
        if training.global_step == 2:
            raise InterruptedError

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(SegmenterTraining, "on_train_batch_end", stop)
        run(monkeypatch, folder, tmp_path / "broken", *options)
    run(monkeypatch, folder, tmp_path / "broken", *options)
    name = "segformer" if network == "segformer" else "segmenter.safetensors"
    unbroken, broken = (load_segmenter(tmp_path / part / name) for part in ("unbroken", "broken"))
    assert type(unbroken) is (SegFormerSegmenter if network == "segformer" else U2NetSegmenter)
    assert unbroken.names == FolderPhotos(folder, "val").names
    other = broken.network.state_dict()
    assert all(torch.equal(value, other[name]) for name, value in unbroken.network.state_dict().items())


def test_a_segformers_folder_is_replaced_whole_and_keeps_its_recipe(tmp_path):
    for labels in (("background", "coat"), ("background", "coat", "shoe")):
        SegFormerSegmenter.fresh(labels, 32).save(tmp_path / "model", dict(recipe="some command"))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["recipe"] == "some command" and config["regions"] == ["background", "coat", "shoe"]
    assert load_segmenter(tmp_path / "model").names == ("background", "coat", "shoe")
    (tmp_path / "notes").mkdir()
    with pytest.raises(ValueError, match="notes is there and holds no model"):
        SegFormerSegmenter.fresh(("a", "b"), 32).save(tmp_path / "notes", {})
