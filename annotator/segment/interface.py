"""What all segmenters share: uint8 pictures in, uint8 region ids out."""

import json
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch.nn.functional import interpolate

from jobs.whole_files import write_atomically
from pictures.regions import standard_regions

TRAINING = "tutorial_train_segmenter.py"
# pixels that a network is given at a time: 32 pictures of 128 x 128, one of 768 x 768
AT_A_TIME = 32 * 128 * 128


class Segmenter:
    """Finds regions in pictures, each picture for itself.

    ids = segmenter(picture)  # uint8 (h, w, 3) in RGB -> uint8 (h, w), places in segmenter.names

    Args:
        network: any module; `logits` says what it is asked.
        names: of the regions by id, 0 the background; None for the standard ones of regions.yaml.
        size: side in pixels of the square to which pictures are squeezed.
    """

    # what the trainer calls it, and how its weights are written
    kind, dtype = "", torch.float32
    # why it may not judge what a control achieves, if so; what an empty map means
    no_judge, nothing = "", "nothing found"

    def __init__(self, network, names=None, size: int = 128, device="cpu"):
        self.network, self.device, self.size = network.eval().to(device), device, size
        self.names = tuple(names or standard_regions().names)

    @classmethod
    def reads(cls, path: Path) -> bool:
        """Whether what is at a path looks like weights that `load` takes: here a file that `save` wrote."""
        # the shipped file is older than this entry of its metadata
        return path.suffix == ".safetensors" and read_metadata(path).get("network", "pixel") == cls.kind

    def logits(self, x):
        """Pictures (b, 3, H, W) in [0, 1] -> a list of logits (b, regions, H, W).

        The first are the result, all are trained.
        """
        raise NotImplementedError(f"{type(self).__name__} asks its network nothing")

    def __call__(self, image):
        """The region ids, uint8 (h, w), of one RGB picture, uint8 (h, w, 3)."""
        image = np.asarray(image)
        if image.ndim != 3:
            raise ValueError(f"the segmenter wants one RGB picture, uint8 (h, w, 3); got {_describe(image)}")
        return self.segment(image[None])[0]

    @property
    def labels(self) -> tuple[str, ...]:
        """What `parse` tells apart, by id: the regions, or what a network knows besides them."""
        return self.names

    def parse(self, image):
        """The label ids, uint8 (h, w), places in `labels`, of one RGB picture, uint8 (h, w, 3)."""
        return self(image)

    def segment(self, images):
        """The region ids, uint8 (b, h, w), of RGB pictures, uint8 (b, h, w, 3)."""
        return self._find_by_parts(self._segment, images)

    @torch.inference_mode()
    def _find_by_parts(self, find, images):
        images = np.ascontiguousarray(images)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3 or not images.size:
            raise ValueError(f"the segmenter wants RGB pictures, uint8 (b, h, w, 3); got {_describe(images)}")
        batch = max(1, AT_A_TIME // self.size**2)
        return np.concatenate([find(images[i : i + batch]) for i in range(0, len(images), batch)])

    def _segment(self, images):
        logits = self.logits(self._squeeze(images))[0]
        return choose_regions(interpolate(logits, images.shape[1:3], mode="bilinear")).cpu().numpy()

    def _squeeze(self, images):
        """Pictures uint8 (b, h, w, 3) -> (b, 3, size, size) in [0, 1]."""
        x = rearrange(torch.tensor(images, device=self.device), "b h w c -> b c h w").float() / 255
        square = self.size, self.size
        return x if images.shape[1:3] == square else interpolate(x, square, mode="bilinear", antialias=True)

    def metadata(self) -> dict[str, str]:
        """What a file of weights says besides them, so that it can be loaded."""
        return {"network": self.kind, "names": json.dumps(self.names), "size": str(self.size)}

    def save(self, path, metadata: dict[str, str]) -> None:
        """Write the weights as safetensors, in the class's `dtype`."""
        state = {name: self._to_dtype(value) for name, value in self.network.state_dict().items()}
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, save(state, self.metadata() | metadata))

    def round_weights(self):
        """The segmenter after training, with its weights rounded as a file holds them."""
        self.network.to(self.dtype).float().eval()
        return self

    def _to_dtype(self, value):
        return (value.to(self.dtype) if value.is_floating_point() else value).contiguous()


def read_metadata(path) -> dict[str, str]:
    """What a .safetensors file says besides its weights; nothing for one that cannot be read."""
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError):
        return {}


def read_names_and_numbers(path, **defaults) -> tuple[list[str] | None, dict[str, int]]:
    """The names of a file's regions, None where it says none, and whole numbers of its metadata.

    `defaults` are the numbers' by name. ValueError names an entry that is something else.
    """
    said = read_metadata(path)
    try:
        names = json.loads(said["names"]) if "names" in said else None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: the names of its regions are no JSON") from error
    if names is not None:
        check_names(names, path)
    numbers = {}
    for name, default in defaults.items():
        text = said.get(name, str(default))
        if not text.isdecimal() or not 0 < int(text) <= 2**14:
            raise ValueError(f"{path}: its {name} must be a whole number, got {text[:40]!r}")
        numbers[name] = int(text)
    return names, numbers


def check_names(names, path) -> None:
    """Raise ValueError where a file's regions are no list of different names."""
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not is_list or len(set(names)) < len(names) or not 2 <= len(names) <= 256:
        raise ValueError(f"{path}: its regions must be different names, got {str(names)[:60]}")


def choose_regions(logits):
    """Logits (b, regions, h, w) -> ids uint8 (b, h, w)."""
    # argmax(dim=1) gives the same ids, twenty times slower on a CPU
    return logits.max(dim=1).indices.to(torch.uint8)


def _describe(array) -> str:
    return f"{array.dtype} {array.shape}"
