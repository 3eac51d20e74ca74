"""LPIPS (arXiv 1801.03924), version 0.1, from a local file of one of torchvision's BACKBONES.

The linear heads lie beside this file; lpips_heads.md says where they come from.
"""

from pathlib import Path

import torch
from einops import rearrange

from generation.control_files import digest
from ldm.checkpoint import read_state_dict

HEADS = Path(__file__).with_name("lpips_heads.safetensors")
# of torchvision's features: where the compared layers end
LAYERS = {"vgg": (4, 9, 16, 23, 30), "alex": (2, 5, 8, 10, 12), "squeeze": (2, 5, 8, 10, 11, 12, 13)}
BACKBONES = {"vgg": "VGG-16", "alex": "AlexNet", "squeeze": "SqueezeNet 1.1"}
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
WANTED = (
    "torchvision's vgg16-397923af.pth, alexnet-owt-7be5be79.pth or squeezenet1_1-b8a52dc0.pth, downloaded "
    "elsewhere from download.pytorch.org/models"
)


class Lpips(torch.nn.Module):
    """Distances of pictures as a network for recognition sees them; `kind` is one of BACKBONES.

    Args:
        features: torchvision's, a Sequential.
        heads: weights (1, c, 1, 1) of the channels of each compared layer.
    """

    def __init__(self, kind: str, features, heads):
        super().__init__()
        self.kind, self.features, self.heads = kind, features.eval(), torch.nn.ParameterList(heads)
        self.requires_grad_(False)

    @classmethod
    def load(cls, path, device="cpu") -> "Lpips":
        """FileNotFoundError or ValueError for anything but a backbone's file."""
        kind, features = backbone(read_state_dict(path), path)
        found = read_state_dict(HEADS)
        heads = [found[f"{kind}.{layer}"] for layer in range(len(LAYERS[kind]))]
        return cls(kind, features, heads).to(device)

    @torch.inference_mode()
    def forward(self, a, b):
        """Distances float32 (n,) of pictures uint8 (n, H, W, 3)."""
        found = []
        for x, y, head in zip(self.layers(a), self.layers(b), self.heads, strict=True):
            found.append(((x - y).square() * head).sum(1).mean((1, 2)))
        return sum(found).cpu().numpy()

    def layers(self, pictures):
        """The compared layers' activations, of unit length at each place."""
        device = self.heads[0].device
        x = rearrange(torch.tensor(pictures, device=device), "n h w c -> n c h w").float() / 127.5 - 1
        shift, scale = (torch.tensor(v, device=device)[:, None, None] for v in (SHIFT, SCALE))
        x, last = (x - shift) / scale, 0
        for end in LAYERS[self.kind]:
            x, last = self.features[last:end](x), end
            yield x / (x.square().sum(1, keepdim=True) + 1e-10).sqrt()

    def facts(self, path) -> dict:
        return dict(file=str(path), sha256=digest(path), backbone=self.kind, sha256_of_heads=digest(HEADS))


def backbone(state, path):
    """(kind of BACKBONES, its features as a Sequential) of a state dict in torchvision's layout."""
    from torchvision import models

    state = {name[9:]: value for name, value in state.items() if name.startswith("features.")}
    builds = dict(vgg=models.vgg16, alex=models.alexnet, squeeze=models.squeezenet1_1)
    for kind, build in builds.items():
        with torch.device("meta"):
            features = build(weights=None).features
        shapes = {name: value.shape for name, value in features.state_dict().items()}
        if shapes == {name: value.shape for name, value in state.items()}:
            features.load_state_dict({name: value.float() for name, value in state.items()}, assign=True)
            for layer in features.modules():
                if isinstance(layer, torch.nn.ReLU):
                    layer.inplace = False  # the activations before it are kept
            return kind, features
    raise ValueError(f"{path} is no backbone of LPIPS: wanted {WANTED}")
