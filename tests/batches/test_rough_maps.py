"""Rough maps move outlines no farther than asked, add no colour, and repeat by seed, epoch and item."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from batches.augment import Draw, FlippedItems, RoughItems, RoughMaps, dilate, simplify
from batches.loader import SeededBatches, TrainingData
from ldm.checkpoint import read_state_dict
from learning.options import TrainOptions
from learning.train import train
from pictures.hint import HintEncoder
from pictures.regions import REGIONS_FILE
from small_data import TALL, WIDE, write_base, write_items
from tutorial_dataset import MyDataset

ENCODER = HintEncoder.from_file(REGIONS_FILE)


def blobs(seed=0, size=96):
    """A mask of smooth blobs, some with holes."""
    noise = np.random.default_rng(seed).normal(size=(size, size))
    return cv2.GaussianBlur(noise, (0, 0), 6) > 0


def garments(seed=0):
    """Region ids (96, 96): a top over a bottom, a head, and a thin strap."""
    rng = np.random.default_rng(seed)
    ids = np.zeros((96, 96), np.uint8)
    ids[50:85, 30:60], ids[20:55, 25:65], ids[5:18, 38:52] = 2, 1, 4
    ids[20:50, 70 + rng.integers(5)] = 3
    return ids


def distance_to_outline(mask):
    """Distance (h, w) of each pixel to the nearest one on the other side of the mask's outline."""
    inside, outside = (
        cv2.distanceTransform(side.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        for side in (mask, ~mask)
    )
    return np.maximum(inside, outside)


@pytest.mark.parametrize("pixels", [1, 3, 6])
def test_regions_grow_and_shrink_by_the_asked_number_of_pixels(pixels):
    mask, distance = blobs(), distance_to_outline(blobs())
    grown, shrunk = dilate(mask, pixels), dilate(mask, -pixels)
    assert (grown >= mask).all() and (shrunk <= mask).all() and np.array_equal(dilate(mask, 0), mask)
    for changed, side in ((grown ^ mask, ~mask), (shrunk ^ mask, mask)):
        assert pixels - 0.5 < distance[changed].max() < pixels + 0.5
        assert changed[side & (distance <= pixels - 0.5)].all()


def test_a_region_at_the_pictures_edge_does_not_shrink_from_it():
    mask = np.zeros((20, 20), bool)
    mask[:, :10] = True
    assert np.array_equal(np.argwhere(~dilate(mask, -3)).min(0), [0, 7])


@pytest.mark.parametrize("seed", range(5))
def test_an_outline_simplified_by_nothing_is_the_outline(seed):
    mask = blobs(seed)
    outlines, family = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    assert (family[0, :, 3] >= 0).any() or seed  # holes stay holes
    assert np.array_equal(simplify(mask, 0), mask)


@pytest.mark.parametrize("pixels", [2, 5])
def test_simplified_outlines_have_few_corners_and_stay_near(pixels):
    mask = blobs(3)
    rough, distance = simplify(mask, pixels), distance_to_outline(mask)
    assert (rough != mask).any() and distance[rough != mask].max() <= pixels + 1.5
    corners = [
        sum(
            len(cv2.approxPolyDP(c, 0.8, True))
            for c in cv2.findContours(m.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[0]
        )
        for m in (mask, rough)
    ]
    assert corners[1] < 0.6 * corners[0]


def test_no_region_vanishes_and_none_is_new():
    for seed in range(20):
        ids, rough = garments(seed), RoughMaps(ENCODER, 6, 4)
        made = rough.ids(ids, np.random.default_rng(seed))
        assert made.dtype == np.uint8 and set(np.unique(made)) == set(np.unique(ids))
        assert not np.array_equal(made, ids)


def test_amounts_differ_between_regions_and_reach_from_shrinking_to_growing():
    areas = []
    for seed in range(40):
        made = RoughMaps(ENCODER, 4, 0).ids(garments(), np.random.default_rng(seed))
        areas.append([(made == region).sum() - (garments() == region).sum() for region in (1, 4)])
    areas = np.array(areas)
    assert (areas.min(0) < 0).all() and (areas.max(0) > 0).all() and (areas[:, 0] * areas[:, 1] < 0).any()


@pytest.mark.parametrize("dilation, simplification", [(0, 3), (3, 0), (3, 3)])
def test_colours_stay_the_regions_to_the_bit(dilation, simplification):
    rough = RoughMaps(ENCODER, dilation, simplification)
    ids = garments()
    hint = rough.hint(ENCODER.to_hint(ids), np.random.default_rng(0))
    assert hint.dtype == torch.float32 and hint.shape == (*ids.shape, 3)
    palette = {tuple(colour) for colour in ENCODER.to_hint(np.arange(5, dtype=np.uint8))}
    assert {tuple(colour) for colour in hint.numpy().reshape(-1, 3)} <= palette


@pytest.fixture
def folder(tmp_path):
    return write_items(write_base(tmp_path), [WIDE, TALL] * 4)


def loaded(folder, epoch=0, workers=0, rough=(3, 2), seed=1):
    """Hints of an epoch by prompt and size, photos too."""
    rough = RoughMaps(ENCODER, *rough) if rough else None
    data = TrainingData(MyDataset(folder), 2, seed, num_workers=workers, flip=False, rough=rough)
    data.trainer = SimpleNamespace(
        global_rank=0, world_size=1, strategy=SimpleNamespace(root_device=torch.device("cpu"))
    )
    loader = data.train_dataloader()
    loader.batch_sampler.set_epoch(epoch)
    items = {}
    for batch in loader:
        for i, text in enumerate(batch["txt"]):
            items[text, tuple(batch["jpg"].shape)] = batch["jpg"][i], batch["hint"][i]
    return items


def test_photos_are_untouched_and_maps_repeat_by_seed_and_epoch_whatever_the_workers(folder):
    plain, rough, workers = loaded(folder, rough=None), loaded(folder), loaded(folder, workers=2)
    assert plain.keys() == rough.keys() == workers.keys()
    assert all(torch.equal(plain[key][0], rough[key][0]) for key in plain)
    assert not all(torch.equal(plain[key][1], rough[key][1]) for key in plain)
    assert all(torch.equal(rough[key][1], workers[key][1]) for key in plain)
    others = loaded(folder, epoch=1), loaded(folder, seed=2)
    assert all(not all(torch.equal(o[key][1], rough[key][1]) for key in o) for o in others)


def test_rough_maps_of_mirrored_items_are_of_the_mirrored_map(folder):
    items, plain = FlippedItems(MyDataset(folder)), MyDataset(folder)[3]
    rough, mirrored = RoughMaps(ENCODER, 4, 0), torch.from_numpy(plain["hint"]).flip(1)
    made = RoughItems(items, rough, seed=7)[Draw(3, True, 2)]
    assert torch.equal(made["jpg"], torch.from_numpy(plain["jpg"]).flip(1))
    assert torch.equal(made["hint"], rough.hint(mirrored, np.random.default_rng([7, 2, 3])))
    assert not torch.equal(made["hint"], mirrored)


def test_a_run_with_every_quality_option_resumes_exactly(folder):
    options = dict(data=str(folder), model=str(folder / "small.yaml"), base=str(folder / "ini.safetensors"))
    options |= dict(batch_size=2, precision="32-true", workers=0, image_log_every=0, learning_rate=1e-3)
    options |= dict(mask_dilation=3, mask_simplification=2, flip=True, warmup_steps=2, seed=5)
    options |= dict(hint_dropout=0.3, min_snr_gamma=5.0, ema_decay=0.9, align=0.2, align_at="down_1")
    published = []
    for name, stops in (("whole", [6]), ("parts", [1, 5, 6])):  # an epoch has 4 steps
        for stop in stops:
            made = TrainOptions(run=str(folder / name), max_steps=stop, **options)
            train(made, MyDataset(folder), encoder=ENCODER)
        published.append(read_state_dict(folder / name / "control.safetensors"))
    assert all(torch.equal(published[0][name], published[1][name]) for name in published[0])
    assert published[0].keys() == published[1].keys() and not any(
        "alignment" in name for name in published[0]
    )


def test_the_sampler_tells_items_the_epoch_and_changes_nothing_else():
    for flip in (False, True):
        batches = SeededBatches(20, 4, seed=3, flip=flip)
        batches.set_epoch(6)
        draws = [draw for batch in batches for draw in batch]
        assert {draw.epoch for draw in draws} == {6}
        assert [draw.index for draw in draws] == [i for place in range(5) for i in batches.items_at(place)]
        assert any(draw.mirrored for draw in draws) == flip


def test_maps_of_other_colours_are_refused_with_the_remedy():
    class Circles:
        def __getitem__(self, place):
            return dict(hint=torch.full((64, 64, 3), 0.7), txt="a circle")

    items = RoughItems(Circles(), RoughMaps(ENCODER, 3, 0), seed=0)
    with pytest.raises(ValueError, match="map of item 5 .* mask_dilation=0 .* 4096 of 4096 pixels are off"):
        items[Draw(5)]


def test_a_folder_without_regions_is_refused_at_the_start(folder):
    options = dict(model=str(folder / "small.yaml"), base=str(folder / "ini.safetensors"), batch_size=2)
    options = TrainOptions(run=str(folder / "run"), data=str(folder), mask_dilation=2, **options)
    with pytest.raises(ValueError, match=f"mask_dilation .* {folder} has no regions.yaml"):
        train(options, MyDataset(folder))
