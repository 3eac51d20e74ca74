"""FID, KID, SSIM, PSNR, LPIPS, Inception: each against a computation that shares no code with it."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from einops import rearrange
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure
from torchmetrics.functional.image.lpips import _LPIPS
from torchmetrics.image.kid import KernelInceptionDistance
from torchvision import models

from evaluation import inception
from evaluation.distances import (
    frechet_distance,
    kernel_distance,
    psnr,
    ssim,
    weighted_frechet,
    weighted_kernel,
)
from evaluation.lpips import Lpips
from evaluation.metrics import PerceptionInMask, cut_to_mask


def pictures(num=3, size=48, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (num, size, size, 3), np.uint8)


def smooth(num=3, size=48, seed=0):
    coarse = torch.tensor(np.random.default_rng(seed).random((num, 3, 6, 6)))
    x = torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1)
    return rearrange((255 * x).round().to(torch.uint8), "n c h w -> n h w c").numpy()


def as_tensor(images):
    return rearrange(torch.tensor(images), "n h w c -> n c h w").double() / 255


def exact(num, mean, deviations, seed):
    """Features (num, d) whose mean and standard deviations are exactly these, without correlation."""
    x = np.random.default_rng(seed).normal(size=(num, len(mean)))
    x = np.linalg.qr(x - x.mean(0))[0]
    return x * np.sqrt(num - 1) * deviations + mean


def test_fid_of_two_gaussians_is_the_closed_form():
    mean_a, mean_b = np.array([1.0, 0, -2]), np.array([0.5, 1, 0])
    a, b = np.array([1.0, 2, 0.5]), np.array([3.0, 1, 0.25])
    wanted = ((mean_a - mean_b) ** 2).sum() + ((a - b) ** 2).sum()
    found = frechet_distance(exact(50, mean_a, a, 0), exact(40, mean_b, b, 1))
    assert found == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize(("num_a", "num_b", "dims"), [(40, 30, 6), (12, 15, 24)])
def test_fid_is_that_of_covariances_and_their_root(num_a, num_b, dims):
    """Also of fewer pictures than features, where the covariances are singular."""
    rng = np.random.default_rng(3)
    a = rng.normal(size=(num_a, dims)) @ rng.normal(size=(dims, dims))
    b = rng.normal(size=(num_b, dims)) + 0.3
    c_a, c_b = torch.tensor(np.cov(a.T)), torch.tensor(np.cov(b.T))
    root = torch.linalg.eigvals(c_a @ c_b).sqrt().real.sum().item()
    wanted = ((a.mean(0) - b.mean(0)) ** 2).sum() + (c_a.trace() + c_b.trace()).item() - 2 * root
    assert frechet_distance(a, b) == pytest.approx(wanted, rel=1e-4)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6 * np.trace(c_a))


class AsTheyAre(torch.nn.Module):
    def forward(self, x):
        return x


def test_kid_is_the_unbiased_mmd_of_the_cubic_kernel():
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(30, 8)).astype(np.float32), rng.normal(0.2, 1, (30, 8)).astype(np.float32)
    metric = KernelInceptionDistance(feature=AsTheyAre(), subsets=1, subset_size=30, normalize=True)
    metric.update(torch.tensor(a), real=True)
    metric.update(torch.tensor(b), real=False)
    assert kernel_distance(a, b) == pytest.approx(metric.compute()[0].item(), rel=1e-3)


def test_kid_of_two_halves_of_one_set_is_zero_in_the_mean():
    x = np.random.default_rng(5).normal(size=(400, 4))
    halves = [np.random.default_rng(i).permutation(x) for i in range(200)]
    values = [kernel_distance(half[:50], half[50:100]) for half in halves]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(len(values))


@pytest.mark.parametrize(
    ("weighted", "plain"), [(weighted_frechet, frechet_distance), (weighted_kernel, kernel_distance)]
)
def test_distances_of_all_items_are_those_of_all_pictures(weighted, plain):
    rng = np.random.default_rng(6)
    pictures, photos = rng.normal(size=(20, 3, 5)), rng.normal(size=(20, 1, 5))
    wanted = plain(rearrange(pictures, "n s d -> (n s) d"), photos[:, 0])
    assert weighted(pictures, photos)(np.ones(20)) == pytest.approx(wanted, abs=1e-9)


def test_fid_of_a_resample_is_that_of_its_copies():
    rng = np.random.default_rng(7)
    pictures, photos = rng.normal(size=(15, 2, 4)), rng.normal(size=(15, 1, 4))
    weights = rng.multinomial(15, np.full(15, 1 / 15)).astype(float)
    copies = np.repeat(np.arange(15), weights.astype(int))
    wanted = frechet_distance(rearrange(pictures[copies], "n s d -> (n s) d"), photos[copies, 0])
    assert weighted_frechet(pictures, photos)(weights) == pytest.approx(wanted, abs=1e-9)


def test_kid_of_a_resample_stays_unbiased():
    """The mean over resamples is the sample's value, as no picture is paired with its copy."""
    rng = np.random.default_rng(8)
    distance = weighted_kernel(rng.normal(size=(60, 1, 4)), rng.normal(size=(60, 1, 4)))
    values = [distance(w) for w in rng.multinomial(60, np.full(60, 1 / 60), 2000).astype(float)]
    assert abs(np.mean(values) - distance(np.ones(60))) < 4 * np.std(values) / np.sqrt(2000)


