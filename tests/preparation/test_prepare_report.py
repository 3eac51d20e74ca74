"""The report of a prepared folder: one page, complete, true to the tables, and safe to open."""

import csv
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFilter

from html_page import Page
from paperdoll import make_dolls
from preparation.options import PrepareOptions
from preparation.report import kind_of
from preparation.run import prepare_folder
from raw_data import read_lines
from reporting.charts import histogram
from reporting.contact_sheets import evenly, overlay, thumbnail

OPTIONS = PrepareOptions(size=128, max_upscale=4, thresholds=("tiny=off",), workers=1)
EVIL = "<script>alert('a person')</script>"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Sixteen dolls: two blurred, one copied, one missing, one with a caption that is HTML."""
    raw, out = (tmp_path_factory.mktemp(name) for name in ("raw", "out"))
    make_dolls(raw, 16, size=128, seed=3)
    photos = sorted((raw / "train").iterdir())
    for photo in photos[:2]:
        Image.open(photo).filter(ImageFilter.GaussianBlur(5)).save(photo)
    shutil.copy(photos[3], raw / "train" / "copy.jpg")
    photos[4].unlink()
    table = (raw / "train.csv").read_text()
    rows = [line for line in table.splitlines() if line.startswith(photos[3].name)]
    copied = [line.replace(photos[3].name, "copy.jpg", 1) for line in rows]
    (raw / "train.csv").write_text(table + "".join(line + "\n" for line in copied))
    with open(raw / "captions.csv", "w", newline="") as file:
        csv.writer(file).writerows([["ImageId", "caption"], *([photo.name, EVIL] for photo in photos)])
    prepare_folder(raw, out, OPTIONS)
    return raw, out


@pytest.fixture(scope="module")
def page(prepared):
    return Page((prepared[1] / "report.html").read_text())


def test_the_report_needs_no_other_file_and_no_network(page):
    pictures = [link for link in page.links if not link.startswith("#")]
    assert pictures and all(link.startswith("data:image/jpeg;base64,") for link in pictures)
    assert not {"script", "link", "iframe"} & set(page.tags)


def test_captions_are_shown_as_text(page):
    assert EVIL in page.text


def test_the_report_says_what_the_tables_say(prepared, page):
    _, out = prepared
    lines, left_out = (read_lines(out / name) for name in ("prompt.json", "left_out.jsonl"))
    for number, label in ((17, "photos read"), (len(left_out), "pictures left out"), (1, "photos rejected")):
        assert re.search(rf"\b{number} {label}", page.text)
    assert re.search(rf"\b{len(lines)} pictures to train on", page.text)
    found = [reason.split(":")[0] for line in left_out for reason in line["out"]]
    assert found.count("blurred") >= 2
    assert f"Blurred: {found.count('blurred')} left out" in page.text
    assert "--threshold tiny=off" in page.text and "--threshold blurred=2" in page.text
    for line in left_out:
        assert line["target"][7:-4] in page.text


def test_a_near_duplicate_stands_beside_the_picture_that_stays(prepared):
    _, out = prepared
    (line,) = [line for line in read_lines(out / "left_out.jsonl") if "near_duplicate" in line["out"][0]]
    section = (out / "report.html").read_text().split("id='near_duplicate'")[1].split("</section>")[0]
    names = re.findall("<small>(.*?)</small>", section)
    assert len(names) == 2 and names[1] == line["target"][7:-4] and "copy" in names


def test_the_same_folder_gives_the_same_report(prepared):
    raw, out = prepared
    before = (out / "report.html").read_bytes()
    prepare_folder(raw, out, OPTIONS)
    assert (out / "report.html").read_bytes() == before
    assert len(before) < 1_000_000


def test_a_folder_whose_pictures_are_all_left_out_has_a_report(prepared, tmp_path):
    raw, _ = prepared
    out = tmp_path / "out"
    prepare_folder(raw, out, replace(OPTIONS, thresholds=("greyscale=1000",)))
    assert "every picture was left out" in (out / "report.html").read_text()


def test_maps_that_are_pictures_have_a_report(tmp_path):
    random = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (tmp_path / "raw" / folder).mkdir(parents=True)
        for number in range(3):
            picture = random.integers(0, 256, (128, 128, 3), dtype=np.uint8)
            Image.fromarray(picture).save(tmp_path / "raw" / folder / f"{number}.png")
    prepare_folder(tmp_path / "raw", tmp_path / "out", OPTIONS)
    text = Page((tmp_path / "out" / "report.html").read_text()).text
    assert "the maps are pictures" in text and "3 pictures have no prompt" in text


def test_reasons_of_one_kind_differ_in_numbers_and_quotes_only():
    assert kind_of("the photo is 3 x 4, the table says 30 x 4") == kind_of(
        "the photo is 9 x 1, the table says 2 x 2"
    )
    assert kind_of("ClassId '77': no category 77") == kind_of("ClassId 'a b': no category -1")
    assert kind_of("the photo is missing") == "the photo is missing"


@pytest.mark.parametrize("at_least", [True, False])
@pytest.mark.parametrize("scale", [1, 1e-3, 1e4])
def test_no_bar_of_a_histogram_lies_on_both_sides_of_the_threshold(at_least, scale):
    values = [value * scale for value in (*range(1, 60), 30, 30)]
    drawn = histogram(values, 30 * scale, at_least)
    limit = float(re.search(r'class=limit x1="([\d.-]+)"', drawn)[1])
    for kind, left, width in re.findall(r'class=(kept|out) x="([\d.-]+)"[^>]*? width="([\d.-]+)"', drawn):
        above = float(left) + float(width) / 2 > limit
        # the value 30 itself is kept, so it is drawn on the kept side
        assert (kind == "kept") == (above == at_least)
    kept, out = (drawn.count(f"class={kind} ") for kind in ("kept", "out"))
    assert kept and out


@pytest.mark.parametrize("values", [[5.0], [0, 0, 0], [1e-5, 1e5], list(range(1000)), [-3, 7]])
@pytest.mark.parametrize("threshold", [None, 0, 4.5, 1e6])
def test_any_values_can_be_drawn(values, threshold):
    drawn = histogram(values, threshold, at_least=True)
    assert "nan" not in drawn and drawn.count("<rect") <= 100
    assert ("class=out" in drawn) == (threshold is not None and min(values) < threshold)


def test_examples_are_spread_evenly():
    assert evenly(list(range(100)), 3) == [0, 50, 99]
    assert evenly([1, 2], 24) == [1, 2]


def test_pictures_keep_their_aspect(tmp_path):
    for height, width in ((640, 384), (384, 640), (512, 512)):
        Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(tmp_path / "photo.jpg")
        Image.fromarray(np.zeros((height, width), np.uint8)).save(tmp_path / "map.png")
        (tmp_path / "small.jpg").write_bytes(thumbnail(tmp_path / "photo.jpg"))
        assert Image.open(tmp_path / "small.jpg").size == (round(160 * width / height), 160)
        (tmp_path / "pair.jpg").write_bytes(overlay(tmp_path / "photo.jpg", tmp_path / "map.png"))
        across, down = Image.open(tmp_path / "pair.jpg").size
        one = ((across - 4) / 2 / down, across / ((down - 4) / 2))[width > height]
        assert abs(one - width / height) < 0.02
