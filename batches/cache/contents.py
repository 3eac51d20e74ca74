"""What a cache holds: rows of a kind by their names, what files they are made from, how they are encoded."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from annotator.openpose.pose import draw_joint_file
from batches.fitting_items import cover_with_grey
from jobs.devices import to_channels_first


@dataclass(frozen=True)
class Content(ABC):
    """Rows of one kind.

    plural: what messages call them. part: which encoder, weights: its hash. files: of each row, by its name.
    sizes: (height, width) of their pictures. alone: the first of the names, which a training step encodes by
    themselves, as the cache has to do for the same bits.
    """

    kind: str
    plural: str
    part: str
    weights: str
    files: Mapping[str, list[str]]
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    alone: tuple[str, ...] = ()
    mirrored: bool = False

    @abstractmethod
    def read(self, dataset, name: str):
        """What is encoded, without a batch's dimension."""

    @abstractmethod
    def encode(self, encoders, rows, device):
        """A batch of it -> values (b, ...)."""

    def read_checked(self, dataset, name: str):
        """As `read`, of pictures that are as large as is said."""
        picture = self.read(dataset, name)
        (h, w), (height, width) = picture.shape[:2], self.sizes[name]
        if (h, w) != (height, width):
            file = self.files[name][-1]
            raise ValueError(f"{file} is {h} x {w}, its line says {height} x {width}")
        return picture[:, ::-1].copy() if self.mirrored else picture

    def count_bytes(self, encoders, size, dtype) -> int:
        """Bytes of a row, found without encoding a picture."""
        with FakeTensorMode(allow_non_fake_inputs=True):
            values = self.encode(encoders, torch.zeros(1, *size, 3), "cpu")
        return values.numel() * getattr(torch, dtype).itemsize


class Texts(Content):
    """Prompts -> contexts (b, n, d); a row's name is its prompt."""

    def read(self, dataset, name):
        return name

    read_checked = read  # it has no size

    def encode(self, encoders, rows, device):
        return encoders[self.part](rows)

    def count_bytes(self, encoders, size, dtype):
        return self.encode(encoders, [""], "cpu").numel() * getattr(torch, dtype).itemsize


class Photos(Content):
    """Pictures float32 (b, H, W, 3) in [-1, 1] -> moments (b, 2 c, h, w)."""

    def read(self, dataset, name):
        return dataset.read(self.files[name][0]).astype(np.float32) / 127.5 - 1.0

    def encode(self, encoders, rows, device):
        return encoders[self.part].encode(to_channels_first(rows, device)).parameters


class AgnosticPersons(Photos):
    """The same of persons behind grey, by the files of photo and mask."""

    def read(self, dataset, name):
        target, mask = self.files[name]
        photo = super().read(dataset, name)
        hidden = read_mask(dataset, mask).astype(np.float32)
        if photo.shape[:2] != hidden.shape[:2]:
            raise ValueError(f"{target} is {photo.shape[:2]}, {mask} is {hidden.shape[:2]}")
        return cover_with_grey(photo, hidden)


class Poses(Photos):
    """The same of OpenPose's drawings, by the files of photo and joints."""

    def read(self, dataset, name):
        drawn = draw_joint_file(Path(dataset.folder, self.files[name][1]), *self.sizes[name])
        return drawn["mirrored_pose" if self.mirrored else "pose"].astype(np.float32) / 127.5 - 1.0

    def read_checked(self, dataset, name):
        return self.read(dataset, name)


class Masks(Content):
    """Masks bool (b, H, W) as bits, uint8 (b, H, W / 8)."""

    def read(self, dataset, name):
        return read_mask(dataset, self.files[name][0])[..., 0]

    def encode(self, encoders, rows, device):
        return torch.from_numpy(np.packbits(rows.cpu().numpy(), axis=-1))

    def count_bytes(self, encoders, size, dtype):
        return size[0] * size[1] // 8


class Features(Content):
    """Garments uint8 (b, H, W, 3) -> an image encoder's features; black pictures have names, but no files."""

    def read(self, dataset, name):
        if name in self.alone:
            return np.zeros((*self.sizes[name], 3), np.uint8)
        return dataset.read(self.files[name][0])

    def encode(self, encoders, rows, device):
        return encoders[self.part](rows.to(torch.uint8).to(device))


def read_mask(dataset, name: str) -> np.ndarray:
    """bool (H, W, 1), what may be repainted."""
    return dataset.read(name)[..., :1] > 127


def unpack_mask(bits) -> torch.Tensor:
    """uint8 (H, W / 8) -> float32 (H, W, 1) of 0 and 1."""
    return torch.from_numpy(np.unpackbits(bits.numpy(), axis=-1)[..., None].astype(np.float32))
