"""Pictures that show the same: copies re-encoded, resized, cropped a little, made grey, or mirrored."""

import base64
import math
from dataclasses import dataclass
from itertools import product

import numpy as np

from preparation.record import Record

# Bits of 64 in which the hashes of copies may differ, where nothing else is asked for: 4 lose one in eight of
# the drawings cropped by 2 %, 6 one in twenty. Other pictures can be as near, so thumbnails must confirm it:
DISTANCE = 6
# by the mean and largest difference of luma, in [0, 255], that a crop by 3 % causes, and by a difference of
# chroma that is less than that of two garment colours
MEAN_LUMA, MAX_LUMA, MAX_CHROMA = 4, 48, 24
# `colour` of preparation.measures above which chroma tells pictures apart
GREY = 4.0
# whole photos show people smaller than crops do, so that copies must be more alike, and are
OF_PHOTOS = 0.5
BLOCK = 1024
PAIRS_AT_ONCE = 1 << 14


@dataclass
class Fingerprints:
    """What tells n pictures apart: hashes uint64 (n,), thumbnails int16, colourful bool (n,).

    Index 1 of `hashes` and of the thumbnails is the mirror image's: (2, n), (2, n, 256), (2, n, 128).
    The limits of the thumbnails' differences are multiplied by `tolerance`.
    """

    hashes: np.ndarray
    luma: np.ndarray
    chroma: np.ndarray
    colourful: np.ndarray
    tolerance: float

    @classmethod
    def of(cls, prints: list[dict], colourful, tolerance: float = 1.0):
        hashes = [[int(p[key], 16) for p in prints] for key in ("phash", "phash_mirrored")]
        luma = _decode([p["thumbnail"] for p in prints], (16, 16, 1))
        # a copy may be brighter or darker throughout
        luma -= luma.mean(axis=2, keepdims=True).round().astype(np.int16)
        chroma = _decode([p["thumbnail_chroma"] for p in prints], (8, 8, 2))
        return cls(np.array(hashes, np.uint64), luma, chroma, colourful, tolerance)

    def same(self, first, second, distance: int):
        """Which pictures show the same, directly or mirrored: bool (n,), for two arrays of indices (n,)."""
        # mirroring the one or the other can differ in a bit: always the later one, so that order is no matter
        first, second = np.minimum(first, second), np.maximum(first, second)
        return self._same(first, second, 0, distance) | self._same(first, second, 1, distance)

    def _same(self, first, second, side: int, distance: int):
        same = np.bitwise_count(self.hashes[0, first] ^ self.hashes[side, second]) <= distance
        luma = np.abs(self.luma[0, first] - self.luma[side, second])
        same &= luma.mean(axis=-1) <= self.tolerance * MEAN_LUMA
        same &= luma.max(axis=-1) <= self.tolerance * MAX_LUMA
        chroma = np.abs(self.chroma[0, first] - self.chroma[side, second]).max(axis=-1)
        # a grey copy has lost the colours that would tell it apart
        return same & (
            (chroma <= self.tolerance * MAX_CHROMA) | ~(self.colourful[first] & self.colourful[second])
        )


def fingerprints(records: list[Record]) -> list[Fingerprints]:
    """Those of the pictures, and those of the whole photos."""
    measures = [record.measures for record in records]
    colourful = np.array([m["colour"] > GREY for m in measures])
    photos = [m["photo"] for m in measures]
    return [Fingerprints.of(measures, colourful), Fingerprints.of(photos, colourful, OF_PHOTOS)]


def _decode(texts: list[str], shape) -> np.ndarray:
    """Thumbnails in base64 => int16 (2, n, values), as they are and mirrored."""
    pixels = np.frombuffer(b"".join(map(base64.b64decode, texts)), np.uint8).astype(np.int16)
    pixels = pixels.reshape(len(texts), *shape)
    return np.stack([pixels, pixels[:, :, ::-1]]).reshape(2, len(texts), math.prod(shape))


class Clusters:
    """Which of n things hang together, as pairs of them are joined."""

    def __init__(self, n: int):
        self._parents = np.arange(n)

    def roots(self):
        """The first member of everything's cluster: int64 (n,)."""
        while True:
            grandparents = self._parents[self._parents]
            if np.array_equal(grandparents, self._parents):
                return self._parents
            self._parents = grandparents

    def join(self, first, second) -> None:
        """Join the clusters of each pair of things, given as two arrays of indices."""
        while True:
            one, other = self.roots()[first], self.roots()[second]
            if np.array_equal(one, other):
                return
            np.minimum.at(self._parents, np.maximum(one, other), np.minimum(one, other))


