"""What all annotators share: a photo goes in, a map of its size comes out; and what maps are as files."""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import yaml
from PIL import Image

from pictures.masks import open_mask, region_ids
from pictures.region_maps import encode_map
from pictures.regions import colour_of, region_words


class PictureMaps:
    """Maps that are pictures: uint8 (h, w), or (h, w, 3) in RGB; 0 is where nothing was found.

    `word` says what they show.
    """

    regions_yaml = None

    def __init__(self, word: str):
        self.word = word

    def encode(self, pixels) -> bytes:
        """A PNG."""
        data = io.BytesIO()
        Image.fromarray(pixels).save(data, "PNG")
        return data.getvalue()

    def read(self, path):
        """The map of a file; ValueError if it is damaged."""
        image = open_mask(path)
        return np.asarray(image if image.mode == "L" else image.convert("RGB"))

    def describe_content(self, pixels) -> str:
        """What a map shows and its share of the picture, "edges 5.1%"; "" if it is empty."""
        share = (pixels if pixels.ndim == 2 else pixels.any(axis=2)).astype(bool).mean()
        return f"{self.word} {share:.1%}" if share else ""

    def to_rgb(self, pixels):
        """uint8 (h, w, 3), to look at."""
        return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)


class RegionMaps:
    """Maps of region ids, uint8 (h, w): palette PNGs, and a regions.yaml that says what they mean."""

    def __init__(self, names):
        self.names = tuple(names)
        self.colours = tuple(colour_of(name, i) for i, name in enumerate(self.names))

    @property
    def regions_yaml(self) -> bytes:
        content = dict(names=list(self.names), colours=[list(colour) for colour in self.colours])
        return yaml.safe_dump(content, sort_keys=False, default_flow_style=None).encode()

    def encode(self, ids) -> bytes:
        return encode_map(ids, self.colours)

    def read(self, path):
        """The ids of a file, which somebody may have corrected and saved without its palette."""
        return region_ids(open_mask(path), self.colours)

    def describe_content(self, ids) -> str:
        return region_words(ids, self.names)

    def to_rgb(self, ids):
        return np.uint8(self.colours)[ids]


@dataclass(frozen=True)
class Annotator:
    """What makes maps of photos.

    Args:
        call: a photo, uint8 (h, w, 3) in RGB -> its map.
        maps: what the maps are as files.
        settings: what they depend on; a folder with maps of others is refused.
        faults: the errors that are about one photo.
    """

    call: Callable
    maps: PictureMaps | RegionMaps
    settings: dict
    faults: tuple = (ValueError,)
