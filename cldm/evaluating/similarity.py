"""Pixel likeness of two pictures: SSIM and PSNR."""

import math

import torch
from einops import rearrange
from torch.nn.functional import conv2d

WINDOW, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03
LEAST_ERROR = 1e-10  # of squares of [0, 1]: equal pictures have a PSNR of 100 dB


def pixels(pictures):
    """Pictures uint8 (n, H, W, 3) -> float64 (n, 3, H, W) in [0, 1]."""
    return rearrange(torch.tensor(pictures), "n h w c -> n c h w").double() / 255


def psnr(a, b):
    """Peak signal-to-noise ratios in dB, float64 (n,), of pictures uint8 (n, H, W, 3); 100 at most."""
    errors = (pixels(a) - pixels(b)).square().mean((1, 2, 3)).clamp(min=LEAST_ERROR)
    return (-10 * errors.log10()).numpy()


def ssim(a, b):
    """Structural similarities in [-1, 1], float64 (n,), of pictures uint8 (n, H, W, 3).

    Wang et al. 2004, equation 13, over Gaussian windows of 11 pixels that lie wholly in the picture, the mean
    over these and the three channels.
    """
    a, b = pixels(a), pixels(b)
    mean_a, mean_b = blurred(a), blurred(b)
    variance_a, variance_b = blurred(a * a) - mean_a**2, blurred(b * b) - mean_b**2
    covariance = blurred(a * b) - mean_a * mean_b
    c1, c2 = K1**2, K2**2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
    return (luminance * structure).mean((1, 2, 3)).numpy()


def blurred(x):
    """(n, c, H, W) -> Gaussian means (n, c, H - 10, W - 10)."""
    weights = [math.exp(-((i - WINDOW // 2) ** 2) / (2 * SIGMA**2)) for i in range(WINDOW)]
    line = torch.tensor(weights, dtype=x.dtype) / sum(weights)
    channels = x.shape[1]
    down, across = (rearrange(line, f"k -> 1 1 {form}").repeat(channels, 1, 1, 1) for form in ("k 1", "1 k"))
    return conv2d(conv2d(x, down, groups=channels), across, groups=channels)