def group_alike(records: list[Record], distance: float | None = None) -> list[int]:
    """The number of each record's group: pictures of one photo, and of photos that show the same.

    A group must not be split between training and validation. `distance` is the number of the hashes' 64 bits
    in which copies may differ. Groups are numbered by their first name, whatever the order of the records.
    """
    order = sorted(range(len(records)), key=lambda index: records[index].name)
    ordered = [records[index] for index in order]
    clusters = _look_alike(fingerprints(ordered), distance)
    first_of: dict[str, int] = {}
    photos = [first_of.setdefault(record.photo, index) for index, record in enumerate(ordered)]
    clusters.join(np.arange(len(ordered)), np.array(photos, np.int64))
    numbers = np.unique(clusters.roots(), return_inverse=True)[1]
    found = np.empty(len(records), np.int64)
    found[order] = numbers
    return found.tolist()


def find_duplicates(records: list[Record], worth: list, distance: float | None = None) -> dict[int, int]:
    """Index of each record that shows the same as a better one => index of the better one, which stays.

    The record of the smallest `worth` stays, and all that look like it go; then the next that is left. So
    nothing goes because it looks like something that went. Pictures of one photo are never duplicates.
    """
    order = sorted(range(len(records)), key=lambda index: records[index].name)
    views = fingerprints([records[index] for index in order])
    roots = _look_alike(views, distance).roots()
    members: dict[int, list[int]] = {}
    for index, root in enumerate(roots.tolist()):
        members.setdefault(root, []).append(index)
    kept_for = {}
    for cluster in members.values():
        left = np.array(sorted(cluster, key=lambda index: worth[order[index]]))
        while len(left) > 1:
            kept, rest = order[left[0]], left[1:]
            first = np.full_like(rest, left[0])
            same = np.any([view.same(first, rest, _or_default(distance)) for view in views], axis=0)
            same &= [records[order[index]].photo != records[kept].photo for index in rest]
            kept_for |= {order[index]: kept for index in rest[same]}
            left = rest[~same]
    return kept_for


def _or_default(distance: float | None) -> float:
    return DISTANCE if distance is None else distance


def _look_alike(views: list[Fingerprints], distance: float | None) -> Clusters:
    """Clusters of records that any view shows to be the same, all pairs' hashes compared block by block."""
    distance = _or_default(distance)
    num = views[0].hashes.shape[1]
    clusters = Clusters(num)
    for prints, top in product(views, range(0, num, BLOCK)):
        rows = prints.hashes[0, top : top + BLOCK, None]
        for left in range(top, num, BLOCK):
            columns = prints.hashes[:, None, left : left + BLOCK]
            near = np.bitwise_count(rows ^ columns[0]) <= distance
            near |= np.bitwise_count(rows ^ columns[1]) <= distance
            first, second = np.nonzero(near)
            _join_confirmed(clusters, prints, first + top, second + left, distance)
    return clusters


def _join_confirmed(clusters: Clusters, prints: Fingerprints, first, second, distance: float) -> None:
    """Join those pairs that do look the same, a bounded number at once, skipping what is joined already."""
    first, second = first[first < second], second[first < second]
    while len(first):
        roots = clusters.roots()
        apart = roots[first] != roots[second]
        first, second = first[apart], second[apart]
        one, other = first[:PAIRS_AT_ONCE], second[:PAIRS_AT_ONCE]
        same = prints.same(one, other, distance)
        clusters.join(one[same], other[same])
        first, second = first[PAIRS_AT_ONCE:], second[PAIRS_AT_ONCE:]


def distance_between(one: Record, other: Record) -> tuple[int, bool]:
    """In how many bits the hashes of two pictures or of their photos differ, and whether of mirror images."""
    first, second = sorted((one, other), key=lambda record: record.name)
    pairs = [(first.measures, second.measures)]
    pairs += [(first.measures["photo"], second.measures["photo"])]
    return min(
        ((int(a["phash"], 16) ^ int(b[key], 16)).bit_count(), key == "phash_mirrored")
        for a, b in pairs
        for key in ("phash", "phash_mirrored")
    )
