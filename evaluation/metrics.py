"""What is measured of pictures: rows of numbers a picture, and metrics as functions of them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from einops import einsum

from evaluation.distances import psnr, ssim, weighted_frechet, weighted_kernel
from pictures.region_overlap import confusion, iou_per_region

ENOUGH = 2048  # pictures for FID, as its publication takes at least


@dataclass(frozen=True)
class Metric:
    """A number that says something of a set of pictures.

    Args:
        better: higher or lower.
        statistic: (rows of the pictures (n, seeds, ...), rows of the photos (n, 1, ...)) -> a function of the
            items' weights (n,) that gives the value.
        of_photos: whether the photos themselves have a value, the ceiling.
        num_resamples: for its interval.
        told_by: rows of the pictures -> how many items tell of it.
        enough: below how many pictures the value is said to be biased.
    """

    name: str
    better: str
    meaning: str
    statistic: Callable
    of_photos: bool = True
    num_resamples: int = 1000
    enough: int = 0
    told_by: Callable = len


def mean_of(place):
    """The statistic of numbers at a place of each row: their mean over pictures."""

    def statistic(rows, photo_rows):
        values = rows[..., place].mean(1)
        return lambda weights: float(weights @ values / weights.sum())

    return statistic


class Regions:
    """Do pictures show the regions of their maps? `judge`: pictures uint8 (n, H, W, 3) -> ids (n, H, W)."""

    needs_photos = False

    def __init__(self, judge, names):
        self.judge, self.names = judge, names
        meaning = (
            "control mIoU: regions that the segmenter finds in the pictures against those of the maps, "
            "intersection over union of all pixels, mean over the regions without background"
        )
        self.metrics = [self._metric("mIoU", meaning, range(1, len(names)))]
        for i, name in enumerate(names[1:], 1):
            one = f"intersection over union of the region {name}"
            self.metrics.append(self._metric(f"IoU {name}", one, [i]))

    def measure(self, pictures, items):
        """How many pixels of each region of the map were found to be in each: (n, regions, regions)."""
        found = self.judge(pictures)
        counts = [confusion(f, item.ids, len(self.names)) for f, item in zip(found, items, strict=True)]
        return np.stack(counts)

    def _metric(self, name, meaning, places):
        places = np.asarray(places)

        def told_by(rows):
            # a mean over regions is as uncertain as the rarest of them
            maps = (rows.sum((1, 3)) > 0).sum(0)[places]
            return int(min(maps[maps > 0], default=0))

        return Metric(name, "higher", meaning, self._statistic(places), told_by=told_by)

    def _statistic(self, places):

        def statistic(rows, photo_rows):
            counts = rows.sum(1).astype(np.float64)
            # regions of no map at all are not counted, as in evaluation.control_miou
            known = places[counts.sum((0, 2))[places] > 0]

            def value(weights):
                total = einsum(weights, counts, "n, n a b -> a b")
                iou = iou_per_region(total)[known]
                return float(np.nanmean(iou)) if np.isfinite(iou).any() else float("nan")

            return value

        return statistic


class Likeness:
    """Is the picture the photo, pixel by pixel?"""

    needs_photos = True
    metrics = [
        Metric(
            "SSIM", "higher", "structure like the photo's: 1 only for the photo itself", mean_of(0), False
        ),
        Metric("PSNR", "higher", "pixels like the photo's, in dB", mean_of(1), False),
    ]

    def measure(self, pictures, items):
        photos = np.stack([item.photo for item in items])
        return np.stack([ssim(pictures, photos), psnr(pictures, photos)], 1)


class Perception:
    """Is the picture the photo, to a network? `distance`: uint8 (n, H, W, 3) twice -> (n,)."""

    needs_photos = True

    def __init__(self, distance, kind):
        meaning = f"distance from the photo in layers of {kind}: 0 for the photo itself"
        self.distance = distance
        self.metrics = [Metric(f"LPIPS ({kind})", "lower", meaning, mean_of(0), False)]

    def measure(self, pictures, items):
        return np.asarray(self.distance(pictures, np.stack([item.photo for item in items])))[:, None]


LEAST_BOX = 64  # pixels a side, below which networks that halve pictures five times see too little


class PerceptionInMask:
    """As Perception, of what lies in the mask's box alone: what was not painted dilutes nothing."""

    needs_photos = True

    def __init__(self, distance, kind):
        meaning = f"distance from the photo in layers of {kind}, both cut to the mask's box: 0 for the photo"
        self.distance = distance
        self.metrics = [Metric(f"LPIPS in the mask's box ({kind})", "lower", meaning, mean_of(0), False)]

    def measure(self, pictures, items):
        rows = []
        for picture, item in zip(pictures, items, strict=True):
            pair = (cut_to_mask(x, item.mask, LEAST_BOX)[None] for x in (picture, item.photo))
            rows.append(self.distance(*pair))
        return np.stack(rows)


