"""Held-out maps of different sizes are drawn, judged and shown together."""

from dataclasses import replace

import numpy as np
import pytest

from evaluation.control_miou import measure_control, region_iou, score_pictures, stack_pictures
from generation.generate import Settings
from pictures.hint import HintEncoder
from reporting.strips import draw_strips, load_strips, save_strip, side_by_side
from small import small_model

ENCODER = HintEncoder(("background", "top", "bottom"), ((0, 0, 0), (255, 0, 0), (0, 255, 0)))
SIZES = [(64, 64), (128, 64), (64, 64), (64, 128)]


@pytest.fixture
def maps():
    maps = [np.zeros(size, np.uint8) for size in SIZES]
    for i, ids in enumerate(maps):
        ids[:20, : 10 * (i + 1)] = 1
    return maps


@pytest.fixture
def pictures():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (*size, 3)).astype(np.uint8) for size in SIZES]


def test_a_picture_does_not_depend_on_the_sizes_of_the_others(maps):
    model, settings = small_model(zeros=False), Settings(steps=2, scale=2.0, sampler="dpmpp_2m", seed=5)
    prompts, judge = list("abcd"), lambda pictures: np.ones(pictures.shape[:3], np.uint8)
    together = measure_control(model, maps, prompts, ENCODER, judge, settings)
    assert [picture.shape[:2] for picture in together.pictures] == SIZES
    for i in range(4):
        seeded = replace(settings, seed=5 + i)
        alone = measure_control(model, maps[i : i + 1], prompts[i : i + 1], ENCODER, judge, seeded)
        # rounding of other kernels at other batch sizes
        assert np.abs(alone.pictures[0].astype(int) - together.pictures[i]).max() <= 1


def test_unions_are_summed_over_all_sizes(maps, pictures):
    seen = []

    def judge(pictures):
        seen.append(pictures.shape)
        return np.full(pictures.shape[:3], 1, np.uint8)

    result = score_pictures(pictures, maps, judge, ENCODER.names)
    wanted = sum((ids == 1).sum() for ids in maps) / sum(ids.size for ids in maps)
    assert result.iou == {"top": pytest.approx(wanted)} and result.miou == pytest.approx(wanted)
    assert seen == [(2, 64, 64, 3), (1, 128, 64, 3), (1, 64, 128, 3)]
    assert [ids.shape for ids in result.found] == SIZES


def test_equal_sizes_come_as_one_array(maps):
    same = stack_pictures([maps[0], maps[2]])
    assert isinstance(same, np.ndarray) and same.shape == (2, 64, 64)
    assert isinstance(stack_pictures(maps), list)
    assert region_iou(same, same[:, ::-1], ENCODER.names) == region_iou(
        list(same), list(same[:, ::-1]), ENCODER.names
    )


def test_strips_are_padded_with_white_and_read_back(pictures, tmp_path):
    strip = side_by_side(pictures)
    assert strip.shape == (128, 64 + 64 + 64 + 128, 3) and (strip[64:, :64] == 255).all()
    save_strip(tmp_path / "samples" / "step_000003.png", pictures)
    read = load_strips(tmp_path / "samples", SIZES)
    assert list(read) == [3]
    assert all(np.array_equal(a, b) for a, b in zip(read[3], pictures, strict=True))
    assert load_strips(tmp_path / "samples", SIZES[:3]) == {}
    assert draw_strips([("mask", pictures), ("drawn", pictures)]).shape[1] == strip.shape[1]
