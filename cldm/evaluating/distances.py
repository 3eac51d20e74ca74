"""Distances of two sets of pictures by their features: Frechet's (FID) and the kernel one (KID).

Both are functions of weights of the items, which count how often a resample has drawn each. An item is a
held-out map with `s` pictures and one photo.
"""

import numpy as np
from einops import rearrange, repeat


def frechet_distance(a, b, weights_a=None, weights_b=None) -> float:
    """|mean_a - mean_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)) of features (n, d), (m, d), arXiv 1706.08500.

    With A and B the centred features, C = A^T A / (n - 1) and so on, the last trace is the sum of the
    singular values of A B^T / ((n - 1) (m - 1))^(1/2): no root of a matrix that few pictures make singular.
    """
    mean_a, rows_a = _centred(a, weights_a)
    mean_b, rows_b = _centred(b, weights_b)
    common = np.linalg.svd(rows_a @ rows_b.T, compute_uv=False).sum()
    traces = (rows_a**2).sum() + (rows_b**2).sum() - 2 * common
    return float(((mean_a - mean_b) ** 2).sum() + traces)


def _centred(x, weights):
    """(mean (d,), rows R (at most d, d) with R^T R = the covariance) of weighted features (n, d)."""
    x = np.asarray(x, np.float64)
    weights = np.ones(len(x)) if weights is None else weights
    x, weights = x[weights > 0], weights[weights > 0]
    mean = weights @ x / weights.sum()
    rows = (x - mean) * np.sqrt(weights / max(weights.sum() - 1, 1))[:, None]
    return mean, np.linalg.qr(rows, mode="r") if len(rows) > rows.shape[1] else rows


def weighted_frechet(pictures, photos):
    """A function of weights (n,) that gives the distance of features (n, s, d) and (n, 1, d)."""
    s, a, b = pictures.shape[1], rearrange(pictures, "n s d -> (n s) d"), rearrange(photos, "n 1 d -> n d")
    return lambda weights: frechet_distance(a, b, repeat(weights, "n -> (n s)", s=s), weights)


def kernel_distance(a, b) -> float:
    """Unbiased squared MMD of features (n, d) and (m, d), arXiv 1801.01401, equation 4."""
    x, y, between = kernel(a, a), kernel(b, b), kernel(a, b)
    n, m = between.shape
    inside = (x.sum() - np.trace(x)) / (n * (n - 1)) + (y.sum() - np.trace(y)) / (m * (m - 1))
    return float(inside - 2 * between.mean())


def kernel(a, b):
    """The polynomial kernel (a . b / d + 1)^3 of features (n, d) and (m, d), float64 (n, m)."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return (a @ b.T / a.shape[1] + 1) ** 3


def weighted_kernel(pictures, photos):
    """As weighted_frechet, for the kernel distance.

    Pairs of two items count as often as both were drawn, pairs within an item as often as the item; a picture
    is never paired with itself, nor with its copy in a resample.
    """
    s = pictures.shape[1]
    a, b = rearrange(pictures, "n s d -> (n s) d"), rearrange(photos, "n 1 d -> n d")
    x, y = kernel(a, a), kernel(b, b)
    np.fill_diagonal(x, 0)
    np.fill_diagonal(y, 0)
    x = rearrange(x, "(n s) (m t) -> n m s t", s=s, t=s).sum((2, 3))
    between = rearrange(kernel(a, b), "(n s) m -> n m s", s=s).sum(2)

    def distance(weights):
        inside = _mean(x, weights, s * s, s * (s - 1)) + _mean(y, weights, 1, 0)
        return float(inside - 2 * _mean(between, weights, s, s))

    return distance


def _mean(sums, weights, pairs, pairs_within):
    """The weighted mean over pairs of pictures; sums (n, n) over `pairs` of two items, or within an item."""
    own = np.diag(sums)
    total = weights @ sums @ weights - (weights**2 - weights) @ own
    apart = weights.sum() ** 2 - (weights**2).sum()
    weight = pairs * apart + pairs_within * weights.sum()
    # a single picture has no pair
    return total / weight if weight else float("nan")
