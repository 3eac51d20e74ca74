"""Which garment goes on whom: rows of a table, and the files of people and garments that they name."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from generation.fitting_items import GarmentPhoto, PersonPhoto
from generation.fitting_lines import lines_by_name
from generation.table import check_text, csv_lines, read_seed, read_table_text
from pictures.pairs import PICTURES, read_items
from preparation.fittings.sources import read_captions

COLUMNS = {"person", "garment", "category", "prompt", "seed"}
BY_MASK = "mask"  # what --cut is called that cuts by the garments' masks
HELD_OUT = "val", "test"


@dataclass(frozen=True)
class PairRow:
    """A person and a garment by their names; None is what the folders say."""

    number: int  # in the table, from 1
    person: str
    garment: str
    category: str | None = None
    prompt: str | None = None
    seed: int | None = None


@dataclass(frozen=True)
class RejectedPair:
    row: int
    person: str
    garment: str
    reason: str


class PreparedFolder:
    """A training folder of tool_prepare_data.py, whose people wear garments of the same names.

    `own` are those that get their own garments where no table names others: the split val, else test.
    """

    def __init__(self, folder: Path, listed: bool):
        self.folder, items = read_items(folder)
        self.lines = lines_by_name(folder, items)
        split = None if listed else choose_split(items, HELD_OUT, folder, "list pairs by --pairs")
        self.own = [item["name"] for item in items if item.get("split", "train") == split]

    def size_of(self, row: PairRow) -> tuple[int, int] | None:
        size = self.find(row.person)[1].get("size")
        return size and tuple(size)

    def find(self, name: str) -> tuple[str, dict]:
        """A name as the folder has it, which may be given with a file's suffix, and its line."""
        found = find_name(name, self.lines)
        if found is None:
            raise ValueError(f"{self.folder} has no {name}")
        return found, self.lines[found]

    def person(self, row: PairRow, regions: str, grow: int, prompt: str) -> PersonPhoto:
        name, line = self.find(row.person)
        return PersonPhoto(
            photo=self.folder / line["target"],
            mask=None if regions else self.folder / line["mask"],
            joints=self.folder / line["pose"] if "pose" in line else None,
            labels=dict(regions=self.folder / line["source"]) if regions and "source" in line else {},
            regions=regions,
            grow=grow,
            prompt=row.prompt if row.prompt is not None else line["prompt"] or prompt,
            name=name,
        )

    def garment(self, row: PairRow, cut: str) -> GarmentPhoto:
        name, line = self.find(row.garment)
        told = dict(name=name, prompt=line.get("garment_prompt", ""))
        told |= dict(category=row.category or line.get("category", "upper"))
        if cut == BY_MASK:
            raise ValueError(f"{self.folder} has no masks of garments in photos of people: cut by regions")
        if cut:
            source = self.folder / line["source"] if "source" in line else None
            return GarmentPhoto(
                self.folder / line["target"], worn=True, region_map=source, regions=cut, **told
            )
        mask = self.folder / line["garment_mask"] if "garment_mask" in line else None
        return GarmentPhoto(self.folder / line["garment"], mask=mask, **told)

    def map_of(self, row: PairRow) -> Path | None:
        """The person's region map, for a control."""
        line = self.find(row.person)[1]
        return self.folder / line["source"] if "source" in line else None


class TwoFolders:
    """A folder of people and one of garments; what is known of a picture lies beside its folder, by its name.

    Beside people: mask/ (what may be painted), parse/ (label maps of ATR), pose/ (joints), source/ (region
    maps). Beside garments: cloth-mask/ or garment_mask/, captions.txt, and source/, by which one is cut out.
    """

    def __init__(self, people: Path, garments: Path, category: str):
        self.people, self.garments, self.category = people, garments, category
        self.photos, self.cloths = list_pictures(people, "people"), list_pictures(garments, "garments")
        self.own = list(self.photos)
        self.captions = read_captions(garments.absolute().parent / "captions.txt")

    def size_of(self, row: PairRow) -> None:
        return None

    def person(self, row: PairRow, regions: str, grow: int, prompt: str) -> PersonPhoto:
        photo = find_picture(row.person, self.photos, self.people)
        found = {key: find_beside(photo, key) for key in ("parse", "source")}
        labels = dict(atr=found["parse"], regions=found["source"])
        if not regions and found["parse"]:
            del labels["regions"]
        return PersonPhoto(
            photo=photo,
            mask=None if regions else find_beside(photo, "mask"),
            joints=find_beside(photo, "pose", (".json",)),
            labels={name: path for name, path in labels.items() if path},
            regions=regions,
            grow=grow,
            prompt=row.prompt if row.prompt is not None else prompt or None,
            name=photo.stem,
        )

    def garment(self, row: PairRow, cut: str) -> GarmentPhoto:
        photo = find_picture(row.garment, self.cloths, self.garments)
        mask = find_beside(photo, "cloth-mask") or find_beside(photo, "garment_mask")
        return GarmentPhoto(
            photo=photo,
            category=row.category or self.category,
            mask=mask,
            worn=bool(cut),
            region_map=find_beside(photo, "source") if cut else None,
            regions="" if cut == BY_MASK else cut,
            prompt=self.captions.get(photo.name, self.captions.get(photo.stem, "")),
            name=photo.stem,
        )

    def map_of(self, row: PairRow) -> Path | None:
        return find_beside(find_picture(row.person, self.photos, self.people), "source")


