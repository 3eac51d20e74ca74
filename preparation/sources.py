"""Which kind of raw data a path holds, and its examples."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from pictures.masks import open_mask, region_ids
from pictures.pairs import find_table, match_pairs, parse_lines
from pictures.regions import Regions, read_regions
from pictures.unusable import Rejection, Unusable
from preparation.examples import Example, Source
from preparation.fittings.sources import KINDS as FITTINGS
from preparation.imaterialist import IMaterialist, read_captions
from preparation.masked_examples import MaskedExample
from preparation.options import PrepareOptions

KINDS = (
    """\
- iMaterialist (Fashion) 2019: train.csv, label_descriptions.json, train/
- a folder with prompt.json, as fill50k or a training folder has it, or with metadata.jsonl
- a .jsonl file of lines such as {"source": map, "target": picture, "prompt": text}
- a folder of photos and one of maps: images/ and masks/, with a file of the same name in each"""
    + "\n"
    + FITTINGS
)


@dataclass
class Pairs:
    """Photos with masks in files: a Source whose maps are regions, or pictures where `names` is None."""

    examples: list[Example]
    rejected: list[Rejection]
    num_rows: int
    names: tuple[str, ...] | None = None
    colours: tuple[tuple[int, int, int], ...] | None = None
    regions_yaml: bytes | None = None


def open_source(raw: Path, options: PrepareOptions) -> Source:
    """The examples of whatever `raw` is; ValueError or FileNotFoundError where it is none of KINDS."""
    if (raw / "train.csv").is_file():
        if options.hints == "picture":
            raise ValueError(f"--hints picture: the masks of {raw}/train.csv are regions; leave it out")
        return IMaterialist(raw, _regions(options))
    if find_table(raw):
        examples, rejected, num_rows = _read_table(find_table(raw))
    elif (raw / "images").is_dir() and (raw / "masks").is_dir():
        examples, rejected, num_rows = _read_folders(raw)
    else:
        problem = "is none of these" if raw.exists() else "does not exist; give one of these"
        raise FileNotFoundError(f"{raw} {problem}:\n{KINDS}")
    if not examples:
        first = rejected[0] if rejected else None
        reason = f": {first.image or f'line {first.line}'}: {first.reason}" if first else ""
        raise ValueError(f"{raw} holds no pair of a photo and a map{reason}")
    return _with_hints(raw, options, Pairs(examples, rejected, num_rows))


def identity(raw: Path, source: Source) -> dict:
    """What tells raw data from other data: its photos and masks by name, and what train.csv holds.

    Photos and masks are too large to be read for that, and captions may change.
    """
    digest = hashlib.sha256()
    for example in source.examples:
        files = ["/".join(path.parts[-2:]) for path in example.files()]
        digest.update(f"{json.dumps([example.name, example.title, *files, *example.lines])}\n".encode())
    photos = digest.hexdigest()[:16]
    table = raw / "train.csv"
    if not table.is_file():
        return {"examples": len(source.examples), "photos": photos}
    with open(table, "rb") as file:
        rows = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return {"examples": len(source.examples), "photos": photos, "train_csv": rows}


def _regions(options: PrepareOptions) -> Regions:
    place = {"path": Path(options.regions)} if options.regions else {}
    return Regions.read(table=options.table, **place)


def _read_table(table: Path):
    """(examples, rejected, number of lines) of a prompt.json or its like."""
    entries, rejected, num_rows = [], [], 0
    for number, item in parse_lines(table):
        num_rows += 1
        if isinstance(item, str):
            rejected.append(Rejection("", number, item))
        else:
            entries.append((number, item))
    names = _unique_names([item["target"] for _, item in entries])
    examples, seen = [], set()
    for name, (number, item) in zip(names, entries, strict=True):
        if name in seen:
            rejected.append(Rejection(item["target"], number, "an earlier line has a picture of that name"))
            continue
        seen.add(name)
        given = item.get("captions")
        captions = given if isinstance(given, dict) and given else {"caption": item["prompt"]}
        captions = {str(key): text for key, text in captions.items() if isinstance(text, str) and text}
        photo, mask = table.parent / item["target"], table.parent / item["source"]
        examples.append(MaskedExample(name, photo, captions, (number,), target=item["target"], mask=mask))
    return examples, rejected, num_rows


def _read_folders(raw: Path):
    """(examples, rejected, 0) of images/ and masks/; captions in captions.csv or beside the images."""
    pairs, alone = match_pairs(raw)
    images = [pair["target"].removeprefix("images/") for pair in pairs]
    captions, names = read_captions(raw / "captions.csv", images), _unique_names(images)
    # tool_annotate.py looks at photos the way up that their cameras noted
    upright, examples, seen = (raw / "maps.csv").is_file(), [], set()
    for pair, image, name in zip(pairs, images, names, strict=True):
        if name in seen:
            alone.append((pair["target"], f"another picture would be called {name}, too: rename one of them"))
            continue
        seen.add(name)
        beside = {"caption": pair["prompt"]} if pair["prompt"] else {}
        known, mask = captions.get(image, {}) | beside, raw / pair["source"]
        photo = dict(photo=raw / pair["target"], target=pair["target"], upright=upright)
        examples.append(MaskedExample(name=name, captions=known, mask=mask, **photo))
    return examples, [Rejection(name, 0, reason) for name, reason in alone], 0


def _unique_names(targets: list[str]) -> list[str]:
    """A name for each picture: its file's, with its folders where several files are called alike."""
    stems = Counter(Path(target).stem for target in dict.fromkeys(targets))
    names = []
    for target in map(Path, targets):
        folders = [part for part in target.parent.parts if part not in (target.anchor, "..")]
        names.append("_".join([*folders, target.stem]) if stems[target.stem] > 1 else target.stem)
    return names


def _with_hints(raw: Path, options: PrepareOptions, pairs: Pairs) -> Pairs:
    """The pairs, once it is known what their maps are."""
    own = raw / "regions.yaml"
    if own.is_file() and options.regions is None:
        if options.table != PrepareOptions.table:
            raise ValueError(f"{own} says what the maps show: --table {options.table} needs --regions, too")
        regions = read_regions(own)
        pairs.names, pairs.colours = regions.names, regions.colours
        pairs.regions_yaml = own.read_bytes()
    else:
        regions = _regions(options)
        pairs.names, pairs.colours = regions.names, regions.colours
        pairs.regions_yaml = regions.to_yaml()
    hints = options.hints
    if hints == "auto":
        hints, why = _recognise(pairs)
        print(f"{raw}: {why}, so maps are taken for {hints}; --hints {hints} says so at once", flush=True)
    if hints == "picture":
        pairs.names = pairs.colours = pairs.regions_yaml = None
    pairs.examples = [replace(example, colours=pairs.colours) for example in pairs.examples]
    return pairs


def _recognise(pairs: Pairs) -> tuple[str, str]:
    """regions or picture, and why: by the first readable map that is not empty."""
    for example in pairs.examples:
        try:
            image = open_mask(example.mask)
        except Unusable:
            continue
        try:
            ids = region_ids(image, pairs.colours)
        except Unusable as error:
            return "picture", f"{example.mask.name}: {error}"
        if ids.any():
            return "regions", f"{example.mask.name} holds region ids or the regions' colours only"
    return "regions", "no map holds anything"