@pytest.mark.parametrize("make", [pictures, smooth])
def test_ssim_and_psnr_are_torchmetrics(make):
    a, b = make(seed=1), make(seed=2)
    _, everywhere = structural_similarity_index_measure(
        as_tensor(a), as_tensor(b), data_range=1.0, reduction="none", return_full_image=True
    )
    # where its windows lie wholly in the picture: Wang et al. take no others
    wanted = everywhere[..., 5:-5, 5:-5].mean((1, 2, 3))
    assert ssim(a, b) == pytest.approx(wanted.numpy(), abs=1e-9)
    wanted = peak_signal_noise_ratio(
        as_tensor(a), as_tensor(b), data_range=1.0, reduction="none", dim=(1, 2, 3)
    )
    assert psnr(a, b) == pytest.approx(wanted.numpy(), abs=1e-6)
    assert ssim(a, a) == pytest.approx(1) and psnr(a, a) == pytest.approx(100)


@pytest.mark.parametrize(
    ("kind", "build"), [("alex", models.alexnet), ("squeeze", models.squeezenet1_1), ("vgg", models.vgg16)]
)
def test_lpips_is_torchmetrics(tmp_path, kind, build):
    """Its heads on a backbone of random weights."""
    torch.manual_seed(0)
    network = build(weights=None)
    torch.save(network.state_dict(), tmp_path / "backbone.pth")
    found, theirs = Lpips.load(tmp_path / "backbone.pth"), _LPIPS(net=kind, pnet_rand=True).eval()
    for parameter, own in zip(theirs.net.parameters(), network.features.parameters(), strict=True):
        parameter.data = own.data
    a, b = smooth(seed=1, size=64), smooth(seed=2, size=64)
    with torch.no_grad():
        wanted = theirs(as_tensor(a).float() * 2 - 1, as_tensor(b).float() * 2 - 1)
    assert found(a, b) == pytest.approx(wanted.flatten().numpy(), rel=1e-4) and found(a, b).min() > 0
    assert found(a, a) == pytest.approx(0)
    assert found.facts(tmp_path / "backbone.pth")["backbone"] == kind


@dataclass
class Masked:
    photo: np.ndarray
    mask: np.ndarray


def test_lpips_in_the_masks_box_sees_nothing_else():
    photo, picture = smooth(1, 128, seed=1)[0], smooth(1, 128, seed=2)[0]
    mask = np.zeros((128, 128), bool)
    mask[20:100, 30:110] = True
    gauge = PerceptionInMask(lambda a, b: np.abs(a.astype(float) - b).mean((1, 2, 3)), "differences")
    (inside,) = gauge.measure([picture], [Masked(photo, mask)])
    box = np.s_[20:100, 30:110]
    assert inside == pytest.approx(np.abs(picture[box].astype(float) - photo[box]).mean())
    elsewhere = np.where(mask[..., None], picture, 0)
    assert gauge.measure([elsewhere], [Masked(photo, mask)]) == pytest.approx(inside[None])


@pytest.mark.parametrize(
    ("rows", "columns", "wanted"),
    [((60, 62), (10, 90), (64, 80)), ((0, 2), (126, 128), (64, 64)), ((0, 128), (0, 128), (128, 128))],
)
def test_a_small_box_is_widened_inside_the_picture(rows, columns, wanted):
    mask = np.zeros((128, 128), bool)
    mask[slice(*rows), slice(*columns)] = True
    places = np.stack(np.mgrid[:128, :128], 2)
    found = cut_to_mask(places, mask, 64)
    assert found.shape[:2] == wanted
    for axis, (first, last) in enumerate((rows, columns)):
        assert found[..., axis].min() <= first and found[..., axis].max() >= last - 1


def test_a_file_that_is_no_backbone_is_refused(tmp_path):
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="no backbone of LPIPS: wanted torchvision's vgg16"):
        Lpips.load(tmp_path / "other.pth")
    with pytest.raises(ValueError, match="no Inception v3: wanted"):
        inception.Inception.load(tmp_path / "other.pth")
    with pytest.raises(FileNotFoundError, match=r"nothing\.pth does not exist"):
        Lpips.load(tmp_path / "nothing.pth")
