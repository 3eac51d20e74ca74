"""The segmenter as an annotator: uint8 pictures in, uint8 region ids out."""

from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch.nn.functional import interpolate

from annotator.files import write_atomically
from annotator.imaterialist import standard_regions

from .network import SegmenterNetwork

SIZE, BATCH = 128, 32


class PixelSegmenter:
    """Finds the regions of regions.yaml in pictures of paper dolls, each picture for itself.

    segmenter = PixelSegmenter.load("models/tiny/segmenter.safetensors")
    ids = segmenter(picture)  # uint8 (h, w, 3) in RGB -> uint8 (h, w)
    """

    def __init__(self, network: SegmenterNetwork, device="cpu"):
        self.network, self.device = network.eval().to(device), device

    @classmethod
    def load(cls, path, device="cpu"):
        """The segmenter with the weights of a file that `save` wrote."""
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(
                f"no segmenter weights at {path}: train them with tutorial_train_segmenter.py"
            )
        network = SegmenterNetwork(len(standard_regions().names))
        try:
            network.load_state_dict(load_file(path))
        except (SafetensorError, RuntimeError) as error:
            raise ValueError(
                f"{path} holds no weights of this segmenter: train them with tutorial_train_segmenter.py"
            ) from error
        return cls(network, device)

    def save(self, path, metadata: dict[str, str]) -> None:
        """Write the weights as fp16 safetensors."""
        state = {name: _half(value).contiguous() for name, value in self.network.state_dict().items()}
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, save(state, metadata))

    def __call__(self, image):
        """The region ids, uint8 (h, w), of one RGB picture, uint8 (h, w, 3)."""
        image = np.asarray(image)
        if image.ndim != 3:
            raise ValueError(f"the segmenter wants one RGB picture, uint8 (h, w, 3); got {_describe(image)}")
        return self.segment(image[None])[0]

    @torch.inference_mode()
    def segment(self, images):
        """The region ids, uint8 (b, h, w), of RGB pictures, uint8 (b, h, w, 3), found at 128 x 128."""
        images = np.ascontiguousarray(images)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3 or not images.size:
            raise ValueError(f"the segmenter wants RGB pictures, uint8 (b, h, w, 3); got {_describe(images)}")
        return np.concatenate([self._segment(images[i : i + BATCH]) for i in range(0, len(images), BATCH)])

    def _segment(self, images):
        size = images.shape[1:3]
        x = rearrange(torch.tensor(images, device=self.device), "b h w c -> b c h w").float() / 255
        if size != (SIZE, SIZE):
            x = interpolate(x, (SIZE, SIZE), mode="bilinear", antialias=True)
        # argmax(dim=1) gives the same ids, twenty times slower on a CPU
        ids = self.network(x).max(dim=1, keepdim=True).indices.to(torch.uint8)
        if size != (SIZE, SIZE):
            ids = interpolate(ids, size, mode="nearest-exact")
        return ids[:, 0].cpu().numpy()


def _half(value):
    return value.half() if value.is_floating_point() else value


def _describe(array) -> str:
    return f"{array.dtype} {array.shape}"
