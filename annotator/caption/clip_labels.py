"""The labels that CLIP-Interrogator chooses from: our garment words, the published lists, or a file's."""

import difflib
import hashlib
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from jobs.progress import Progress
from jobs.whole_files import write_atomically
from jobs.yaml_files import read_yaml

GARMENTS_FILE = Path(__file__).with_name("garment_labels.yaml")
# the published program holds these in its code, not in its lists
SITES = (
    "Artstation, behance, cg society, cgsociety, deviantart, dribble, flickr, instagram, pexels, pinterest, "
    "pixabay, pixiv, polycount, reddit, shutterstock, tumblr, unsplash, zbrush central"
).split(", ")
TRENDING = ("{}", "trending on {}", "featured on {}", "{} contest winner")
PUBLISHED = "artists", "flavors", "mediums", "movements", "negative"


@dataclass(frozen=True)
class WordLists:
    """Labels by list, and what the modes make of them.

    Args:
        labels: of each list, none twice in it.
        regions: list -> region of the map that its labels are about.
        classic: the parts of a classic prompt; a part is (list, how many labels) once or more.
        negative: labels for mode negative beside the least fitting ones of `negative_of`, lists' names.
    """

    labels: dict[str, list[str]]
    regions: dict[str, str]
    classic: list[list[tuple[str, int]]]
    negative: list[str]
    negative_of: tuple[str, ...]


