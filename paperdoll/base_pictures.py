"""Pictures that a base learns from: dolls, fittings with a part to repaint, and product pictures."""

import io
from dataclasses import dataclass

import numpy as np

from jobs.parallel import run_jobs
from jobs.whole_files import write_atomically
from paperdoll.attributes import describe
from paperdoll.doll import draw
from paperdoll.garment import describe_product
from paperdoll.scene import draw_product
from paperdoll.tryon import SIZE, arrange

CHUNK = 200
CATEGORIES = ("upper",) * 7 + ("dress",) * 2 + ("lower",)
REGIONS = ("top", "bottom", "whole", "head")


@dataclass(frozen=True)
class Pictures:
    """Photos uint8 (n, H, W, 3), captions, and where there is a part to repaint, its masks bool (n, H, W)."""

    photos: np.ndarray
    captions: list[str]
    masks: np.ndarray | None = None


def _box(rng, size):
    """A box that hides 10 to 60 % of a picture."""
    height, width = size
    h, w = (round(side * rng.uniform(0.35, 0.85)) for side in size)
    top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
    mask = np.zeros(size, bool)
    mask[top : top + h, left : left + w] = True
    return mask


def draw_doll(seed: int, index: int):
    """(photo, caption, mask): a doll, and a box in it."""
    doll = draw(seed, index)
    return doll.photo, doll.caption, _box(np.random.default_rng([seed, index, 7]), (128, 128))


def draw_fitting(seed: int, index: int):
    """(photo, caption, mask): a person to fit, and the mask of the garment, or, of a quarter, a box."""
    rng = np.random.default_rng([seed, index, 8])
    fitting = arrange(seed, index, category=CATEGORIES[index % len(CATEGORIES)])
    garments = sorted(
        (g for g in (fitting.garment, *fitting.others) if g.region), key=lambda g: REGIONS.index(g.region)
    )
    mask = _box(rng, SIZE) if rng.random() < 0.25 else fitting.agnostic_mask()
    return fitting.wear().drawing.photo, describe(garments), mask


def draw_lone_garment(seed: int, index: int, size=SIZE):
    """(photo, caption, None): a product picture."""
    garment = arrange(
        seed, index + 1_000_000, category=("upper", "upper", "lower", "dress")[index % 4]
    ).garment
    return draw_product(garment, size).photo, describe_product(garment), None


def draw_square_garment(seed: int, index: int):
    """As `draw_lone_garment`, in a square."""
    return draw_lone_garment(seed, index + 500_000, (128, 128))


def _draw_chunk(draw_one, seed: int, start: int, stop: int):
    return [draw_one(seed, index) for index in range(start, stop)]


def draw_pictures(draw_one, num: int, seed: int, workers: int = 2) -> Pictures:
    """The first `num` pictures of a seed that one of the functions above draws."""
    jobs = ((draw_one, seed, start, min(start + CHUNK, num)) for start in range(0, num, CHUNK))
    photos, captions, masks = zip(*sum(run_jobs(_draw_chunk, jobs, workers), []), strict=True)
    return Pictures(np.stack(photos), list(captions), None if masks[0] is None else np.stack(masks))


def keep_pictures(path, make) -> Pictures:
    """What `make()` draws, written to an .npz file; or what the file holds already."""
    if not path.exists():
        pictures = make()
        arrays = dict(photos=pictures.photos, captions=np.array(pictures.captions))
        if pictures.masks is not None:
            arrays["masks"] = np.packbits(pictures.masks, axis=-1)
        data = io.BytesIO()
        np.savez(data, **arrays)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data.getvalue())
        return pictures
    with np.load(path) as arrays:
        masks = np.unpackbits(arrays["masks"], axis=-1).astype(bool) if "masks" in arrays else None
        return Pictures(arrays["photos"], arrays["captions"].tolist(), masks)
