"""The caption report is one page, complete, true to the columns, and safe to open."""

import json
import re
from dataclasses import replace

import pytest
from PIL import Image

from caption_folder import TOP, job, make_folder
from html_page import Page
from pictures.regions import standard_regions
from preparation.captions.caption_statistics import (
    count_named_regions,
    count_runs,
    count_shared,
    count_tokens,
    find_named_regions,
    find_suspects,
)
from preparation.captions.report import write_report
from preparation.captions.run import merge
from preparation.captions.table_columns import Table

EVIL = "<script>alert('a person')</script>"


@pytest.fixture
def folder(tmp_path):
    """Four pictures with captions of their own, whose maps show a top and a bottom; one can't be read."""
    folder = make_folder(tmp_path / "dolls", 4, regions=True)
    lines = [json.loads(line) for line in (folder / "prompt.json").read_text().splitlines()]
    web = [EVIL, "a red shirt", "A red shirt.", "a red shirt and blue jeans"]
    for line, text in zip(lines, web, strict=True):
        line |= dict(captions={"web": text}, prompt=text, regions=["top", "bottom"])
    (folder / "prompt.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "target/3.png").write_bytes(b"no picture")
    return folder


def with_captions(folder, texts):
    """The folder with a column of the stub's: each text with a box, right where it starts with `right`."""
    given = job(folder)
    given.records.open(given.settings())
    for number, text in enumerate(texts):
        path = folder / f"target/{number}.png"
        box = TOP if text.startswith("right") else (0.0, 0.9, 0.1, 1.0)
        stamp = [path.stat().st_size, path.stat().st_mtime_ns, 0]
        record = dict(target=f"target/{number}.png", file=stamp, text=text, scores={})
        given.records.new_part().append([record | dict(phrases=[["a red shirt", [box]]])])
    return given


def page_of(folder):
    return write_report(Table(folder)).read_text()


def text_of(page):
    return re.sub(r"\s+", " ", Page(page).text)


def test_the_page_needs_no_other_file_and_runs_nothing(folder):
    page = Page(page_of(folder))
    assert all(link.startswith(("#", "data:image/jpeg;base64,")) for link in page.links)
    assert "script" not in page.tags and EVIL in page.text


def test_columns_are_counted_and_say_where_they_come_from(folder):
    given = with_captions(folder, ["right " + "long " * 80, "wrong", "", "right again"])
    merge(given)
    text = text_of(page_of(folder))
    assert "4 pictures" in text and "2 columns of captions" in text
    assert "web the folder 4 " in text and "stub stub 4 " in text
    assert "1 are longer than the 75 that a text encoder reads" in text
    assert "times=1" in text


def test_prompts_that_are_a_column_are_not_reported_twice(folder):
    assert "the prompt The same texts as web ." in text_of(page_of(folder))


def test_captions_left_out_and_failed_are_counted_and_the_worst_come_first(folder):
    given = with_captions(folder, ["right", "wrong", "right", "right"])
    merge(given)
    text = text_of(page_of(folder))
    assert text.index("0.00: wrong") < text.index("1.00: right") and "1 below 0.3" in text
    merge(replace(given, min_agreement=0.5))
    (given.records.path / "failed.csv").write_text('target,reason\ntarget/3.png,"no, not\na picture"\n')
    text = text_of(page_of(folder))
    assert "1 are left out, as they disagree" in text and "1 could not be read" in text


def test_a_folder_without_captions_and_maps_has_a_report_of_its_prompts(tmp_path):
    folder = make_folder(tmp_path / "fill50k", 2)
    text = text_of(page_of(folder))
    assert "0 columns of captions" in text and "circle 0" in text
    assert "Garments that are named" not in text


def test_suspects_of_every_kind_are_found_and_good_captions_are_not():
    good = [
        "a woman in a red dress",
        "a hat, a t-shirt, wide leg pants",
        "a café-au-lait coat",
        "a skirt of 3 layers.",
    ]
    good += ["a knee dress"] * 5
    bad = {
        "": "empty",
        " \n": "empty",
        "a dress": "short",
        "a red dress red dress red dress": "repeats",
        "very very very nice coat": "repeats",
        "a woman in a": "cut",
        "a hat, a coat,": "cut",
        "a woman in a kne": "cut",
        "a coat, trending on artstation": "noise",
        "arafed woman in a coat": "noise",
        "As an AI, I see a dress": "chatter",
        "a dr\ufffdss of silk": "letters",
        "a dress\x07 of silk": "letters",
        "穿红裙子的女人站着": "letters",
    }
    assert find_suspects([*good, *bad]) == [""] * len(good) + list(bad.values())


def test_words_pairs_and_triples_count_captions_not_occurrences():
    texts = ["a red hat, a red hat", "the red hat", "red, hat"]
    assert count_runs(texts, (1, 2), 9) == [{"hat": 3, "red": 3}, {"red hat": 2}]
    assert count_runs([*texts, *texts], (2,), 9) == [{"red hat": 4}]
    assert count_runs(["man in a hat", "man in hats"], (3,), 9) == [{"man in hats": 1}]


def test_captions_are_shared_whatever_their_capitals_and_commas():
    assert count_shared(["A red hat.", "a red, hat", "a blue hat", "...", "!"]) == {"A red hat.": 2}


def test_tokens_are_those_of_clip_without_start_and_end():
    assert count_tokens(["a photo of a cat", "", "a photo of a cat"]) == [5, 0, 5]


def test_a_caption_names_the_regions_of_its_garments():
    regions = standard_regions()
    assert find_named_regions("A woman in blue jeans with a red shirt", regions) == {"top", "bottom"}
    assert find_named_regions("a maxi dress and a hat; a street behind her", regions) == {"whole", "head"}
    lines = [dict(regions=["top"]), dict(regions=["top", "head"]), dict(regions=["head"])]
    texts = ["a shirt", "a hat", "a shirt"]
    assert count_named_regions(lines, texts, regions) == [("top", 2, 1, 1, 1), ("head", 2, 1, 1, 0)]


def test_pictures_that_are_gone_do_not_stop_the_report(folder):
    merge(with_captions(folder, ["", "wrong", "x", "y"]))
    for path in (folder / "target").iterdir():
        path.unlink()
    assert "says nothing" in page_of(folder)
    Image.new("RGB", (8, 8)).save(folder / "target/0.png")
    assert "data:image" in page_of(folder)
