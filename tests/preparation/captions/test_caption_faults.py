"""What people give a captioner by mistake ends with a word about it, and loses nothing."""

import json
import shutil

import pytest

from annotator.caption.attributes import AttributesCaptioner
from annotator.caption.captioners import AttributesOptions
from annotator.caption.clip_labels import read_word_lists
from caption_folder import job, make_folder, read_lines
from preparation.captions.column_files import check_name
from preparation.captions.report import write_report
from preparation.captions.run import caption_folder
from preparation.captions.table_columns import Table
from preparation.prompt_json import choose_prompt
from small_captioners import captioner_folder, load_small, some_pictures


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "data", 3, regions=True)


@pytest.mark.parametrize("column", ["prompt", "others"])
def test_a_column_called_like_a_source_of_prompts_is_refused(folder, column):
    with pytest.raises(ValueError, match=f"--column {column} means something else"):
        job(folder, column).check()


def test_what_is_not_in_a_picture_needs_a_column_that_says_so():
    with pytest.raises(ValueError, match="clip_negative say"):
        check_name("clip", {"mode": "negative"})
    check_name("clip_negative", {"mode": "negative"})
    check_name("clip", {"mode": "best"})
    # nor does preparing make it the prompt
    assert choose_prompt({"clip_negative": "no hat", "blip": "a hat"}, ("caption",)) == "a hat"
    assert choose_prompt({"clip_negative": "no hat"}, ("clip_negative",)) == "no hat"


@pytest.mark.parametrize(
    "damage",
    [
        {"file": []},
        {"file": ["a", "b", "c"]},
        {"phrases": [1, 2]},
        {"phrases": [["a hat", 5]]},
        {"phrases": [["a hat", [[0, 1]]]]},
        {"phrases": [["a hat", [[0, 1, 0, float("nan")]]]]},
        {"scores": {"agreement": "high"}},
        {"text": "\ud800"},
    ],
    ids=str,
)
def test_a_damaged_record_says_nothing_and_its_picture_is_captioned_again(folder, damage):
    caption_folder(job(folder))
    [part] = (folder / "captions" / "stub").glob("part-*.jsonl")
    before, records = read_lines(folder), [json.loads(line) for line in part.read_text().splitlines()]
    part.write_text("".join(json.dumps(record) + "\n" for record in [records[0] | damage, *records[1:]]))
    assert caption_folder(job(folder))["new"] == 1
    assert read_lines(folder) == before


def test_lines_of_the_records_that_are_none_are_counted_and_the_first_is_named(folder, capsys):
    caption_folder(job(folder))
    [part] = (folder / "captions" / "stub").glob("part-*.jsonl")
    lines = part.read_bytes().splitlines(keepends=True)
    other_encoding = lines[1].replace(b"picture", "caf\xe9".encode("latin-1"))
    half = lines[2][:20]
    part.write_bytes(lines[0] + other_encoding + b"[" * 100_000 + b"\n" + half)
    capsys.readouterr()
    assert caption_folder(job(folder))["new"] == 2
    said = f"2 lines are no records, the first of them in {part.name}, line 2: their pictures are captioned"
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("content", [b'{"captioner": "stub", "options": 5}', b"[" * 100_000, b"\xff\xfe{"])
def test_damaged_settings_are_named(folder, content):
    caption_folder(job(folder))
    path = folder / "captions" / "stub" / "settings.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path} is damaged"):
        job(folder).check()


@pytest.mark.parametrize(
    "content", [b"[]", b'{"stub": {"captioner": "stub", "min_agreement": "0.5"}}', b"[" * 100_000, b"\xe9"]
)
def test_a_damaged_list_of_columns_is_named(folder, content):
    caption_folder(job(folder))
    path = folder / "captions" / "columns.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path} is damaged: delete it"):
        job(folder).check()