class GarmentLikeness:
    """Does a picture look like the garment to a network? An estimate, where nobody can tell the truth.

    Args:
        encode: a list of pictures uint8 (h, w, 3) -> unit vectors (n, d).
    """

    needs_photos = False

    def __init__(self, encode, name, has_truth):
        self.encode = encode
        meaning = "cosine of the garment's picture and what was painted, cut to the mask's box: an estimate"
        self.metrics = [Metric(f"{name}, estimate", "higher", meaning, mean_of(0), of_photos=has_truth)]

    def measure(self, pictures, items):
        painted = [cut_to_mask(picture, item.mask) for picture, item in zip(pictures, items, strict=True)]
        shown = np.asarray(self.encode(painted), np.float64)
        garments = np.asarray(self.encode([item.garment for item in items]), np.float64)
        return (shown * garments).sum(1, keepdims=True)


def cut_to_mask(picture, mask, least=1):
    """What of a picture (H, W, 3) lies in the box of a mask, bool (H, W), at least `least` pixels a side."""
    spans = (find_span(mask.any(axis), least) for axis in (1, 0))
    return picture[tuple(spans)]


def find_span(there, least: int) -> slice:
    """From the first to the last of bool (n,), widened on both sides to `least` where there are as many."""
    places = np.flatnonzero(there)
    length = min(max(places[-1] + 1 - places[0], least), len(there))
    start = (places[0] + places[-1] + 1 - length) // 2
    start = min(max(start, 0), len(there) - length)
    return slice(start, start + length)


class Features:
    """Are all pictures together like all photos? `encode`: pictures uint8 (n, H, W, 3) -> (n, d)."""

    needs_photos = False

    def __init__(self, encode, name, kid_times=1):
        self.encode = encode
        self.metrics = self._distances(name, slice(None), kid_times)

    @staticmethod
    def _distances(name, places, kid_times=1):
        def of(weighted, times=1):
            def statistic(rows, photo_rows):
                value = weighted(rows[..., places], photo_rows[..., places])
                return lambda weights: times * value(weights)

            return statistic

        fid = f"distance of means and covariances of pictures' and photos' features, {name}: 0 for equal ones"
        kid = f"squared MMD of pictures' and photos' features, {name}, cubic kernel: about 0 for equal ones"
        said = f" x {kid_times}" if kid_times != 1 else ""
        return [
            Metric(f"FID ({name})", "lower", fid, of(weighted_frechet), False, 200, ENOUGH),
            Metric(f"KID{said} ({name})", "lower", kid, of(weighted_kernel, kid_times), False),
        ]

    def measure(self, pictures, items):
        return np.asarray(self.encode(pictures), np.float64)


class ClipFeatures(Features):
    """A CLIP's unit vectors, and their cosines with the prompts'.

    Args:
        encode_images, encode_texts: pictures uint8 (n, H, W, 3), texts -> unit vectors (n, d).
    """

    def __init__(self, encode_images, encode_texts, name):
        self.encode_images, self.encode_texts, self.texts = encode_images, encode_texts, {}
        meaning = f"100 x cosine of picture and prompt in {name}, 0 where negative"
        score = Metric(f"CLIP score ({name})", "higher", meaning, mean_of(-1))
        self.metrics = [*self._distances(f"{name} unit vectors", slice(0, -1)), score]

    def measure(self, pictures, items):
        prompts = [item.prompt for item in items]
        if new := [text for text in dict.fromkeys(prompts) if text not in self.texts]:
            self.texts |= dict(zip(new, np.asarray(self.encode_texts(new), np.float64), strict=True))
        vectors = np.asarray(self.encode_images(pictures), np.float64)
        cosines = (vectors * np.stack([self.texts[text] for text in prompts])).sum(1)
        return np.concatenate([vectors, 100 * cosines.clip(min=0)[:, None]], 1)
