"""One raw photo becomes pairs of files: maps in source/, pictures in target/, and a record of each."""

import io
import warnings
import zlib
from dataclasses import dataclass
from itertools import count, islice
from multiprocessing import parent_process
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from jobs.whole_files import write_atomically
from pictures.crops import Crop, choose_crops, list_buckets
from pictures.photo import open_photo
from pictures.region_maps import encode_map
from pictures.unusable import Box, Rejection, Unusable
from preparation.examples import Example
from preparation.measures import measure
from preparation.options import PrepareOptions
from preparation.record import Record


@dataclass(frozen=True)
class Job:
    """What all photos of a folder have in common; `names` and `colours` by region id, None for pictures."""

    out: Path
    options: PrepareOptions
    names: tuple[str, ...] | None
    colours: tuple[tuple[int, int, int], ...] | None

    def prepare_all(self, examples: list[Example]) -> list[tuple[list[Record], list[Rejection]]]:
        """Records and rejections of each photo, its files written."""
        if parent_process():
            # the other cores have processes of their own
            cv2.setNumThreads(1)
        with warnings.catch_warnings():
            # Pillow's do not say which photo they are about; what can't be read is rejected with its reason
            warnings.filterwarnings("ignore", module="PIL")
            return [self.prepare(example) for example in examples]

    def prepare(self, example: Example) -> tuple[list[Record], list[Rejection]]:
        """Records of the pictures that one photo gives, and all that is not used of its annotation.

        Files that are there stay as they are: they are the same, or somebody has corrected them.
        """
        rejected = []
        try:
            annotation = example.annotation()
            rejected += annotation.rejected
            records = self._prepare(example, annotation)
        except Unusable as error:
            rejected += error.rejected
            known = {rejection.line for rejection in rejected}
            lines = [line for line in example.lines or (0,) if line not in known]
            return [], rejected + [Rejection(example.title, line, str(error)) for line in lines]
        except OSError:
            raise
        except Exception as error:
            raise RuntimeError(f"{example.photo} can't be prepared: {error!r}") from error
        return records, rejected

    def _prepare(self, example: Example, annotation) -> list[Record]:
        options = self.options
        photo = open_photo(example.photo, annotation.height, annotation.width, example.upright)
        crops = choose_crops(
            photo.height,
            photo.width,
            annotation.boxes,
            list_buckets(options.size, options.square),
            options.margin,
            options.max_upscale,
            options.second_crop,
        )
        return [
            self._write(example, annotation, photo, crop, example.name + suffix)
            for crop, suffix in zip(crops, crop_suffixes(), strict=False)
        ]

    def _write(self, example: Example, annotation, photo, crop: Crop, name: str) -> Record:
        """Write the two files of one crop; returns its record."""
        drawn, pixels = annotation.draw(crop), photo.cut(crop)
        boxes = boxes_in_crop(annotation.boxes, crop)
        source, target = f"source/{name}.png", f"target/{name}.jpg"
        map_bytes = encode_map(drawn, self.colours) if self.names else encode_picture(drawn)
        target_bytes = photo.encode(crop, pixels)
        for path, content in ((self.out / target, target_bytes), (self.out / source, map_bytes)):
            if not path.exists():
                write_atomically(path, content)
        return Record(
            name=name,
            example=example.name,
            photo=example.title,
            photo_size=[photo.height, photo.width],
            crop=[round(side, 3) for side in (crop.left, crop.top, crop.right, crop.bottom)],
            source=source,
            target=target,
            size=[crop.height, crop.width],
            bucket=f"{crop.height}x{crop.width}",
            **name_regions(drawn, self.names),
            boxes=[
                [*(round(side, 2) for side in (box.left, box.top, box.right, box.bottom)), box.region]
                for box in boxes
            ],
            measures=measure(pixels, boxes, photo, crop),
            captions=annotation.captions,
            rows=[annotation.num_painted, annotation.num_unpainted],
            incomplete=annotation.incomplete,
            map_crc=zlib.crc32(map_bytes),
            target_crc=zlib.crc32(target_bytes),
            target_bytes=len(target_bytes),
        )


def check_crop_names(examples: list[Example]) -> None:
    """Raise ValueError where a photo is called as another one's second crop will be."""
    names = {example.name for example in examples}
    _, suffix = islice(crop_suffixes(), 2)
    if taken := min((name for name in names if name + suffix in names), default=None):
        raise ValueError(
            f"the second crop of {taken} would be called {taken}{suffix}, as another photo is: "
            "rename that, or prepare without --second-crop"
        )


def crop_suffixes():
    """What the names of a photo's pictures end with: nothing, _crop2, _crop3, ..."""
    yield ""
    yield from (f"_crop{number}" for number in count(2))


def boxes_in_crop(boxes: list[Box], crop: Crop) -> list[Box]:
    """What the crop shows of boxes of the photo, in the crop's pixels."""
    across = crop.width / (crop.right - crop.left)
    down = crop.height / (crop.bottom - crop.top)
    shown = []
    for box in boxes:
        left, right = (min(max((x - crop.left) * across, 0), crop.width) for x in (box.left, box.right))
        top, bottom = (min(max((y - crop.top) * down, 0), crop.height) for y in (box.top, box.bottom))
        if left < right and top < bottom:
            shown.append(Box(left, top, right, bottom, box.region))
    return shown


def name_regions(drawn, names: tuple[str, ...] | None) -> dict:
    """Names of the regions that a map shows, and the share of the picture that each covers."""
    if names is None:
        return {"regions": [], "areas": {}}
    pixels = np.bincount(drawn.ravel(), minlength=len(names))
    areas = {name: round(int(n) / drawn.size, 6) for name, n in zip(names, pixels, strict=True) if n}
    areas.pop(names[0], None)
    return {"regions": list(areas), "areas": areas}


def encode_picture(pixels) -> bytes:
    """A picture uint8 (h, w, 3) as PNG."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()
