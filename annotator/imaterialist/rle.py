"""iMaterialist's run-length code: pairs "start length", 1-based, down each column, columns left to right.

Runs are two int64 arrays (starts, ends): pixels in that order counted from 0, ends exclusive, sorted, never
overlapping. Pixel p of a mask (height, width) is row p % height of column p // height.
"""

import re

import numpy as np


def rle_runs(text: str, height: int, width: int):
    """The runs (starts, ends) of "start length start length ..."; ValueError for a wrong text."""
    wrong = re.search(r"[^0-9 ]", text)
    if wrong:
        raise ValueError(f"RLE must hold whole numbers and blanks, got {text[wrong.start() :][:20]!r}")
    # several times faster than splitting the text
    numbers = np.fromstring(text.strip(), np.int64, sep=" ")
    if not len(numbers):
        raise ValueError("RLE is empty: an empty mask")
    if len(numbers) % 2:
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
    return starts, ends


def rle_decode(text: str, height: int, width: int):
    """The mask, bool (height, width), of "start length start length ..."; ValueError where it is none."""
    edges = np.ravel(rle_runs(text, height, width), order="F")
    return _between(edges, height * width).reshape((height, width), order="F")


def rle_encode(mask) -> str:
    """The text "start length ..." of a bool mask (h, w), empty for an empty mask."""
    flat = np.concatenate([[False], np.asarray(mask, bool).ravel(order="F"), [False]])
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges[1::2] -= edges[0::2]
    return " ".join(map(str, edges))


def sample_runs(runs, height: int, rows, columns):
    """The mask of the runs at some of its rows and columns, without decoding it at its own size.

    Args:
        runs: (starts, ends) of a mask with `height` rows.
        rows: (h,) and `columns` (w,): places in the mask, int64, ascending; they may repeat.

    Returns:
        bool (h, w), equal to the whole mask indexed by [rows][:, columns].
    """
    once, repeats = np.unique(columns, return_inverse=True)
    column, row = np.divmod(np.ravel(runs, order="F"), height)
    # how many of the sampled points come before each edge: those of whole columns, then those above it
    before = np.searchsorted(once, column)
    is_sampled = once[np.minimum(before, len(once) - 1)] == column
    counts = before * len(rows) + np.where(is_sampled, np.searchsorted(rows, row), 0)
    inside = _between(counts, len(once) * len(rows)).reshape(len(once), len(rows))
    return (inside if len(once) == len(columns) else inside[repeats]).T


def _between(edges, length: int):
    """Bool (length,): whether a place lies from an even edge to before the next odd one; edges ascend."""
    inside = np.arange(len(edges) + 1) % 2 == 1
    return np.repeat(inside, np.diff(edges, prepend=0, append=length))


def runs_box(runs, height: int) -> tuple[int, int, int, int]:
    """The bounding box (left, top, right, bottom) of the runs, right and bottom exclusive."""
    (first, top), (last, bottom) = np.divmod(runs[0], height), np.divmod(runs[1] - 1, height)
    left, right = int(first[0]), int(last[-1]) + 1
    if (first != last).any():
        # it goes on from the foot of a column to the head of the next
        return left, 0, right, height
    return left, int(top.min()), right, int(bottom.max()) + 1


def pixels_per_row(runs, height: int):
    """How many pixels of the runs lie in each row: int64 (height,)."""
    # up to pixel p, row r has been met p // height times, and once more if r < p % height
    (columns, rows), (end_columns, end_rows) = (np.divmod(edges, height) for edges in runs)
    past = np.bincount(end_rows, minlength=height) - np.bincount(rows, minlength=height)
    return (end_columns - columns).sum() + past.sum() - np.cumsum(past)


def runs_overlap(runs, others) -> int:
    """How many pixels two masks of the same size share."""
    starts, ends = runs
    return int((_pixels_before(others, ends) - _pixels_before(others, starts)).sum())


def _pixels_before(runs, places):
    """How many pixels of the runs come before each place."""
    starts, ends = runs
    totals = np.concatenate([[0], np.cumsum(ends - starts)])
    index = np.searchsorted(starts, places, side="right")
    # of the run that a place lies in, the part behind it is too much
    return totals[index] - np.where(index, np.maximum(ends[index - 1] - places, 0), 0)