def read_pairs(table: Path | None, own: list[str]) -> tuple[list[PairRow], list[RejectedPair], list[str]]:
    """(PairRows, RejectedPairs, columns of the table that aren't used).

    Args:
        table: lines "person garment" and, where wanted, the category behind them; or a .csv with the columns
            person, garment, and where wanted category, prompt, seed. None gives everybody of `own` the
            garment of their name.
    """
    if table is None:
        return [PairRow(number, name, name) for number, name in enumerate(own, 1)], [], []
    if not table.is_file():
        what = "is a folder, not a file" if table.exists() else "does not exist"
        raise FileNotFoundError(f"the pairs {table} {what}")
    rows, rejected, unused = [], [], set()
    for number, line in _lines(table):
        try:
            rows.append(_row(number, line))
            unused |= {*line} - COLUMNS
        except ValueError as error:
            person, garment = (str(line.get(key) or "")[:100] for key in ("person", "garment"))
            rejected.append(RejectedPair(number, person, garment, str(error)))
    if not rows and not rejected:
        raise ValueError(f"{table} has no pair: lines of a person's and a garment's name are wanted")
    return rows, rejected, sorted(map(str, unused))


def choose_split(lines, wanted, folder, remedy: str) -> str:
    """The first of the splits `wanted` that lines have; ValueError where they have none of them."""
    splits = {line.get("split", "train") for line in lines}
    found = next((split for split in wanted if split in splits), None)
    if found is None:
        raise ValueError(
            f"{folder} has no items of split {' or '.join(wanted)}, only of {', '.join(sorted(splits))}: "
            f"prepare it with held-out items, or {remedy}"
        )
    return found


def find_name(name: str, known: Mapping) -> str | None:
    """The known name that is meant by one which may have a file's suffix."""
    return next((n for n in (name, name.rsplit(".", 1)[0]) if n in known), None)


def list_pictures(folder: Path, what: str) -> dict[str, list[Path]]:
    """The pictures of a folder by their names without suffix; errors name the folder."""
    if not folder.is_dir():
        problem = "is a file, not a folder" if folder.exists() else "does not exist"
        raise FileNotFoundError(f"--{what} {folder} {problem}")
    found = defaultdict(list)
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in PICTURES and not path.name.startswith("."):
            found[path.stem].append(path)
    if not found:
        raise ValueError(f"--{what} {folder} has no pictures {', '.join(sorted(PICTURES))}")
    return found


def find_picture(name: str, pictures: Mapping[str, list[Path]], folder: Path) -> Path:
    """The one picture of a name."""
    found = find_name(name, pictures)
    if found is None:
        raise ValueError(f"{folder} has no picture {name}: name another by --pairs")
    paths = [path for path in pictures[found] if path.name == name] or pictures[found]
    if len(paths) > 1:
        raise ValueError(f"{folder} has {len(paths)} pictures {name}: name one with its suffix by --pairs")
    return paths[0]


def find_beside(photo: Path, folder: str, suffixes=PICTURES) -> Path | None:
    """The file of a photo's name in a folder beside its own, or None."""
    beside = photo.absolute().parent.parent / folder
    for suffix in sorted(suffixes):
        if (path := beside / f"{photo.stem}{suffix}").is_file():
            return photo.parent.parent / folder / path.name if photo.parent.name else path
    return None


def _lines(table):
    if table.suffix.lower() == ".csv":
        yield from csv_lines(table, {"person", "garment"}, COLUMNS)
        return
    for number, line in enumerate(read_table_text(table).splitlines(), 1):
        if words := line.split():
            names = ("person", "garment", "category")
            yield number, dict(zip(names, words, strict=False)) | {"": words[3:]}


def _row(number, line) -> PairRow:
    if None in line or line.pop("", None):
        raise ValueError("more words than a person, a garment and a category: names with blanks take a .csv")
    texts = {name: line.get(name) or None for name in ("person", "garment", "category", "prompt")}
    for name, text in texts.items():
        if text is None and name in ("person", "garment"):
            raise ValueError(f"no {name} is named")
        if text is not None:
            check_text(name, text)
    return PairRow(number, seed=read_seed(line.get("seed")), **texts)