def read_word_lists(words: str) -> WordLists:
    """`garments`, `published`, or those of a yaml file like garment_labels.yaml.

    Raises:
        FileNotFoundError: there is no such file, or the published lists' package is not installed.
        ValueError: the file's content is no word lists; says what is wrong.
    """
    if words == "published":
        return read_published_lists()
    path = GARMENTS_FILE if words == "garments" else Path(words)
    if not path.is_file():
        raise FileNotFoundError(f"words must be garments, published or a yaml file; there is no {path}")
    content = read_yaml(path)
    try:
        return _word_lists(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def check_regions(words: WordLists, names, where) -> None:
    """Raise ValueError for a list about a region that `where`, with regions of `names`, spells otherwise.

    A folder may lack a list's region altogether, but not those of all lists.
    """
    lacking = {name: region for name, region in words.regions.items() if region not in names}
    for name, region in lacking.items():
        if near := difflib.get_close_matches(region, names, n=1):
            raise ValueError(
                f"list {name} is about region {region!r}, which {where} has not: did you mean {near[0]!r}?"
            )
    if words.regions and lacking == words.regions:
        raise ValueError(f"no list is about a region of {where}, which has {', '.join(names)}")


def read_published_lists() -> WordLists:
    """The lists of the package clip-interrogator, read from where it is installed; nothing of it runs."""
    package = importlib.util.find_spec("clip_interrogator")
    if package is None:
        raise FileNotFoundError(
            "words=published reads the word lists of the package clip-interrogator, which is not installed: "
            "pip install --no-deps clip-interrogator==0.6.0, or take words=garments"
        )
    folder = Path(package.submodule_search_locations[0], "data")
    raw = {name: (folder / f"{name}.txt").read_text(encoding="utf-8").splitlines() for name in PUBLISHED}
    artists = [f"{by} {name.strip()}" for by in ("by", "inspired by") for name in raw["artists"]]
    lists = dict(artists=artists, flavors=raw["flavors"], mediums=raw["mediums"], movements=raw["movements"])
    lists["trendings"] = [form.format(site) for form in TRENDING for site in SITES]
    classic = [[("mediums", 1), ("artists", 1)], [("trendings", 1)], [("movements", 1)], [("flavors", 3)]]
    return WordLists(
        _drop_repeats(lists), {}, classic, _drop_repeats({"": raw["negative"]})[""], ("flavors",)
    )


def _drop_repeats(lists: dict[str, list[str]]) -> dict[str, list[str]]:
    """The lists, each without empty labels and without those that it has already."""
    stripped = {name: dict.fromkeys(label.strip() for label in labels) for name, labels in lists.items()}
    return {name: [label for label in labels if label] for name, labels in stripped.items()}


def _word_lists(content) -> WordLists:
    lists = content.get("lists") if isinstance(content, dict) else None
    if not isinstance(lists, dict) or not lists:
        raise ValueError("lists must give each list's name its labels, see garment_labels.yaml")
    for name, entry in lists.items():
        if not isinstance(entry, dict) or entry.keys() - {"labels", "behind", "region"}:
            raise ValueError(f"list {name} takes labels, behind and region, got {entry!r}")
        _check_labels(entry.get("labels"), f"list {name}")
        if not isinstance(entry.get("region", ""), str):
            raise ValueError(f"region of list {name} must be a region's name, got {entry['region']!r}")
        if (behind := entry.get("behind")) not in (None, *lists):
            raise ValueError(f"list {name} stands behind {behind!r}, and there is no such list")
    labels = {name: _combine(lists, entry) for name, entry in lists.items()}
    regions = {name: entry["region"] for name, entry in lists.items() if "region" in entry}
    wrong = sorted(map(str, content.keys() - {"lists", "classic", "negative"}))
    if wrong:
        raise ValueError(f"there are keys lists, classic and negative, got {wrong[0]!r}")
    if not isinstance(content.get("classic", []), list):
        raise ValueError(f"classic wants a list of parts, got {content['classic']!r}")
    classic = [_read_part(part, lists) for part in content.get("classic", [])]
    negative = content.get("negative", [])
    if negative != []:
        _check_labels(negative, "negative")
    return WordLists(_drop_repeats(labels), regions, classic, list(negative), tuple(lists))


def _check_labels(labels, where: str) -> None:
    texts = labels if isinstance(labels, list) else [labels]
    wrong = [label for label in texts if not isinstance(label, str) or not label.strip() or ", " in label]
    if wrong or not texts or not isinstance(labels, list):
        got = wrong[0] if wrong and isinstance(labels, list) else labels
        raise ValueError(f"{where} wants a list of labels, each a text without ', ' in it, got {got!r}")


def _combine(lists: dict, entry: dict) -> list[str]:
    before = entry.get("behind")
    if before is None:
        return entry["labels"]
    return [f"{first} {label}" for label in entry["labels"] for first in lists[before]["labels"]]


def _read_part(part, lists) -> list[tuple[str, int]]:
    counts = list(part.items()) if isinstance(part, dict) else [(part, None)]
    for name, count in counts:
        if type(count) is not int or count < 1 or name not in lists:
            raise ValueError(f"classic wants {{list: number of its labels}}, got {part!r}")
    return counts


CHUNK = 2048


def embed_labels(clip, labels: list[str], folder, weights: str):
    """Unit vectors float32 (n, d) of labels, rounded to float16 as they are kept in `folder`/.labels.

    Hidden, so that they are none of the weights' files, by which one CLIP is told from another.

    Args:
        weights: what tells the CLIP from others; another one has another file.
    """
    key = hashlib.sha256(json.dumps([weights, labels]).encode()).hexdigest()[:16]
    path = Path(folder, ".labels", f"{key}.safetensors")
    try:
        found = load_file(path)["vectors"]
    except (OSError, SafetensorError, KeyError):
        found = _compute(clip, labels)
        _keep(path, found)
    return found.to(clip.device, torch.float32)


def _compute(clip, labels):
    progress, parts = Progress("labels", len(labels), "texts"), []
    for start in range(0, len(labels), CHUNK):
        part = labels[start : start + CHUNK]
        parts.append(clip.encode_texts(part).half().cpu())
        progress.add(len(part))
    return torch.cat(parts)


def _keep(path: Path, vectors) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, save({"vectors": vectors.contiguous()}))
    except OSError as error:
        print(
            f"warning: the labels' vectors are computed anew each time, as {path} cannot be written ({error})"
        )
