"""Region ids to the picture that the control branch sees, and back: one for training, demo and metrics."""

from dataclasses import dataclass

import numpy as np

from jobs.yaml_files import read_yaml

KEYS = "names", "colours"


@dataclass(frozen=True)
class HintEncoder:
    """Names and colours (r, g, b) of the regions; a region's id is its position, 0 the background."""

    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]

    @classmethod
    def from_file(cls, path) -> "HintEncoder":
        """From a yaml with the lists `names` and `colours`, such as a training folder's regions.yaml."""
        content = read_yaml(path)
        try:
            return cls.from_metadata(content)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    @classmethod
    def from_metadata(cls, metadata: dict) -> "HintEncoder":
        """From a dict with `names` and `colours`; the inverse of `metadata`."""
        names, colours = (metadata.get(key) if isinstance(metadata, dict) else None for key in KEYS)
        if not isinstance(names, list) or not isinstance(colours, list):
            raise ValueError("regions are described by the lists `names` and `colours`")
        if not all(isinstance(name, str) for name in names) or not 0 < len(names) <= 256:
            raise ValueError(f"names must be 1 to 256 texts, got {names!s:.60}")
        if len(names) != len(colours):
            raise ValueError(
                f"regions need one colour each, got {len(names)} names and {len(colours)} colours"
            )
        for colour in colours:
            if not isinstance(colour, list) or [v for v in colour if v in range(256)] != colour:
                raise ValueError(f"a colour is three numbers from 0 to 255, got {colour}")
            if len(colour) != 3 or colours.count(colour) > 1:
                raise ValueError(f"a colour is three numbers and belongs to one region, got {colour}")
        return cls(tuple(names), tuple(tuple(int(v) for v in colour) for colour in colours))

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
        code = _code(rgb)
        table = _code(np.asarray(self.colours, np.uint8))
        matches = code[..., None] == table
        if not (known := matches.any(-1)).all():
            colours, counts = np.unique(code[~known], return_counts=True)
            worst = int(colours[counts.argmax()])
            raise ValueError(
                f"{int((~known).sum())} of {code.size} pixels are off the palette, most of them coloured "
                f"{(worst >> 16, worst >> 8 & 255, worst & 255)}; regions are "
                + ", ".join(f"{name} {colour}" for name, colour in zip(self.names, self.colours, strict=True))
            )
        return matches.argmax(-1).astype(np.uint8)

    def to_hint(self, ids):
        """Region ids uint8 (h, w) -> hint float32 (h, w, 3) in [0, 1]."""
        return self.to_rgb(ids).astype(np.float32) / 255.0


def _code(rgb):
    """Colours (..., 3) -> one integer each (...)."""
    r, g, b = np.moveaxis(np.asarray(rgb).astype(np.int64), -1, 0)
    return r << 16 | g << 8 | b
