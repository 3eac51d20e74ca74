"""Tables of regions: what ours say, what users may write, and how mistakes are named."""

import pickle

import pytest
import yaml

from pictures.hint import HintEncoder
from pictures.regions import REGIONS_FILE, Regions, standard_regions

TABLES = "official", "detailed", "split", "legacy"
STANDARD = ("background", "top", "bottom", "whole", "head")


@pytest.mark.parametrize("table", TABLES)
def test_a_training_folders_yaml_is_read_back_by_models_and_by_us(tmp_path, table):
    regions = Regions.read(table=table)
    path = tmp_path / "regions.yaml"
    path.write_bytes(regions.to_yaml())
    assert Regions.read(path, table) == regions == pickle.loads(pickle.dumps(regions))
    encoder = HintEncoder.from_file(path)
    assert (encoder.names, encoder.colours) == (regions.names, regions.colours)


def test_a_table_offers_the_regions_that_it_needs_and_no_others():
    assert standard_regions() == Regions.read(REGIONS_FILE, "official")
    for table in ("official", "legacy", "split"):
        assert Regions.read(table=table).names == STANDARD
    assert Regions.read(table="detailed").names == (*STANDARD, "feet", "neck", "hands", "bag")
    assert HintEncoder.from_file(REGIONS_FILE).names == STANDARD


def test_no_table_paints_belts_or_parts():
    for table in TABLES:
        regions = Regions.read(table=table)
        assert not any(regions.paints(category) for category in (19, *range(27, 46)))
    assert [c for c in range(27) if not regions.paints(c)] == [*range(12, 27)]
    assert Regions.read(table="split").split == {10, 11}


def edited(folder, **changes):
    """Our regions.yaml with some keys replaced, None removing them."""
    content = yaml.safe_load(REGIONS_FILE.read_text()) | changes
    path = folder / "mine.yaml"
    content = {key: value for key, value in content.items() if value is not None}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def test_a_user_may_add_regions_and_tables(tmp_path):
    path = edited(
        tmp_path,
        more={"feet": [0, 255, 255], "belt": [9, 9, 9]},
        tables={"mine": {"whole": [10], "belt": [19]}},
        paint_order=[[19, 10]],
        split_at_waist=None,
    )
    regions = Regions.read(path, "mine")
    assert regions.names == (*STANDARD, "belt") and regions.region_of == {10: 3, 19: 5}


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"tables": {"mine": {"hat": [14]}}}, "no region 'hat'; names and more list top, .*bag"),
        ({"tables": {"mine": {"top": [1], "bottom": [6, 1]}}}, "category 1 is listed twice.*top.*bottom"),
        ({"tables": {"mine": {"top": [1, 1]}}}, "category 1 is listed twice"),
        ({"tables": {"mine": {"top": [46]}}}, "table mine, region top: .*0 to 45, got 46"),
        ({"tables": {"mine": {"top": 4}}}, "region top: wanted a list of category ids"),
        ({"tables": {"mine": {"top": [True]}}}, "got True"),
        ({"tables": {"mine": [1, 2]}}, "table mine must give a list"),
        ({"tables": {"other": {}}}, "table must be one of other, got 'mine'"),
        ({"tables": None}, "tables must be a dict"),
        ({"tables": {"mine": {"background": [1]}}}, "background is what no garment covers"),
        ({"tables": {"mine": {"neck": [19]}}}, "paint_order lacks category 19, which table mine paints"),
        ({"paint_order": [[1], [1]]}, "paint_order lists category 1 twice"),
        ({"paint_order": [1]}, "paint_order: wanted a list"),
        ({"colours": [[0, 0, 0]]}, "5 names and 1 colours"),
        ({"colours": [[0, 0, 0]] * 5}, "one region's only"),
        ({"colours": [[0, 0, 256], [1, 1, 1], [2, 2, 2], [3, 3, 3], [4, 4, 4]]}, "from 0 to 255"),
        ({"names": ["background"] * 5}, "different words"),
        ({"names": [f"r{i}" for i in range(257)]}, "256 regions at most, got 257"),
        ({"split_at_waist": {"mine": [1]}}, "category 1 is listed twice"),
        ({"split_at_waist": [1]}, "split_at_waist must be a dict"),
        ({"split_at_waist": {"mine": [10]}, "names": list("abcde")}, "no region 'top'"),
    ],
)
def test_a_mistake_in_a_users_yaml_is_named(tmp_path, changes, reason):
    path = edited(tmp_path, **{"tables": {"mine": {"top": [1]}}} | changes)
    with pytest.raises(ValueError, match=f"mine.yaml: .*{reason}"):
        Regions.read(path, "mine")


@pytest.mark.parametrize("content", [b"", b"- 1", b"a: [", b"\xff"])
def test_a_file_that_holds_no_regions_is_named(tmp_path, content):
    (tmp_path / "mine.yaml").write_bytes(content)
    with pytest.raises(ValueError, match="mine.yaml"):
        Regions.read(tmp_path / "mine.yaml")


def test_a_table_named_legacy_paints_three_regions_only(tmp_path):
    for changes in ({"tables": {"legacy": {"head": [13]}}}, {"split_at_waist": {"legacy": [11]}}):
        tables = {"tables": {"legacy": {"top": [1]}}} | changes
        with pytest.raises(ValueError, match="named legacy paints"):
            Regions.read(edited(tmp_path, **tables), "legacy")
