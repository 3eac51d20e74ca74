"""VITON-HD, DressCode and own folders of persons and garments: who wears what, and what goes with it."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from jobs.json_files import read_json
from paperdoll.tryon_folders import DRAWN
from pictures.unusable import Rejection

KINDS = """\
- VITON-HD: train/ and test/ with image/ and cloth/, train_pairs.txt, test_pairs.txt
- DressCode: upper_body/, lower_body/, dresses/ with images/, train_pairs.txt, test_pairs_unpaired.txt
- a folder of try-on: image/ and cloth/ with a garment of each person's name, or pairs.txt"""
CATEGORIES = {"upper_body": "upper", "lower_body": "lower", "dresses": "dress"}
WORDS = {"upper": "upperbody", "lower": "lowerbody", "dress": "dress"}  # DressCode's prompts
UNTAGGED = "shirts"  # what a garment of VITON-HD is called that has no tags
TAGS = "sleeveLength", "neckLine", "item"


@dataclass(frozen=True)
class Fitting:
    """A person in a garment, and that garment alone: whereabouts, nothing decoded.

    name: unique in the folder. parse_labels: cihp or atr, what the ids of `parse` mean. pose_form: body25 or
    coco18. pose_in_photo: joints are in the photo's pixels, not in those of the data set's published photos.
    drawn: seed, index and size by which a paper doll can be drawn again, None of photographs.
    """

    name: str
    split: str
    category: str
    person: Path
    garment: Path
    garment_mask: Path | None = None
    parse: Path | None = None
    parse_labels: str = "cihp"
    pose: Path | None = None
    pose_form: str = "body25"
    pose_in_photo: bool = False
    garment_prompt: str = ""
    drawn: dict | None = None

    @property
    def title(self) -> str:
        """What tables call the person."""
        return self.person.name

    def files(self) -> list[Path]:
        given = self.person, self.garment, self.garment_mask, self.parse, self.pose
        return [path for path in given if path is not None]


@dataclass
class FittingSource:
    """All fittings in a fixed order.

    mask_style: the rule that reads what such data bring. unpaired: names of (person's fitting, garment's
    fitting) to be tried in tests. leaks: persons that are in training and test.
    """

    mask_style: str
    examples: list[Fitting] = field(default_factory=list)
    unpaired: list[tuple[str, str]] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    num_rows: int = 0


def is_fittings(raw: Path) -> bool:
    """Whether a folder is one of KINDS."""
    return bool(_reader_of(Path(raw)))


def open_fittings(raw: Path) -> FittingSource:
    """The fittings of a folder.

    Raises:
        FileNotFoundError: it is none of KINDS.
        ValueError: there is no fitting in it.
    """
    raw = Path(raw)
    reader = _reader_of(raw)
    if reader is None:
        problem = "is none of these" if raw.exists() else "does not exist; give one of these"
        raise FileNotFoundError(f"{raw} {problem}:\n{KINDS}")
    source = reader(raw)
    if not source.examples:
        first = f": {source.rejected[0].image}: {source.rejected[0].reason}" if source.rejected else ""
        raise ValueError(f"{raw} holds no person with a garment{first}")
    if (raw / DRAWN).is_file():
        drawn = read_json(raw / DRAWN)
        paths = [example.person.relative_to(raw).as_posix() for example in source.examples]
        source.examples = [
            replace(f, drawn=drawn.get(path)) for f, path in zip(source.examples, paths, strict=True)
        ]
    persons = {split: {f.title for f in source.examples if f.split == split} for split in ("train", "test")}
    source.leaks = sorted(persons["train"] & persons["test"])
    return source


def _reader_of(raw: Path):
    if any((raw / split / "cloth").is_dir() for split in ("train", "test")):
        return read_viton_hd
    if any((raw / name / "images").is_dir() for name in CATEGORIES):
        return read_dress_code
    return read_own if (raw / "image").is_dir() and (raw / "cloth").is_dir() else None


def read_viton_hd(raw: Path) -> FittingSource:
    """The second column of both lists is another garment: worn is the one of the person's own name."""
    source = FittingSource("vitonhd")
    for split in ("train", "test"):
        folder = raw / split
        if not folder.is_dir():
            continue
        prompts = _read_tags(folder / f"vitonhd_{split}_tagged.json", source)
        names, pairs = {}, _read_pairs(raw / f"{split}_pairs.txt", source)
        for line, (person, _) in pairs:
            stem = Path(person).stem
            fitting = Fitting(
                name=f"{split}_{stem}",
                split=split,
                category="upper",
                person=folder / "image" / person,
                garment=folder / "cloth" / person,
                garment_mask=_found(folder / "cloth-mask" / person),
                parse=folder / "image-parse-v3" / f"{stem}.png",
                parse_labels="cihp",
                pose=folder / "openpose_json" / f"{stem}_keypoints.json",
                pose_form="body25",
                garment_prompt=prompts.get(person, UNTAGGED),
            )
            _add(source, fitting, line, names, person)
        if split == "test":
            _add_unpaired(source, pairs, names, names)
    return source


