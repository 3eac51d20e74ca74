"""The segmenter that judges what a control achieves: how well it knows paper dolls, and what it refuses."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from einops import rearrange
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import tutorial_train_segmenter
from annotator.segment import PixelSegmenter
from learning.segmenter.distorted_dolls import DistortedDolls, degrade_all, draw_dolls
from learning.segmenter.train import SegmenterTraining, overlap_loss
from pictures.region_overlap import confusion, mean_iou

WEIGHTS = Path(__file__).parents[2] / "models" / "tiny" / "segmenter.safetensors"


@pytest.fixture(scope="module")
def segmenter():
    return PixelSegmenter.load(WEIGHTS)


@pytest.fixture(scope="module")
def dolls():
    """Photos and region maps of 48 dolls of a seed that the training knows nothing of."""
    return draw_dolls(48, seed=20_000)


def test_clean_dolls_are_known_to_nine_tenths(segmenter, dolls):
    photos, maps = dolls
    assert mean_iou(confusion(segmenter.segment(photos), maps, 5)) >= 0.9


def test_degraded_dolls_are_known_almost_as_well(segmenter, dolls):
    photos, maps = dolls
    assert mean_iou(confusion(segmenter.segment(degrade_all(photos, seed=1)), maps, 5)) >= 0.85


def test_a_picture_does_not_depend_on_its_batch(segmenter, dolls):
    photos = dolls[0][:40]
    alone = np.stack([segmenter(photo) for photo in photos[::13]])
    assert (segmenter.segment(photos)[::13] != alone).mean() < 1e-3


def test_pictures_of_other_sizes_get_maps_of_their_size(segmenter, dolls):
    photo, wanted = dolls[0][0], dolls[1][0]
    for height, width in ((256, 256), (96, 96), (200, 160)):
        ids = segmenter(cv2.resize(photo, (width, height)))
        assert ids.shape == (height, width) and ids.dtype == np.uint8
        resized = cv2.resize(wanted, (width, height), interpolation=cv2.INTER_NEAREST)
        assert mean_iou(confusion(ids, resized, 5)) > 0.75


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((128, 128), np.uint8),
        np.zeros((128, 128, 4), np.uint8),
        np.zeros((128, 128, 3), np.float32),
        np.zeros((2, 128, 128, 3), np.uint8),
        np.zeros((0, 128, 3), np.uint8),
    ],
)
def test_other_pictures_are_refused_in_one_line(segmenter, wrong):
    with pytest.raises(ValueError, match=r"uint8 \(h, w, 3\)|uint8 \(b, h, w, 3\)") as error:
        segmenter(wrong)
    assert str(wrong.shape) in str(error.value) or str((1, *wrong.shape)) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_mirrored_picture_is_a_picture(segmenter, dolls):
    picture = np.zeros((128, 128, 3), np.uint8)[::-1, ::-1]
    assert segmenter(picture).shape == (128, 128)


def test_weights_that_are_missing_or_of_something_else_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no segmenter weights at .*tutorial_train_segmenter.py"):
        PixelSegmenter.load(tmp_path / "nothing.safetensors")
    save_file({"weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"broken")
    for name in ("other", "broken"):
        with pytest.raises(ValueError, match=f"{name}.safetensors holds no weights of this segmenter"):
            PixelSegmenter.load(tmp_path / f"{name}.safetensors")


def test_weights_are_small_and_say_what_they_are():
    assert WEIGHTS.stat().st_size <= 200_000
    assert all(w.dtype == torch.float16 for w in load_file(WEIGHTS).values() if w.is_floating_point())
    with safe_open(WEIGHTS, "pt") as file:
        assert {"recipe", "held_out_clean", "held_out_degraded"} <= set(file.metadata())


def test_saved_weights_load_as_they_were(tmp_path, segmenter, dolls):
    segmenter.save(tmp_path / "copy.safetensors", {})
    copy = PixelSegmenter.load(tmp_path / "copy.safetensors")
    assert (copy(dolls[0][0]) == segmenter(dolls[0][0])).all()


def test_overlap_loss_is_zero_for_a_perfect_map():
    ids = torch.randint(0, 5, (2, 8, 8))
    logits = 50.0 * rearrange(torch.nn.functional.one_hot(ids, 5), "b h w r -> b r h w")
    assert overlap_loss(logits.log_softmax(1), ids) < 1e-3
    assert overlap_loss(torch.zeros(2, 5, 8, 8).log_softmax(1), ids) > 0.5


def test_an_item_depends_on_its_number_alone(dolls):
    one, other = DistortedDolls(*dolls, seed=0, num_items=9), DistortedDolls(*dolls, seed=0, num_items=9)
    first, _ = one[3], other[8]
    assert all((a == b).all() for a, b in zip(first, other[3], strict=True))
    assert first[0].shape == (128, 128, 3) and first[0].dtype == first[1].dtype == np.uint8


def test_a_step_trains_every_weight(dolls):
    training = SegmenterTraining(PixelSegmenter.fresh(), learning_rate=1e-3, num_steps=1)
    photos, maps = (torch.from_numpy(array[:2]) for array in dolls)
    (logits,) = training(photos)
    log_probabilities = logits.log_softmax(dim=1)
    assert log_probabilities.shape == (2, 5, 128, 128)
    overlap_loss(log_probabilities, maps.long()).backward()
    assert all(p.grad is not None and p.grad.any() for p in training.parameters())


def test_an_interrupted_training_goes_on_where_it_was(tmp_path, monkeypatch, capsys):
    def train(name):
        options = (
            f"--max-steps 3 --dolls 4 --held-out 4 --batch-size 2 --precision 32-true --run {tmp_path / name}"
        )
        monkeypatch.setattr(
            "sys.argv", ["", *options.split(), "--out", str(tmp_path / f"{name}.safetensors")]
        )
        tutorial_train_segmenter.main()

    def stop(training, outputs, batch, batch_idx):
        if training.global_step == 2:
            raise InterruptedError

    monkeypatch.setattr(tutorial_train_segmenter, "STEPS_PER_EPOCH", 1)
    train("unbroken")
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(SegmenterTraining, "on_train_batch_end", stop)
        train("broken")
    assert not (tmp_path / "broken.safetensors").exists()
    capsys.readouterr()
    train("broken")
    printed = capsys.readouterr().out
    assert (
        "step 1 of 3" not in printed
        and "step 3 of 3" in printed
        and "clean held-out pictures: mIoU" in printed
    )
    unbroken, broken = (load_file(tmp_path / f"{name}.safetensors") for name in ("unbroken", "broken"))
    assert all((unbroken[key] == broken[key]).all() for key in unbroken)
