"""Which garments are painted with which region: tables of a yaml, the standard ones in regions.yaml."""

import colorsys
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path

import numpy as np
import yaml

from jobs.yaml_files import read_yaml

NUM_CATEGORIES, NUM_ATTRIBUTES = 46, 92

REGIONS_FILE = Path(__file__).with_name("regions.yaml")
MAX_REGIONS = 256  # of a palette
LEGACY_NAMES = "top", "bottom", "whole"


@dataclass(frozen=True)
class Regions:
    """A table of regions: what the ids of a map mean, and which categories they are painted for.

    Args:
        names: of the regions by id, 0 the background.
        colours: (r, g, b) by region id.
        table: its name in the yaml; `legacy` has painting rules of its own.
        region_of: region id by category id.
        paint_order: groups of category ids, later ones painted over earlier ones.
        split: categories that are painted as top above the waist and as bottom below it.
    """

    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    table: str
    region_of: dict[int, int]
    paint_order: tuple[tuple[int, ...], ...]
    split: frozenset[int]

    @classmethod
    def read(cls, path=REGIONS_FILE, table: str = "official") -> "Regions":
        """A table of a yaml like regions.yaml; ValueError says what is wrong in it."""
        return _read(path, lambda content: _regions(content, table))

    def paints(self, category: int) -> bool:
        """Whether things of this category show in a map."""
        return category in self.region_of or category in self.split

    def to_yaml(self) -> bytes:
        """What a training folder's regions.yaml holds: this one table, for `read` and for a hint encoder."""
        table = {
            name: [c for c, region in self.region_of.items() if region == place]
            for place, name in enumerate(self.names)
            if place in self.region_of.values()
        }
        content = {
            "names": list(self.names),
            "colours": [list(colour) for colour in self.colours],
            "tables": {self.table: table},
            "split_at_waist": {self.table: sorted(self.split)} if self.split else {},
            "paint_order": [list(group) for group in self.paint_order],
        }
        return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=110).encode()


def read_regions(path) -> Regions:
    """What a yaml says that the ids of a folder's maps mean; ValueError says what is wrong in it.

    Of a yaml with one table, as preparation writes it, that table; of any other, as people write it for maps
    of their own, names and colours alone: regions of no garment.
    """
    return _read(path, _only_table)


def find_regions(folder) -> Regions | None:
    """The regions of a training folder's maps by its regions.yaml, None without: its maps are pictures."""
    path = Path(folder) / "regions.yaml"
    return _remember(path, path.stat().st_mtime_ns) if path.is_file() else None


def find_background(folder) -> tuple[int, int, int]:
    """The colour of a training folder's maps where nothing is, black where it does not say."""
    regions = find_regions(folder)
    return regions.colours[0] if regions else (0, 0, 0)


@lru_cache(maxsize=4)
def _remember(path: Path, _) -> Regions:
    return read_regions(path)


