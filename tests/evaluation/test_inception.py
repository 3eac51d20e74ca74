"""Inception's features from a local file: torchvision's own, and those of published FIDs."""

import numpy as np
import pytest
import torch
from einops import rearrange
from PIL import Image
from torch.nn.functional import interpolate, pad, unfold
from torchvision.models import Inception3

from evaluation import inception


@pytest.fixture(scope="module")
def state():
    """Random weights in torchvision's layout, with an auxiliary head and batch statistics of any scale."""
    torch.manual_seed(0)
    return Inception3(init_weights=False).eval().state_dict()


@pytest.fixture(scope="module")
def published(state):
    """The same in the layout of the file behind published FIDs."""
    kept = {name: value for name, value in state.items() if "AuxLogits" not in name and "fc" not in name}
    kept = {name: value for name, value in kept.items() if "num_batches" not in name}
    return kept | {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}


def pictures(num=2):
    return np.random.default_rng(0).integers(0, 256, (num, 80, 64, 3), np.uint8)


def test_features_are_what_torchvisions_last_layer_reads(state, tmp_path):
    torch.save(state, tmp_path / "inception.pth")
    found = inception.Inception.load(tmp_path / "inception.pth")
    network = Inception3(init_weights=False).eval()
    network.load_state_dict(state)
    read = []
    network.fc.register_forward_pre_hook(lambda _, arguments: read.append(arguments[0]))
    x = rearrange(torch.tensor(pictures()), "n h w c -> n c h w").float() / 127.5 - 1
    with torch.no_grad():
        network(interpolate(x, (299, 299), mode="bilinear", antialias=True))
    assert found(pictures()).shape == (2, 2048)
    assert np.allclose(found(pictures()), read[0].numpy(), rtol=1e-4, atol=1e-6)
    facts = found.facts(tmp_path / "inception.pth")
    assert facts["weights"] == "torchvision's Inception v3" and len(facts["sha256"]) == 16


def windows(x):
    """(n, c, h, w) -> (n, c, 9, h * w): 3 x 3 around each place, nan beyond the border."""
    values = unfold(pad(x, (1, 1, 1, 1), value=float("nan")), 3)
    return rearrange(values, "n (c k) p -> n c k p", k=9)


@pytest.mark.parametrize(("name", "channels"), [("5b", 192), ("6c", 768), ("7b", 1280), ("7c", 2048)])
def test_published_weights_pool_as_they_were_trained(published, name, channels):
    """Means of what lies in the picture, maxima in the last block."""
    network, said = inception.build(published, "file")
    network.eval()
    assert said == "Inception v3 of 2015"
    block = getattr(network, f"Mixed_{name}")
    x = torch.randn(1, channels, 6, 6, generator=torch.Generator().manual_seed(1))
    around = windows(x)
    pooled = around.nan_to_num(-1e9).amax(2) if name == "7c" else around.nanmean(2)
    with torch.no_grad():
        wanted = block.block.branch_pool(rearrange(pooled, "n c (h w) -> n c h w", h=6))
        found = block(x)
        usual = block.block(x)
    last = wanted.shape[1]
    assert torch.allclose(found[:, -last:], wanted, rtol=1e-4, atol=1e-6)
    assert torch.equal(found[:, :-last], usual[:, :-last])
    assert not torch.allclose(found[:, -last:], usual[:, -last:], rtol=1e-2)


def test_half_a_network_is_refused(state):
    lacking = {name: value for name, value in state.items() if "Mixed_7c.branch3x3_2a" not in name}
    with pytest.raises(ValueError, match="no Inception v3: wanted pt_inception-2015"):
        inception.build(lacking, "file")


def test_pictures_are_squeezed_as_by_clean_fid():
    """Pillow's bicubic filter on each channel as 32-bit numbers, neither rounded nor aliased."""
    found = inception.squeeze_as_clean_fid(pictures())
    assert found.shape == (2, 3, 299, 299) and found.dtype == torch.float32
    for picture, squeezed in zip(pictures(), found, strict=True):
        for c in range(3):
            channel = Image.fromarray(picture[..., c]).convert("F").resize((299, 299), Image.BICUBIC)
            wanted = (np.clip(np.asarray(channel), 0, 255) - 128) / 128
            assert np.allclose(squeezed[c].numpy(), wanted, atol=1e-6)
    assert not np.allclose(found, inception.squeeze(pictures()), atol=0.01)
