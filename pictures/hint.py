"""Region ids to the picture that the control branch sees, and back: one for training, demo and metrics."""

from dataclasses import dataclass

import numpy as np

from pictures.regions import find_regions, match_colours, names_and_colours, read_regions


@dataclass(frozen=True)
class HintEncoder:
    """Names and colours (r, g, b) of the regions; a region's id is its position, 0 the background."""

    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]

    @classmethod
    def from_file(cls, path) -> "HintEncoder":
        """From a yaml with the lists `names` and `colours`, such as a training folder's regions.yaml."""
        regions = read_regions(path)
        return cls(regions.names, regions.colours)

    @classmethod
    def from_metadata(cls, metadata: dict) -> "HintEncoder":
        """From a dict with `names` and `colours`; the inverse of `metadata`."""
        return cls(*names_and_colours(metadata))

    def metadata(self) -> dict:
        """Names and colours as plain lists, to be written beside weights."""
        return dict(names=list(self.names), colours=[list(colour) for colour in self.colours])

    def to_rgb(self, ids):
        """Region ids uint8 (h, w) -> colours uint8 (h, w, 3)."""
        for extreme in (ids.min(), ids.max()) if ids.size else ():
            if extreme not in range(len(self.names)):
                raise ValueError(f"region ids go from 0 to {len(self.names) - 1}, got {extreme}")
        return np.asarray(self.colours, np.uint8)[ids]

    def to_ids(self, rgb):
        """Colours uint8 (h, w, 3) -> region ids uint8 (h, w).

        Raises:
            ValueError: pixels are off the palette; says how many, and the commonest such colour.
        """
        if np.ndim(rgb) < 1 or np.shape(rgb)[-1] != 3:
            raise ValueError(f"colours must be (h, w, 3), got {np.shape(rgb)}")
        ids, wrong = match_colours(rgb, self.colours)
        if wrong.any():
            colours, counts = np.unique(np.asarray(rgb)[wrong], axis=0, return_counts=True)
            raise ValueError(
                f"{wrong.sum()} of {wrong.size} pixels are off the palette, most of them coloured "
                f"{tuple(colours[counts.argmax()].astype(int).tolist())}; regions are "
                + ", ".join(f"{name} {colour}" for name, colour in zip(self.names, self.colours, strict=True))
            )
        return ids

    def to_hint(self, ids):
        """Region ids uint8 (h, w) -> hint float32 (h, w, 3) in [0, 1]."""
        return self.to_rgb(ids).astype(np.float32) / 255.0


def find_encoder(folder) -> HintEncoder | None:
    """The encoder of a training folder's maps by its regions.yaml, None without: its maps are pictures."""
    regions = find_regions(folder)
    return HintEncoder(regions.names, regions.colours) if regions else None
