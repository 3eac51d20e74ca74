"""Captions go into a column of their own, and nothing else in the folder's table changes."""

import json
import shutil
import sys
from collections import Counter
from dataclasses import replace

import pytest

import tutorial_caption
from caption_folder import REGIONS, TOP, Stub, StubOptions, job, make_folder, read_lines
from preparation import prepare_folder
from preparation.captions.column_files import Column, identify_weights
from preparation.captions.run import caption_folder, merge
from preparation.captions.table_columns import Table, put_caption
from raw_data import make_raw, options


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "data", 3)


def record(folder, target, text, phrases=(), scores=None):
    path = folder / target
    stamp = [path.stat().st_size, path.stat().st_mtime_ns, 0]
    return dict(target=target, file=stamp, text=text, phrases=list(phrases), scores=scores or {})


def noted(folder, records, **more):
    """A job whose records are already there."""
    given = job(folder, **more)
    given.records.open(given.settings())
    given.records.new_part().append(records)
    return given


def captioned(folder, **more):
    targets = [line["target"] for line in read_lines(folder)]
    return noted(folder, [record(folder, target, f"a {target}") for target in targets], **more)


def test_lines_keep_order_bytes_and_what_else_they_say(folder):
    strange = '{"image":"target/1.png", "mask":"source/1.png","text":"\\u00e9 é", "captions": {"web": "x"}}\r'
    untouched = '{"source": "source/2.png",   "target": "target/2.png", "prompt": ""}'
    (folder / "metadata.jsonl").write_bytes(f"\n{strange}\n{untouched}\n\n".encode())
    (folder / "prompt.json").unlink()
    merge(noted(folder, [record(folder, "target/1.png", "é", [["a", [TOP]]])]))
    lines = (folder / "metadata.jsonl").read_bytes().decode().split("\n")
    assert (lines[0], lines[2:]) == ("", [untouched, "", ""]) and lines[1].endswith("\r")
    wanted = json.loads(strange) | {
        "captions": {"web": "x", "stub": "é"},
        "phrases": {"stub": [["a", [list(TOP)]]]},
    }
    assert json.loads(lines[1]) == wanted


def test_what_a_column_no_longer_has_leaves_it_and_no_other():
    line = {"target": "t", "captions": {"a": "x", "b": "y"}, "phrases": {"b": [1]}, "scores": {"a": {"s": 1}}}
    assert put_caption(line, "b", None) == {"target": "t", "captions": {"a": "x"}, "scores": {"a": {"s": 1}}}
    assert put_caption(line, "c", None) == line
    empty = dict(text="", phrases=[], scores={})
    assert put_caption({"target": "t"}, "c", empty) == {"target": "t", "captions": {"c": ""}}