def test_what_others_call_scores_and_phrases_keeps_no_report_from_being_written(folder):
    others = dict(captions={"web": "x"}, scores={"web": 5}, phrases={"web": "x"})
    lines = [line | others for line in read_lines(folder)]
    lines[0] |= dict(scores={"web": {"agreement": "high"}})
    lines[1] |= dict(scores={"web": {"agreement": 0.5}})
    (folder / "prompt.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "captions" / "web").mkdir(parents=True)
    (folder / "captions" / "web" / "failed.csv").write_bytes(b"target,reason\n\xe9,\xe9\n")
    assert "0.50 on average" in write_report(Table(folder)).read_text()


def test_a_lost_columns_json_is_mended_by_the_same_command(folder):
    caption_folder(job(folder))
    path, before = folder / "captions" / "columns.json", read_lines(folder)
    written = path.read_text()
    path.unlink()
    caption_folder(job(folder))
    assert path.read_text() == written and read_lines(folder) == before
    # captions that somebody has changed since are theirs
    path.unlink()
    (folder / "prompt.json").write_text((folder / "prompt.json").read_text().replace("picture 1", "mine"))
    with pytest.raises(ValueError, match="give another --column"):
        job(folder).check()


def test_a_run_that_captions_nothing_is_an_error_and_one_bad_picture_is_not(folder):
    (folder / "target" / "0.png").write_bytes(b"junk")
    assert caption_folder(job(folder))["failed"] == 1
    assert (folder / "captions/stub/failed.csv").read_text().endswith('file, or damaged at its start"\n')
    for index in range(3):
        (folder / "target" / f"{index}.png").write_bytes(b"junk")
    with pytest.raises(ValueError, match="no picture could be captioned: .*failed.csv says why"):
        caption_folder(job(folder))


@pytest.mark.parametrize("text", [None, 3, ["a hat"]])
def test_a_caption_that_is_no_text_is_named(folder, text):
    captioner = AttributesCaptioner(AttributesOptions("mine"))
    captioner.folder = folder
    with pytest.raises(ValueError, match="0.png: captions.mine is no text"):
        captioner.caption_lines([read_lines(folder)[0] | {"captions": {"mine": text}}])


def test_a_missing_map_is_the_fault_of_its_line_alone(folder):
    captioner = AttributesCaptioner(AttributesOptions("mine"))
    captioner.folder = folder
    (folder / "source" / "0.png").unlink()
    with pytest.raises(ValueError, match="source/0.png is missing"):
        captioner.caption_lines([read_lines(folder)[0] | {"captions": {"mine": "a top"}}])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("lists: {a: {labels: ['', x]}}", "list a wants a list of labels"),
        ("lists: {a: {labels: [red, no]}}", "got False"),
        ("lists: {a: {labels: [x], region: [top]}}", "region of list a"),
        ("lists: {a: {labels: [x]}}\nclassic:", "classic wants a list of parts"),
        ("lists: {a: {labels: [x]}}\nclassic: 5", "classic wants a list of parts"),
        ("lists: {a: {labels: [x]}}\nclassic: [[a]]", "classic wants {list: number"),
        ("lists: {a: {labels: [x]}}\nnegativ: [y]", "got 'negativ'"),
        ("lists: {a: {labels: [x]}}\nnegative: no", "negative wants a list of labels"),
        ("lists: {a: {labels: [x]}}\nnegative:", "negative wants a list of labels"),
    ],
)
def test_wrong_word_lists_are_refused_with_what_is_wrong(tmp_path, content, told):
    (tmp_path / "words.yaml").write_text(content)
    with pytest.raises(ValueError) as caught:
        read_word_lists(tmp_path / "words.yaml")
    assert told in str(caught.value) and "words.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("model.safetensors", b"version https://git-lfs.github.com/spec/v1"),
        ("config.json", b"{"),
        ("tokenizer.json", b"{}"),
        ("processor_config.json", b"[]"),
    ],
)
def test_a_damaged_file_of_weights_is_an_error_of_the_folder(tmp_path, file, content):
    copy = tmp_path / "blip"
    shutil.copytree(captioner_folder("blip"), copy)
    (copy / file).write_bytes(content)
    with pytest.raises(ValueError, match=str(copy)):
        load_small("blip", copy)


def test_a_longer_text_than_the_model_reads_is_refused():
    with pytest.raises(ValueError, match="longer than the model reads"):
        load_small("blip", max_new_tokens=5000).caption(some_pictures()[:1])
