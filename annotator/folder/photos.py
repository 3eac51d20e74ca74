"""The photos of a folder and all folders in it: found, named, and read ahead."""

import os
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pictures.crops import Crop
from pictures.pairs import PICTURES
from pictures.photo import open_photo
from pictures.unusable import Unusable

SMALLEST, LONGEST_SHAPE = 16, 16  # pixels a side; one side by the other


class FoundPhotos(NamedTuple):
    """What is in a folder and its sub-folders; paths start from there and have forward slashes.

    `others` are the other files, counted by suffix; `closed` is (path, reason) of what can't be entered.
    """

    photos: list[str]
    others: Counter
    closed: list[tuple[str, str]]


def find_photos(folder: Path) -> FoundPhotos:
    """The photos of a folder and its sub-folders; OSError where the folder itself can't be read.

    Linked folders are entered, each once. What is hidden is left alone.
    """
    found, others, closed, seen = [], Counter(), [], set()

    def note(error: OSError):
        if Path(error.filename) == folder:
            raise error
        place = Path(error.filename).relative_to(folder).as_posix()
        closed.append((place, f"the folder can't be read: {error.strerror}"))

    for place, folders, files in os.walk(folder, followlinks=True, onerror=note):
        seen.add(os.path.realpath(place))
        inner = [name for name in sorted(folders) if not name.startswith(".")]
        folders[:] = [name for name in inner if os.path.realpath(os.path.join(place, name)) not in seen]
        for name in files:
            if name.startswith("."):
                continue
            path = Path(place, name)
            if path.suffix.lower() in PICTURES:
                found.append(path.relative_to(folder).as_posix())
            else:
                others[path.suffix.lower() or "without a suffix"] += 1
    return FoundPhotos(sorted(found), others, closed)


def name_maps(photos: list[str]) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Photo by the path of its map, "shirts/1.jpg" by "shirts/1.png"; and (photo, reason) of those without.

    A map is named as its photo, so of two that differ in their suffix alone only the first has one.
    """
    maps, rejected = {}, []
    for photo in photos:
        name = str(PurePosixPath(photo).with_suffix(".png"))
        if any("\ud800" <= letter <= "\udfff" for letter in photo):
            spelt = os.fsencode(photo).decode(errors="backslashreplace")
            rejected.append((spelt, "its name is no text in UTF-8: rename it"))
        elif name in maps:
            rejected.append((photo, f"{maps[name]} has the same name: rename one of them"))
        else:
            maps[name] = photo
    return maps, rejected


def read_whole_photo(path: Path):
    """The upright photo in RGB, uint8 (h, w, 3); Unusable says why it can't be read."""
    photo = open_photo(path)
    height, width = photo.height, photo.width
    if min(height, width) < SMALLEST or max(height, width) > LONGEST_SHAPE * min(height, width):
        raise Unusable(
            f"it is {width} x {height} pixels: at least {SMALLEST} a side, and one side at most "
            f"{LONGEST_SHAPE} times the other, are wanted"
        )
    return photo.cut(Crop(0, 0, width, height, height, width))


def read_ahead(pool: ThreadPoolExecutor, function, items, most: int):
    """Yield (item, function(item), or the Unusable or OSError that it raised), in order.

    Up to `most` are on their way at a time. Threads will do: Pillow decodes outside of Python's lock.
    """

    def attempt(item):
        try:
            return item, function(item)
        except (Unusable, OSError) as error:
            return item, error

    items = iter(items)
    running = deque(pool.submit(attempt, item) for item in islice(items, most))
    while running:
        yield running.popleft().result()
        running.extend(pool.submit(attempt, item) for item in islice(items, 1))
