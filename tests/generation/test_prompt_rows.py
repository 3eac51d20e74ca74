"""Every row of a table is read, or rejected with its reason."""

import json

import pytest

from generation.table import MAX_SEED, inside, read_rows


@pytest.fixture
def maps(tmp_path):
    folder = tmp_path / "maps"
    folder.mkdir()
    return folder


def table(tmp_path, text, name="prompts.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_csv_gives_rows_with_numbers_seeds_and_defaults(tmp_path, maps):
    text = '\ufeffseed,prompt,map,negative,mood\n7,"red, long",a.png,,x\n,,b.png,blurred,\n'
    rows, rejected, unused = read_rows(maps, table(tmp_path, text), "a person", "lowres")
    told = [(row.number, row.map, row.prompt, row.negative, row.seed, row.photo) for row in rows]
    assert told == [
        (1, "a.png", "red, long", "lowres", 7, None),
        (2, "b.png", "a person", "blurred", None, None),
    ]
    assert not rejected and unused == ["mood"]


def test_jsonl_gives_the_same_rows_as_csv(tmp_path, maps):
    lines = [dict(map="a.png", prompt="red, long", seed=7, photo="p.jpg"), dict(map="b.png", prompt="é")]
    text = "\n".join(map(json.dumps, lines))
    csv = 'map,prompt,seed,photo\na.png,"red, long",7,p.jpg\nb.png,é,,\n'
    assert read_rows(maps, table(tmp_path, text, "p.jsonl")) == read_rows(maps, table(tmp_path, csv))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (dict(prompt="a"), "no map is named"),
        (dict(map=3, prompt="a"), "map must be a text, got '3'"),
        (dict(map="a.png", prompt=["a"]), "prompt must be a text"),
        (dict(map="a.png", prompt="a" * 2001), "prompt has 2001 characters: 2000 at most"),
        (dict(map="a.png", prompt="a\0"), "holds characters that no file takes"),
        (dict(map="a.png", prompt="\ud800"), "holds characters that no file takes"),
        (dict(map="a.png", prompt="a", seed=-1), "seed must be between 0"),
        (dict(map="a.png", prompt="a", seed="-1"), "seed must be a whole number, got '-1'"),
        (dict(map="a.png", prompt="a", seed=1.5), "seed must be a whole number"),
        (dict(map="a.png", prompt="a", seed=True), "seed must be a whole number"),
        (dict(map="a.png", prompt="a", seed=MAX_SEED + 1), "seed must be between 0"),
        ("no object", "no JSON object"),
    ],
)
def test_a_bad_row_is_rejected_with_its_reason_and_the_others_stay(tmp_path, maps, line, reason):
    text = "\n".join(map(json.dumps, [dict(map="a.png", prompt="a"), line, dict(map="c.png", prompt="c")]))
    rows, rejected, _ = read_rows(maps, table(tmp_path, text, "p.jsonl"))
    assert [row.number for row in rows] == [1, 3]
    assert [row.row for row in rejected] == [2] and reason in rejected[0].reason


def test_a_huge_cell_and_too_many_cells_are_bad_rows_of_a_good_csv(tmp_path, maps):
    text = f"map,prompt\na.png,{'x' * 300_000}\nb.png,red, and long\nc.png,c\n"
    rows, rejected, _ = read_rows(maps, table(tmp_path, text))
    assert [row.map for row in rows] == ["c.png"]
    assert "300000 characters" in rejected[0].reason and "must stand in quotes" in rejected[1].reason


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.png,red\n", "first line must name the columns map and prompt"),
        ('map,prompt\na.png,"red\n', r"prompts.csv, behind line 1: unexpected end"),
        (b"map,prompt\na.png,\xff\n", r"is not UTF-8 at byte 17 \(ff\): save it as UTF-8"),
        ("map,prompt\na.png,x\n".encode("utf-16"), "save it as UTF-8"),
        (b"map,map,prompt\na.png,b.png,x\n", "names the column map twice"),
        ("map,prompt\n", "has no row"),
        ("", "first line must name"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, maps, text, message):
    with pytest.raises(ValueError, match=message):
        read_rows(maps, table(tmp_path, text))


def test_a_table_or_folder_that_is_missing_is_named(tmp_path, maps):
    with pytest.raises(FileNotFoundError, match="the table .*none.csv does not exist"):
        read_rows(maps, tmp_path / "none.csv")
    with pytest.raises(FileNotFoundError, match="folder of maps .*none does not exist"):
        read_rows(tmp_path / "none")
    with pytest.raises(ValueError, match="maps has no pictures .png, .*: give a table, --prompts"):
        read_rows(maps)


def test_a_training_folder_gives_its_held_out_lines(maps):
    """Or all, where no line says a split; its photo is the target, not the raw one that it came from."""
    lines = [dict(source=f"s/{i}.png", target=f"t/{i}.jpg", prompt=str(i), photo="raw.jpg") for i in range(3)]
    for splits, numbers in ((["train", "val", "val"], [2, 3]), ([], [1, 2, 3])):
        split = [line | dict(split=name) for line, name in zip(lines, splits, strict=False)] or lines
        (maps / "prompt.json").write_text("\n".join(map(json.dumps, split)))
        rows, _, _ = read_rows(maps)
        assert [row.number for row in rows] == numbers
        (maps / "prompt.json").write_text(json.dumps(lines[0] | dict(split="train")))
    with pytest.raises(ValueError, match="maps has no lines of split val: give a table"):
        read_rows(maps)
    assert (rows[-1].map, rows[-1].photo, rows[-1].prompt) == ("s/2.png", "t/2.jpg", "2")


def test_another_folder_gives_its_pictures(maps):
    for name in ("b.png", "a.PNG", ".hidden.png", "notes.txt", "photo.jpg"):
        (maps / name).touch()
    rows, _, _ = read_rows(maps, prompt="a person")
    assert [(row.map, row.prompt) for row in rows] == [("a.PNG", "a person"), ("b.png", "a person")]


@pytest.mark.parametrize(
    "name", ["../a.png", "b/../../a.png", "/etc/a.png", "..\\a.png", "C:" + "\\a.png", "a\0.png"]
)
def test_a_name_that_leads_out_of_its_folder_is_refused(maps, name):
    with pytest.raises(ValueError, match="leads out of the folder"):
        inside(maps, name)
    assert inside(maps, "b/a.png") == maps / "b" / "a.png"