def _read(path, make):
    """What `make` makes of a yaml's content; its errors name the file."""
    content = read_yaml(path)
    try:
        return make(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _only_table(content) -> Regions:
    tables = content.get("tables") if isinstance(content, dict) else None
    if isinstance(tables, dict) and len(tables) == 1:
        return _regions(content, next(iter(tables)))
    names, colours = names_and_colours(content)
    return Regions(names=names, colours=colours, table="", region_of={}, paint_order=(), split=frozenset())


@cache
def standard_regions() -> Regions:
    """The table `official` of our own regions.yaml."""
    return Regions.read()


def _regions(content, table: str) -> Regions:
    if not isinstance(content, dict):
        raise ValueError("it must hold names, colours, tables and paint_order, see regions.yaml")
    tables = _get(content, "tables", dict)
    if table not in tables:
        raise ValueError(f"table must be one of {', '.join(map(str, tables))}, got {table!r}")
    regions = tables[table]
    if not isinstance(regions, dict):
        raise ValueError(f"table {table} must give a list of category ids for each region, got {regions!r}")
    split = _get(content, "split_at_waist", dict, {}).get(table, [])
    names, colours = _names_and_colours(content, regions)
    _check_categories(regions, split, table)
    missing = [name for name in ("top", "bottom") if split and name not in names]
    if missing:
        raise ValueError(f"split_at_waist needs a region named {missing[0]}")
    others = [ids for name, ids in regions.items() if ids and name not in LEGACY_NAMES]
    if table == "legacy" and (names[1:4] != LEGACY_NAMES or split or others):
        raise ValueError("a table named legacy paints the regions top, bottom and whole, with ids 1 to 3")
    region_of = {c: names.index(name) for name, ids in regions.items() for c in ids}
    order = _paint_order(content, [*region_of, *split], table)
    return Regions(names, colours, table, region_of, order, frozenset(split))


def _get(content: dict, key: str, kind: type, default=None):
    value = content.get(key, default)
    if not isinstance(value, kind):
        raise ValueError(f"{key} must be a {kind.__name__}, got {value!r}")
    return value


def _names_and_colours(content: dict, regions: dict):
    """Names and colours of the standard regions and of those further ones that the table uses."""
    more = _get(content, "more", dict, {})
    used = [name for name in more if regions.get(name)]
    names = [*_get(content, "names", list), *used]
    colours = [*_get(content, "colours", list), *(more[name] for name in used)]
    names_and_colours(dict(names=names, colours=colours))
    unknown = [name for name in regions if name not in (*names, *more)]
    if unknown:
        known = ", ".join(dict.fromkeys([*names[1:], *more]))
        raise ValueError(f"there is no region {unknown[0]!r}; names and more list {known}")
    if regions.get(names[0]):
        raise ValueError(f"{names[0]} is what no garment covers: it takes no categories")
    return tuple(names), tuple(map(tuple, colours))


def names_and_colours(content) -> tuple[tuple, tuple]:
    """Names and colours (r, g, b) of regions by id, of a dict with lists of both; ValueError for others."""
    names, colours = (content.get(key) if isinstance(content, dict) else None for key in ("names", "colours"))
    if not (isinstance(names, list) and isinstance(colours, list)):
        raise ValueError(
            f"regions are described by the lists `names` and `colours`, got {names!r} and {colours!r}"
        )
    if not names or not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
        raise ValueError(f"names must be different words, the first of them the background's, got {names}")
    if len(names) > MAX_REGIONS:
        raise ValueError(f"a map has {MAX_REGIONS} regions at most, got {len(names)}")
    if len(colours) != len(names):
        raise ValueError(f"regions need one colour each, got {len(names)} names and {len(colours)} colours")
    for colour in colours:
        numbers = colour if isinstance(colour, list) else []
        whole = [v for v in numbers if type(v) is int and 0 <= v < 256]
        if len(numbers) != 3 or whole != numbers or colours.count(colour) > 1:
            raise ValueError(f"a colour is three numbers from 0 to 255 and one region's only, got {colour}")
    return tuple(names), tuple(map(tuple, colours))


def match_colours(rgb, colours):
    """Colours (..., 3) -> region ids uint8 (...), and where they are none of `colours`: bool (...)."""
    codes = _encode(rgb)
    ids, wrong = np.zeros(codes.shape, np.uint8), np.ones(codes.shape, bool)
    # a region at a time, as the map of a stranger may be large
    for region, wanted in enumerate(_encode(colours)):
        found = codes == wanted
        ids[found] = region
        wrong &= ~found
    return ids, wrong


def _encode(rgb):
    """0xrrggbb int32 (...) of colours (..., 3)."""
    red, green, blue = (np.asarray(rgb)[..., channel].astype(np.int32) for channel in range(3))
    return red << 16 | green << 8 | blue


def _check_categories(regions: dict, split, table: str) -> None:
    lists = {f"table {table}, region {name}": ids for name, ids in regions.items()}
    lists[f"split_at_waist, table {table}"] = split
    seen = {}
    for place, ids in lists.items():
        _check_ids(ids, place)
        for category in ids:
            if category in seen:
                raise ValueError(f"category {category} is listed twice: {seen[category]}; {place}")
            seen[category] = place


def _check_ids(ids, place: str) -> None:
    wrong = [ids]
    if isinstance(ids, list):
        wrong = [c for c in ids if type(c) is not int or not 0 <= c < NUM_CATEGORIES]
    if wrong:
        raise ValueError(
            f"{place}: wanted a list of category ids 0 to {NUM_CATEGORIES - 1}, got {wrong[0]!r}"
        )


def _paint_order(content: dict, painted: list[int], table: str):
    order = _get(content, "paint_order", list)
    for group in order:
        _check_ids(group, "paint_order")
    ranked = list(chain(*order))
    twice = [c for c in ranked if ranked.count(c) > 1]
    if twice:
        raise ValueError(f"paint_order lists category {twice[0]} twice")
    unranked = [c for c in painted if c not in ranked]
    if unranked:
        raise ValueError(f"paint_order lacks category {unranked[0]}, which table {table} paints")
    return tuple(map(tuple, order))


@cache
def known_colours() -> dict[str, tuple[int, int, int]]:
    """The colours that regions.yaml gives to names of regions."""
    content = yaml.safe_load(REGIONS_FILE.read_text(encoding="utf-8"))
    named = dict(zip(content["names"], content["colours"], strict=True)) | content["more"]
    return {name: tuple(colour) for name, colour in named.items()}


def colour_of(name: str, number: int) -> tuple[int, int, int]:
    """A region's colour (r, g, b): the known one of its name, or one of its own."""
    if name in known_colours() or number == 0:
        return known_colours().get(name, (0, 0, 0))
    return tuple(int(255 * value) for value in colorsys.hsv_to_rgb(0.618 * number % 1, 0.7, 0.9))


def region_words(ids, names) -> str:
    """Which regions a map of ids uint8 (h, w) shows, and their shares: "top 12.1%, head 0.9%"."""
    shares = np.bincount(ids.ravel(), minlength=len(names)) / ids.size
    return ", ".join(f"{names[i]} {shares[i]:.1%}" for i in range(1, len(names)) if shares[i])
