"""iMaterialist's run-length code: pairs "start length", 1-based, down each column, columns left to right."""

import numpy as np


def rle_runs(text: str, height: int, width: int):
    """Lengths (int64) of alternating runs outside and inside the mask; ValueError for a wrong text."""
    try:
        numbers = np.array(text.split(), np.int64)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"RLE holds something that is no whole number: {error}") from error
    if not len(numbers) or len(numbers) % 2:
        raise ValueError(f"RLE must be pairs of start and length, got {len(numbers)} numbers")
    starts, lengths = numbers[0::2] - 1, numbers[1::2]
    ends = starts + lengths
    if starts.min() < 0 or lengths.min() < 1:
        raise ValueError("RLE starts must count from 1, and lengths be at least 1")
    # the numbers themselves, too: the sum of two huge ones wraps around
    last = max(numbers.max(), ends.max())
    if last > height * width:
        raise ValueError(f"RLE reaches to pixel {last}, but {height} x {width} has only {height * width}")
    if (starts[1:] < ends[:-1]).any():
        raise ValueError("RLE runs overlap or are not sorted")
    runs = np.empty(2 * len(starts) + 1, np.int64)
    runs[0], runs[1::2] = starts[0], lengths
    runs[2::2] = np.append(starts[1:], height * width) - ends
    return runs


def rle_decode(text: str, height: int, width: int):
    """The mask, bool (height, width), of "start length start length ..."; ValueError where it is none."""
    runs = rle_runs(text, height, width)
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape((height, width), order="F")


def rle_encode(mask) -> str:
    """The text "start length ..." of a bool mask (h, w), empty for an empty mask."""
    flat = np.concatenate([[False], np.asarray(mask, bool).ravel(order="F"), [False]])
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges[1::2] -= edges[0::2]
    return " ".join(map(str, edges))
