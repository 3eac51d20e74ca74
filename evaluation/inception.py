"""Features of Inception v3, 2,048 a picture, from a local file in torchvision's layout."""

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d

from generation.control_files import digest
from ldm.checkpoint import CheckpointError, read_state_dict

SIZE = 299
PUBLISHED = "Inception v3 of 2015"
PUBLISHED_CLASSES = 1008  # of the network that published FIDs were measured with
WANTED = (
    "pt_inception-2015-12-05-6726825d.pth (github.com/mseitzer/pytorch-fid, releases), whose FID compares "
    "with published ones, or torchvision's inception_v3_google-0cc3c7bd.pth"
)


def squeeze(pictures):
    """Pictures uint8 (n, H, W, 3) -> float32 (n, 3, SIZE, SIZE) in [-1, 1]."""
    x = rearrange(torch.tensor(pictures), "n h w c -> n c h w").float() / 127.5 - 1
    return interpolate(x, (SIZE, SIZE), mode="bilinear", antialias=True)


def squeeze_as_clean_fid(pictures):
    """As `squeeze`, by Pillow's bicubic filter on numbers that are not rounded (arXiv 2104.11222)."""

    def resize(channel):
        small = Image.fromarray(channel.astype(np.float32)).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        return np.asarray(small).clip(0, 255)

    channels = [[resize(channel) for channel in rearrange(p, "h w c -> c h w")] for p in pictures]
    return (torch.tensor(np.array(channels)) - 128) / 128


CLEAN_FID = f"squeezed to {SIZE} x {SIZE} as by clean-fid"
WAYS = {squeeze: f"squeezed to {SIZE} x {SIZE}, bilinear with antialiasing", squeeze_as_clean_fid: CLEAN_FID}


class Inception:
    """Pictures uint8 (n, H, W, 3) -> features float32 (n, 2048); `name` says of which weights.

    Args:
        squeeze: one of WAYS, which brings pictures to the network's size.
    """

    def __init__(self, network, name, device="cpu", squeeze=squeeze):
        self.network, self.name, self.device = network.eval().requires_grad_(False).to(device), name, device
        self.squeeze = squeeze

    @classmethod
    def load(cls, path, device="cpu", squeeze=squeeze) -> "Inception":
        """FileNotFoundError or ValueError for anything but such a file."""
        network, name = build(read_state_dict(path), path)
        return cls(network, name, device, squeeze)

    @torch.inference_mode()
    def __call__(self, pictures):
        return self.network(self.squeeze(pictures).to(self.device)).cpu().numpy()

    def facts(self, path) -> dict:
        return dict(file=str(path), sha256=digest(path), weights=self.name, pictures=WAYS[self.squeeze])


class Pooled(torch.nn.Module):
    """An Inception block with another pooling in its last branch."""

    def __init__(self, block, pool):
        super().__init__()
        self.block, self.pool = block, pool

    def forward(self, x):
        *others, _ = self.block._forward(x)
        return torch.cat([*others, self.block.branch_pool(self.pool(x))], 1)


def build(state, path):
    """(network, what to call its features) of a state dict, loaded strictly."""
    from torchvision.models import Inception3

    fc = state.get("fc.weight")
    if fc is None or fc.ndim != 2:
        raise ValueError(f"{path} is no Inception v3: wanted {WANTED}")
    auxiliary = any(name.startswith("AuxLogits.") for name in state)
    with torch.device("meta"):
        network = Inception3(num_classes=len(fc), aux_logits=auxiliary, init_weights=False)
    lacking = {name for name in network.state_dict() if name.endswith("num_batches_tracked")} - {*state}
    state = {name: value.float() for name, value in state.items()}
    # a count of training batches, which older files lack and nothing here reads
    state |= {name: torch.zeros(()) for name in lacking}
    try:
        network.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise CheckpointError(f"{path} is no Inception v3: wanted {WANTED}") from error
    network.fc, network.dropout, network.AuxLogits = torch.nn.Identity(), torch.nn.Identity(), None
    if len(fc) != PUBLISHED_CLASSES:
        return network, "torchvision's Inception v3"
    return as_published(network), PUBLISHED


def as_published(network):
    """As published FIDs were made: TensorFlow's means leave the border out, its last block takes maxima."""

    def mean(x):
        return avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)

    def largest(x):
        return max_pool2d(x, 3, stride=1, padding=1)

    for name in "5b 5c 5d 6b 6c 6d 6e 7b".split():
        setattr(network, f"Mixed_{name}", Pooled(getattr(network, f"Mixed_{name}"), mean))
    network.Mixed_7c = Pooled(network.Mixed_7c, largest)
    return network
