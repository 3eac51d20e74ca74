"""Intervals hold the true difference about as often as they say, whatever the metric."""

import numpy as np
import pytest

from evaluation.comparison import Difference, compare, compare_sets, draw_resamples, find_interval, student
from evaluation.metrics import Features, Regions, mean_of
from jobs.progress import Progress

NAMES = "background", "top", "bottom"


def coverage(draw, statistic, truth, num_items, trials=300, number=200):
    """The share of intervals that hold the truth; `draw` gives rows of A, B and the photos (n, 1, ...)."""
    held = 0
    for trial in range(trials):
        rng = np.random.default_rng([9, trial])
        a, b, photos = draw(rng, num_items)
        value_a, value_b = statistic(a, photos), statistic(b, photos)
        ones, weights = np.ones(num_items), draw_resamples(num_items, number, trial)
        resampled = np.array([value_b(w) - value_a(w) for w in weights])
        low, high = find_interval(value_b(ones) - value_a(ones), resampled, num_items)
        held += low <= truth <= high
    return held / trials


@pytest.mark.parametrize("num_items", [10, 40])
def test_intervals_of_means_hold_the_truth(num_items):
    def draw(rng, n):
        common, noise = rng.normal(size=(n, 1, 1)), rng.normal(0, 0.3, (2, n, 1, 1))
        return common + noise[0], common + 0.5 + noise[1], None

    assert 0.91 <= coverage(draw, mean_of(0), 0.5, num_items) <= 0.985


def counts(rng, right):
    """Confusions (n, 1, 3, 3) of maps of very different areas, of which shares `right` (n,) are found."""
    n = len(right)
    found = np.zeros((n, 1, 3, 3))
    for region in (1, 2):
        area = rng.lognormal(5, 0.6, n)
        found[:, 0, region, region], found[:, 0, region, 0] = area * right, area * (1 - right)
    return found


def test_intervals_of_miou_hold_the_truth():
    """Areas and shares are independent, so that the IoU of a large sample is the mean share."""

    def draw(rng, n):
        own, shift = rng.beta(6, 3, n), rng.beta(2, 18, n)
        areas = int(rng.integers(2**31))
        return (
            counts(np.random.default_rng(areas), own),
            counts(np.random.default_rng(areas), own * (1 - shift)),
            None,
        )

    statistic = Regions(None, NAMES).metrics[0].statistic
    assert 0.90 <= coverage(draw, statistic, -6 / 9 * 0.1, 40, trials=200) <= 0.985


@pytest.mark.parametrize(("metric", "shift", "truth"), [(0, 0.8, 0.0), (0, 0.2, -0.6), (1, 0.8, 0.0)])
def test_intervals_of_fid_and_kid_hold_the_truth(metric, shift, truth):
    """B lies as far from the photos as A, or nearer, though both come out too far for so few pictures."""

    def draw(rng, n):
        photos = rng.normal(size=(n, 1, 3))
        near = photos + rng.normal(0, 0.5, (2, n, 1, 3))
        return near[0] + [0.8, 0, 0], near[1] + [0, shift, 0], photos

    statistic = Features(None, "any").metrics[metric].statistic
    assert 0.90 <= coverage(draw, statistic, truth, 40, trials=150, number=80) <= 0.995


def test_pairs_tell_more_than_two_sets():
    """Items differ much more than A and B do: only the paired difference shows it."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=(40, 1, 1))
    a, b = common, common + 0.2 + rng.normal(0, 0.1, (40, 1, 1))
    weights, ones = draw_resamples(40, 500), np.ones(40)
    value_a, value_b = mean_of(0)(a, None), mean_of(0)(b, None)
    paired = find_interval(0.2, [value_b(w) - value_a(w) for w in weights], 40)
    shuffled = mean_of(0)(rng.permutation(b), None)
    unpaired = find_interval(0.2, [shuffled(w) - value_a(w) for w in weights], 40)
    assert value_b(ones) - value_a(ones) == pytest.approx(0.2, abs=0.05)
    assert paired[0] > 0 > unpaired[0]


def test_resamples_are_of_all_items_and_always_the_same():
    weights = draw_resamples(13, 50)
    assert weights.shape == (50, 13) and (weights.sum(1) == 13).all()
    assert (weights == draw_resamples(13, 50)).all()


@pytest.mark.parametrize(("degrees", "wanted"), [(7, 2.3646), (9, 2.2622), (30, 2.0423), (1000, 1.9623)])
def test_students_quantile_is_the_tables(degrees, wanted):
    assert student(1.959964, degrees) == pytest.approx(wanted, abs=2e-3)


def test_few_items_get_no_interval():
    assert find_interval(1.0, [0.9, 1.1], 7) is None
    assert Difference("B - A", 1.0, None).verdict("higher") == "no interval, fewer than 8 items tell of it"


def test_a_region_of_few_maps_gets_no_interval():
    rng = np.random.default_rng(1)
    rows = counts(rng, rng.random(40))
    rows[5:, :, 2] = 0
    mean, top, bottom = Regions(None, NAMES).metrics
    told = {m.name: compare(m, dict(photos=rows, A=rows, B=rows), [("A", "B")]) for m in (mean, top, bottom)}
    assert told["IoU top"].differences[0].interval == (0, 0)
    assert told["mIoU"].differences[0].interval is told["IoU bottom"].differences[0].interval is None


def test_a_region_of_no_map_is_left_out():
    rows = counts(np.random.default_rng(2), np.full(9, 0.5))
    rows[:, :, 2] = 0
    rows[:, :, 0, 2] = 7  # found where no map has it
    found = compare_sets([Regions(None, NAMES)], dict(photos=[rows], A=[rows]), [], Progress)
    assert [result.metric.name for result in found] == ["mIoU", "IoU top"]
    assert found[0].values == pytest.approx(dict(photos=0.5, A=0.5))


@pytest.mark.parametrize(
    ("held", "better", "wanted"),
    [
        ((0.1, 0.2), "higher", "better"),
        ((0.1, 0.2), "lower", "worse"),
        ((-0.2, -0.1), "lower", "better"),
        ((-0.1, 0.1), "higher", "no difference shown"),
        ((0.0, 0.1), "higher", "no difference shown"),
    ],
)
def test_a_verdict_wants_an_interval_beyond_zero(held, better, wanted):
    assert Difference("B - A", 0.1, held).verdict(better) == wanted