def test_a_column_of_others_is_never_overwritten(folder):
    lines = [line | {"captions": {"stub": "by hand"}} for line in read_lines(folder)]
    (folder / "prompt.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(ValueError, match="has captions stub that were not written from .*another --column"):
        job(folder).check()
    job(folder, column="mine").check()
    # a run that was begun before they came has no claim on them either
    noted(folder, [])
    with pytest.raises(ValueError, match="were not written from"):
        job(folder).find_missing()


def test_other_options_or_weights_want_another_column(folder):
    given = captioned(folder)
    with pytest.raises(ValueError, match='made with word "picture", not "photo": give another --column'):
        replace(given, options=StubOptions(word="photo")).check()
    (folder / "weights").mkdir()
    (folder / "weights" / "model.safetensors").write_bytes(b"1234")
    assert identify_weights(folder / "weights") == [["model.safetensors", 4]]
    with pytest.raises(ValueError, match="made with weights"):
        replace(given, weights=folder / "weights").check()
    merge(given)
    shutil.rmtree(folder / "captions" / "stub")
    # as the message advises
    replace(given, options=StubOptions(word="photo")).check()


def test_half_a_line_and_lines_that_are_no_records_say_nothing(folder):
    given = captioned(folder)
    [part] = given.records.path.glob("part-*")
    lines = part.read_text().splitlines()
    part.write_text(
        "\n".join([lines[0], "[]", "7", '{"target": 1}', '{"failed": "x"}', "\0\0", lines[1], lines[2][:-5]])
    )
    missing, done = given.find_missing()
    assert ([line["target"] for line in missing], done) == (["target/2.png"], 2)


def test_captions_that_disagree_with_the_map_stay_out_as_the_threshold_says(tmp_path):
    folder = make_folder(tmp_path / "regions", 3, regions=True)
    names = [f"target/{i}.png" for i in range(3)]
    boxes = ([TOP], [(0.0, 0.9, 0.1, 1.0)], [])
    given = noted(
        folder, [record(folder, n, n, [["a red shirt", b]]) for n, b in zip(names, boxes, strict=True)]
    )
    assert merge(given)["left_out"] == 0
    scores = [line.get("scores") for line in read_lines(folder)]
    assert scores == [{"stub": {"agreement": 1.0}}, {"stub": {"agreement": 0.0}}, None]
    strict = replace(given, min_agreement=0.5)
    assert (merge(strict)["left_out"], merge(strict)["captioned"]) == (1, 2)
    assert "captions" not in read_lines(folder)[1]
    assert (given.records.path / "disagree.csv").read_text().splitlines()[1:] == [
        "target/1.png,0.0,target/1.png"
    ]
    assert strict.find_missing() == ([], 3)
    merge(given)
    assert read_lines(folder)[1]["captions"] == {"stub": "target/1.png"}


def test_a_map_corrected_since_changes_the_agreement(tmp_path):
    folder = make_folder(tmp_path / "regions", 1, regions=True)
    given = noted(folder, [record(folder, "target/0.png", "x", [["a red shirt", [TOP]]])])
    merge(given)
    shutil.copy(folder / "target/0.png", folder / "source/0.png")  # all black: no top
    merge(given)
    assert read_lines(folder)[0]["scores"]["stub"]["agreement"] == 0
    (folder / "source/0.png").write_bytes(b"")
    assert merge(given)["failed"] == 1
    assert "source/0.png" in (given.records.path / "failed.csv").read_text()


def test_preparing_a_folder_again_keeps_what_captioners_have_written(tmp_path):
    raw, out = make_raw(tmp_path / "raw"), tmp_path / "out"
    prepare_folder(raw, out, options(prompt=("caption", "garments")))
    given = captioned(out)
    merge(given)
    before = (out / "prompt.json").read_bytes()
    prepare_folder(raw, out, options(prompt=("caption", "garments")))
    assert (out / "prompt.json").read_bytes() == before and b"stub" in before
    prepare_folder(raw, out, options(prompt=("stub",)))
    assert all(line["prompt"] == f"a {line['target']}" for line in read_lines(out))
    given.check()
    shutil.rmtree(out / "captions" / "stub")
    prepare_folder(raw, out, options())
    assert "stub" not in read_lines(out)[0]["captions"]


def test_raw_captions_and_a_captioners_column_of_one_name_are_refused(tmp_path):
    raw, out = make_raw(tmp_path / "raw"), tmp_path / "out"
    prepare_folder(raw, out, options())
    captioned(out, column="caption")
    with pytest.raises(ValueError, match="the raw data have captions caption, as a captioner's column"):
        prepare_folder(raw, out, options())


def test_folders_without_a_table_and_strange_tables_are_refused(tmp_path, folder):
    with pytest.raises(FileNotFoundError, match="is no folder"):
        Table(tmp_path / "none")
    (tmp_path / "pairs" / "images").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="no prompt.json.*tool_prepare_data.py"):
        Table(tmp_path / "pairs")
    line = json.dumps(read_lines(folder)[0] | {"captions": ["x"]})
    (folder / "prompt.json").write_text(line + "\n")
    with pytest.raises(ValueError, match="line 1: captions is list"):
        Table(folder)
    for name in ("../up", "a/b", "", ".hidden"):
        with pytest.raises(ValueError, match="names a folder"):
            Column(folder, name)


def test_a_run_of_several_captioners_parses_each_line_of_the_table_once(folder, monkeypatch):
    parsed, loads = Counter(), json.loads

    def count(text, *arguments, **more):
        found = loads(text, *arguments, **more)
        if isinstance(found, dict) and "prompt" in found:
            parsed[found["target"]] += 1
        return found

    monkeypatch.setattr(json, "loads", count)
    (folder / "regions.yaml").write_text(REGIONS)
    command = [folder, "--captioner", "stub,attributes", "attributes.source=stub", "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["tutorial_caption.py", *map(str, command), "--workers", "0"])
    tutorial_caption.main()
    monkeypatch.undo()
    lines = read_lines(folder)
    assert parsed == {line["target"]: 1 for line in lines}
    assert all(len(line["captions"]) == 2 for line in lines)


def test_what_others_write_while_a_captioner_is_at_work_stays(folder, monkeypatch):
    caption_lines = Stub.caption_lines

    def write_another_column(self, lines, images):
        rows = [line | {"captions": {"web": "x"}} for line in read_lines(folder)]
        (folder / "prompt.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return caption_lines(self, lines, images)

    monkeypatch.setattr(Stub, "caption_lines", write_another_column)
    caption_folder(job(folder))
    assert [set(line["captions"]) for line in read_lines(folder)] == [{"web", "stub"}] * 3


def test_a_line_that_spells_its_keys_otherwise_keeps_them_run_after_run(folder):
    row = dict(image="target/0.png", size="large", conditioning_image="source/0.png", text="a circle")
    (folder / "prompt.json").write_text(json.dumps(row) + "\n")
    first = job(folder)
    caption_folder(first)
    caption_folder(replace(first, column="again"))
    [line] = read_lines(folder)
    assert list(line) == [*row, "captions", "scores"] and line["size"] == "large"
    assert line["captions"] == {"stub": "picture 0 0", "again": "picture 0 0"}
