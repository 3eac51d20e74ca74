"""What captioners read of a training folder besides pictures: a line's other captions, and its region map."""

from pathlib import Path

from pictures.region_maps import load_map
from pictures.regions import Regions, find_regions


def caption_in(line: dict, column: str) -> str:
    """A line's caption of a column; ValueError if it has none."""
    captions = line.get("captions", {})
    if column not in captions:
        listed = ", ".join(captions) or "none"
        raise ValueError(f"{line.get('target')} has no captions of the column {column!r}, there are {listed}")
    if not isinstance(captions[column], str):
        raise ValueError(f"{line.get('target')}: captions.{column} is no text, but {captions[column]!r}")
    return captions[column]


def phrases_in(text: str, separator: str = ",") -> list[str]:
    """The different phrases of a list: "a hat, a mini skirt" is two."""
    phrases = (phrase.strip() for phrase in text.split(separator))
    return list(dict.fromkeys(phrase for phrase in phrases if phrase))


def require_regions(folder) -> Regions:
    """The one table of a training folder's regions.yaml.

    A yaml of names and colours alone, as of a folder of own maps, gives regions of no garment.
    Raises:
        FileNotFoundError: the folder has no regions.yaml, so its hints are pictures.
        ValueError: the yaml is damaged.
    """
    regions = find_regions(folder)
    if regions is None:
        path = Path(folder) / "regions.yaml"
        raise FileNotFoundError(f"there is no {path}: only folders of region maps say which garment is where")
    return regions


def read_map(folder, line: dict, regions: Regions):
    """The region ids, uint8 (h, w), of a line's map; ValueError names one that cannot be read."""
    try:
        return load_map(Path(folder) / line["source"], regions.colours)
    except OSError as error:
        raise ValueError(f"{line['source']} is missing or no picture: {error}") from error
