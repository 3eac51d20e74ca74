"""Distances of two sets of pictures by their features: Frechet's (FID) and the kernel one (KID).

Both are functions of weights of the items, which count how often a resample has drawn each. An item is a
held-out map with `s` pictures and one photo.
"""

import math

import numpy as np
import torch
from einops import rearrange, repeat
from torch.nn.functional import conv2d


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


WINDOW, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03
LEAST_ERROR = 1e-10  # of squares of [0, 1]: equal pictures have a PSNR of 100 dB


def to_unit_range(pictures):
    """Pictures uint8 (n, H, W, 3) -> float64 (n, 3, H, W) in [0, 1]."""
    return rearrange(torch.tensor(pictures), "n h w c -> n c h w").double() / 255


def psnr(a, b):
    """Peak signal-to-noise ratios in dB, float64 (n,), of pictures uint8 (n, H, W, 3); 100 at most."""
    errors = (to_unit_range(a) - to_unit_range(b)).square().mean((1, 2, 3)).clamp(min=LEAST_ERROR)
    return (-10 * errors.log10()).numpy()


def ssim(a, b):
    """Structural similarities in [-1, 1], float64 (n,), of pictures uint8 (n, H, W, 3).

    Wang et al. 2004, equation 13, over Gaussian windows of 11 pixels that lie wholly in the picture, the mean
    over these and the three channels.
    """
    a, b = to_unit_range(a), to_unit_range(b)
    mean_a, mean_b = blur(a), blur(b)
    variance_a, variance_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    c1, c2 = K1**2, K2**2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
    return (luminance * structure).mean((1, 2, 3)).numpy()


def blur(x):
    """(n, c, H, W) -> Gaussian means (n, c, H - 10, W - 10)."""
    weights = [math.exp(-((i - WINDOW // 2) ** 2) / (2 * SIGMA**2)) for i in range(WINDOW)]
    line = torch.tensor(weights, dtype=x.dtype) / sum(weights)
    channels = x.shape[1]
    down, across = (rearrange(line, f"k -> 1 1 {form}").repeat(channels, 1, 1, 1) for form in ("k 1", "1 k"))
    return conv2d(conv2d(x, down, groups=channels), across, groups=channels)