def read_dress_code(raw: Path) -> FittingSource:
    """Keypoints are in 512 rows, though pictures have 1024; the folder of persons holds garments, too."""
    source = FittingSource("dresscode")
    for folder, category in CATEGORIES.items():
        here = raw / folder
        if not (here / "images").is_dir():
            continue
        prompts = read_captions(here / "dc_caption.txt")
        for split, table in (("train", "train_pairs.txt"), ("test", "test_pairs_paired.txt")):
            names, pairs = {}, _read_pairs(here / table, source)
            for line, (person, garment) in pairs:
                number = Path(person).stem.removesuffix("_0")
                fitting = Fitting(
                    name=f"{folder}_{number}",
                    split=split,
                    category=category,
                    person=here / "images" / person,
                    garment=here / "images" / garment,
                    garment_mask=_found(here / "masks" / f"{Path(garment).stem}.png"),
                    parse=here / "label_maps" / f"{number}_4.png",
                    parse_labels="atr",
                    pose=here / "keypoints" / f"{number}_2.json",
                    pose_form="coco18",
                    garment_prompt=prompts.get(garment, WORDS[category]),
                )
                _add(source, fitting, line, names, person)
            if split == "test":
                garments = {
                    Path(f.garment).name: f.name for f in source.examples if f.person.parent.parent == here
                }
                unpaired = _read_pairs(here / "test_pairs_unpaired.txt", source, optional=True)
                _add_unpaired(source, unpaired, names, garments)
    return source


def read_own(raw: Path) -> FittingSource:
    """image/, cloth/, and where they are there cloth-mask/, parse/ (atr), pose/ (coco18), captions.txt."""
    source, table = FittingSource("body_part"), raw / "pairs.txt"
    persons = sorted(path.name for path in (raw / "image").iterdir() if path.is_file())
    pairs = [(0, (name, name)) for name in persons]
    if table.is_file():
        pairs = _read_pairs(table, source)
    prompts, names = read_captions(raw / "captions.txt"), {}
    for line, (person, garment) in pairs:
        stem = Path(person).stem
        fitting = Fitting(
            name=stem,
            split="train",
            category="upper",
            person=raw / "image" / person,
            garment=raw / "cloth" / garment,
            garment_mask=_found(raw / "cloth-mask" / f"{Path(garment).stem}.png"),
            parse=_found(raw / "parse" / f"{stem}.png"),
            parse_labels="atr",
            pose=_found(raw / "pose" / f"{stem}.json"),
            pose_form="coco18",
            pose_in_photo=True,
            garment_prompt=prompts.get(garment, ""),
        )
        _add(source, fitting, line, names, person)
    return source


def _add(source: FittingSource, fitting: Fitting, line: int, names: dict, person: str) -> None:
    """The fitting, unless a file that its list names is missing, or its person came before."""
    source.num_rows += 1
    missing = [path for path in fitting.files() if not path.is_file()]
    if person in names:
        source.rejected.append(Rejection(person, line, "an earlier line has this person"))
    elif missing:
        there = "/".join(missing[0].parts[-2:])
        source.rejected.append(Rejection(person, line, f"{there} is missing"))
    else:
        names[person] = fitting.name
        source.examples.append(fitting)


def _add_unpaired(source: FittingSource, pairs, persons: dict, garments: dict) -> None:
    for line, (person, garment) in pairs:
        if person in persons and garment in garments:
            source.unpaired.append((persons[person], garments[garment]))
        else:
            lacking = person if person not in persons else garment
            source.rejected.append(Rejection(person, line, f"of the unpaired list, {lacking} is not usable"))


def _read_pairs(path: Path, source: FittingSource, optional=False) -> list[tuple[int, tuple[str, str]]]:
    """(line, (person, garment)) of lines of two names, or three columns with DressCode's category."""
    if not path.is_file():
        if optional:
            return []
        raise FileNotFoundError(f"{path} is missing: it lists which person is in which split")
    pairs = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error}") from error
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words:
            continue
        if len(words) not in (2, 3) or any("/" in word or word.startswith("..") for word in words):
            source.rejected.append(Rejection(line[:80], number, f"{path.name}: two file names are wanted"))
            continue
        pairs.append((number, (words[0], words[1])))
    return pairs


def _read_tags(path: Path, source: FittingSource) -> dict[str, str]:
    """Captions of VITON-HD's garments by file name: sleeves, neckline, item, each followed by a blank."""
    if not path.is_file():
        return {}
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["data"]
        prompts = {}
        for entry in entries:
            tags = {tag["tag_name"]: tag["tag_category"] for tag in entry["tag_info"]}
            prompts[entry["file_name"]] = "".join(f"{tags[name]} " for name in TAGS if tags.get(name))
        return prompts
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} holds no tags of garments: {error!r}") from error


def read_captions(path: Path) -> dict[str, str]:
    """Lines of a file name and its caption."""
    if not path.is_file():
        return {}
    lines = (line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines())
    return {words[0]: words[1].strip() for words in lines if len(words) == 2}


def _found(path: Path) -> Path | None:
    return path if path.is_file() else None
