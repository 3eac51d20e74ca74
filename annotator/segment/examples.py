"""What the segmenters' trainer learns from and is judged by: drawn dolls, or a training folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import from_numpy
from torch.utils.data import Dataset, TensorDataset

from annotator.imaterialist import standard_regions

from .data import DistortedDolls, cached_dolls, draw_dolls
from .folder_data import Distorted, FolderPhotos, Squeezed, class_weights


@dataclass
class Examples:
    """Batches to train on and pictures to judge by.

    Args:
        names: of the regions by id.
        train, held_out: of photos uint8 (size, size, 3) and region ids uint8 (size, size).
        pairs, num_pairs: the held-out photos and maps in their own sizes, and how many of them are used.
        weights: of the regions in the loss, float32 (regions,), or None.
    """

    names: tuple[str, ...]
    train: Dataset
    held_out: Dataset
    pairs: Any
    num_pairs: int
    weights: Any = None


def drawn_dolls(
    run: Path, num_dolls: int, num_held_out: int, seed: int, judging_seed: int, num_items: int
) -> Examples:
    """Dolls, which `run` keeps, and other dolls to judge by; unweighted, as for the shipped weights."""
    photos, maps = cached_dolls(run / f"dolls_{num_dolls}_seed_{seed}.npz", num_dolls, seed)
    train = DistortedDolls(photos, maps, seed, num_items)
    photos, maps = draw_dolls(num_held_out, judging_seed)
    held_out = TensorDataset(from_numpy(photos), from_numpy(maps))
    pairs = list(zip(photos, maps, strict=True))
    return Examples(standard_regions().names, train, held_out, pairs, num_held_out)


def of_folder(folder, size: int, num_held_out: int, seed: int, num_items: int) -> Examples:
    """A training folder's split train, and the first `num_held_out` of its split val."""
    train, val = FolderPhotos(folder, "train"), FolderPhotos(folder, "val")
    num_pairs, weights = min(num_held_out, len(val)), class_weights(train)
    print(f"{folder}: {len(train)} photos, judged by {num_pairs} of {len(val)} held out", flush=True)
    said = ", ".join(f"{name} {weight:.2f}" for name, weight in zip(train.names, weights, strict=True))
    print(f"weights in the loss: {said}", flush=True)
    distorted = Distorted(train, size, seed, num_items)
    return Examples(train.names, distorted, Squeezed(val, size, num_pairs), val, num_pairs, weights)
