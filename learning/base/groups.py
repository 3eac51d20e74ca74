"""Encoded pictures that a small base learns from, and the batches that are made of them."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import interpolate
from torch.utils.data import Dataset

from jobs.whole_files import write_atomically
from ldm.modules.diffusionmodules.util import ROW_SEED
from learning.base.autoencoder import latent_moments, to_signed_range


@dataclass(frozen=True)
class Group:
    """Encoded pictures of one size and what share of the batches they make.

    Args:
        share: of the batches; those of all groups sum to 1.
        moments: (n, 2 c, h, w) of the pictures.
        prompts: n of them.
        known: (n, c + 1, h, w), latents of the masked pictures and the masks; None if there are none.
        repainted: share of this group's batches that bring what is known.
    """

    share: float
    moments: torch.Tensor
    prompts: list
    known: torch.Tensor | None = None
    repainted: float = 0.0


class Batches(Dataset):
    """Item i is a batch, a function of (seed, first + i) alone, so that a run can resume at step `first`."""

    def __init__(self, groups, batch_size, seed=0, first=0):
        self.groups, self.batch_size, self.seed, self.first = groups, batch_size, seed, first

    def __len__(self):
        return 10**7

    def __getitem__(self, i):
        rng = np.random.default_rng([self.seed, self.first + i])
        group = self.groups[rng.choice(len(self.groups), p=[group.share for group in self.groups])]
        chosen = rng.integers(len(group.moments), size=self.batch_size)
        batch = dict(moments=group.moments[chosen].float(), txt=[group.prompts[j] for j in chosen])
        if rng.random() < group.repainted:
            batch["known"] = group.known[chosen].float()
        return batch | {ROW_SEED: rng.integers(2**63, size=self.batch_size).tolist()}


@torch.no_grad()
def encode_group(model, share, pictures, repainted=0.0, batch_size=64) -> Group:
    """A group of `paperdoll.base_pictures.Pictures`; what is known has mid grey in the part to repaint."""
    photos, autoencoder = torch.from_numpy(pictures.photos), model.first_stage_model
    moments = latent_moments(autoencoder, photos, batch_size).half()
    if pictures.masks is None or not repainted:
        return Group(share, moments, pictures.captions)
    masks = torch.from_numpy(pictures.masks)
    known = []
    for photo, mask in zip(photos.split(batch_size), masks.split(batch_size), strict=True):
        mask = mask[:, None].float()
        latents = autoencoder.encode(to_signed_range(photo) * (1 - mask)).mode()
        known.append(torch.cat([latents, interpolate(mask, latents.shape[-2:])], 1).half())
    return Group(share, moments, pictures.captions, torch.cat(known), repainted)


def keep_group(path, model, share, pictures, repainted=0.0) -> Group:
    """`encode_group`'s, written to a .pt file; or what the file holds already."""
    path = Path(path)
    if not path.exists():
        group, data = encode_group(model, share, pictures, repainted), io.BytesIO()
        torch.save(dict(moments=group.moments, known=group.known), data)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data.getvalue(), lasting=True)
    tensors = torch.load(path, weights_only=True)
    return Group(share, prompts=pictures.captions, repainted=repainted, **tensors)
