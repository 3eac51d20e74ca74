"""What the page offers besides the model: templates to begin with, and words for garments."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from annotator.caption.clip_labels import GARMENTS_FILE
from learning.segmenter.distorted_dolls import doll_regions
from paperdoll import draw
from pictures.painted_maps import read_map

DOLLS = {  # dolls of seed 0, and what they wear
    5: "Shirt, pants, hat",
    31: "Maxi dress, cap",
    16: "Top, maxi skirt",
    29: "Jumpsuit",
    44: "Sweater, skirt, hat",
    37: "Coat",
    9: "Top, pants, headband",
    46: "Dress, cap, near",
}
MAP_SUFFIXES = ".png", ".bmp", ".webp"
MOST = 64


class Template(NamedTuple):
    """A map uint8 (h, w) to begin with, its name, and the prompt that goes with it, if one does."""

    ids: np.ndarray
    name: str
    prompt: str | None = None


def read_templates(folder: Path | None, encoder, warn=print) -> list[Template]:
    """The maps of a folder, by name, of which the file's name is the template's.

    None is the folder `templates`, if there is one.
    A prompt stands in a text file of the picture's name. Files that are no maps, and what is beyond 64, are
    named to `warn`.
    """
    if folder is None and not (folder := Path("templates")).is_dir():
        return []
    if not folder.is_dir():
        raise FileNotFoundError(f"--templates {folder} is no folder")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in MAP_SUFFIXES)
    found = []
    for path in files:
        if len(found) == MOST:
            warn(f"{folder}: the first {MOST} maps of {len(files)} files are shown")
            break
        text = path.with_suffix(".txt")
        try:
            prompt = text.read_text(encoding="utf-8").strip() if text.is_file() else ""
            name = path.stem.replace("_", " ")
            found.append(Template(ids=read_map(path, encoder), name=name, prompt=prompt or None))
        except ValueError as error:
            warn(f"{path} is no template: {error}")
    return found


@dataclass
class Extras:
    """What the page offers besides the model: templates, words of garments by region, and of colours."""

    templates: list[Template]
    garments: dict[str, list[str]]
    colours: list[str]


def gather_extras(encoder, regions, folder: Path | None) -> Extras:
    """The templates of a folder, dolls where the map has the standard `regions`, and garments' words."""
    templates = read_templates(folder, encoder)
    for index, name in DOLLS.items() if encoder.names == regions.names else ():
        doll = draw(0, index, 256)
        templates.append(Template(ids=doll_regions(doll), name=name, prompt=doll.caption))
    lists = yaml.safe_load(GARMENTS_FILE.read_text(encoding="utf-8"))["lists"]
    words = {entry["region"]: entry["labels"] for entry in lists.values() if "region" in entry}
    garments = {name: words[name] for name in encoder.names if name in words}
    return Extras(templates=templates, garments=garments, colours=lists["colours"]["labels"])
