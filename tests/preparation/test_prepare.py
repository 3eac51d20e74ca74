"""From raw data to a training folder: pairs, prompts, and a reason for everything that is left out."""

import json

import numpy as np
import pytest
from PIL import Image

from pictures.region_maps import load_map, save_map
from preparation import prepare_folder
from preparation.prompt_json import choose_prompt, split_of
from raw_data import (
    HEAD,
    TOP,
    UNCHECKED,
    WHOLE,
    all_files,
    make_many,
    make_raw,
    options,
    read_lines,
    read_reasons,
)


@pytest.fixture
def raw(tmp_path):
    return make_raw(tmp_path / "raw")


def test_a_training_folder_pairs_map_photo_and_prompt(raw, tmp_path):
    out = tmp_path / "out"
    prepare_folder(raw, out, options())
    good, wide = read_lines(out / "prompt.json")
    assert (good["prompt"], wide["prompt"]) == ("a person, smiling", "a maxi dress")
    assert good["captions"] == {"caption": "a person, smiling", "garments": "a top"}
    assert (good["regions"], wide["regions"], good["size"]) == (["top"], ["whole"], [128, 128])
    assert (good["bucket"], good["areas"], good["photo"]) == ("128x128", {"top": 0.25}, "good.jpg")
    assert (out / good["target"]).read_bytes() == (raw / "train" / "good.jpg").read_bytes()
    assert (load_map(out / good["source"]) == TOP).sum() == 64 * 64


def test_photo_and_map_are_cropped_alike_around_the_garments(raw, tmp_path):
    prepare_folder(raw, tmp_path / "out", options())
    ids = load_map(tmp_path / "out" / "source" / "wide.png")
    pixels = np.asarray(Image.open(tmp_path / "out" / "target" / "wide.jpg").convert("L"))
    assert ids.shape == pixels.shape == (128, 128)
    assert set(np.unique(ids)) == {0, WHOLE} and ((pixels > 127) == (ids > 0)).mean() > 0.98
    columns = np.flatnonzero(ids.any(axis=0))
    assert abs(columns[0] + columns[-1] - 127) <= 1


def test_every_row_is_painted_said_or_listed_with_its_reason(raw, tmp_path):
    summary = prepare_folder(raw, tmp_path / "out", options())
    rows = summary["rows"]
    assert rows == {"total": 11, "painted": 3, "words_only": 1, "rejected": 7}
    assert rows["total"] == rows["painted"] + rows["words_only"] + rows["rejected"]
    assert summary["photos"] == {"total": 9, "used": 3, "rejected": 6}
    reasons = read_reasons(tmp_path / "out")
    expected = {
        "missing.jpg": "5: ",
        "broken.jpg": "6: ",
        "turned.jpg": "256 x 128",
        "spoilt.jpg": "pairs",
        "small.jpg": "tiny",
        "strange.jpg": "no category 99",
        "alone.jpg": "0: ",
    }
    assert reasons.keys() == expected.keys()
    assert all(expected[image] in listed[0] for image, listed in reasons.items())
    assert len(reasons["broken.jpg"]) == 2
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == summary


def test_a_map_that_lacks_a_garment_is_left_out_unless_the_check_is_off(raw, tmp_path):
    summary = prepare_folder(raw, tmp_path / "out", options())
    [line] = read_lines(tmp_path / "out" / "left_out.jsonl")
    assert line["photo"] == "spoilt.jpg" and line["out"][0].startswith(
        "incomplete: line 10: RLE must be pairs"
    )
    assert summary["left_out_by"] == {"incomplete": 1}
    unchecked = (*UNCHECKED, "incomplete=off")
    assert prepare_folder(raw, tmp_path / "out", options(thresholds=unchecked))["pictures"]["kept"] == 3


def test_the_output_does_not_depend_on_the_number_of_processes(tmp_path):
    raw = make_many(tmp_path / "raw", 70)
    outs = [tmp_path / str(workers) / "out" for workers in (1, 2)]
    for out in outs:
        prepare_folder(raw, out, options(workers=int(out.parent.name)))
    assert all_files(outs[0]) == all_files(outs[1])
    assert len(read_lines(outs[0] / "prompt.json")) == 70


def test_prompts_splits_and_checks_change_without_touching_a_picture(raw, tmp_path):
    out = tmp_path / "out"
    prepare_folder(raw, out, options())
    before = {path: path.stat().st_mtime_ns for path in [*out.glob("*/*.png"), *out.glob("*/*.jpg")]}
    prepare_folder(raw, out, options(prompt=("garments",), val=0.999))
    lines = read_lines(out / "prompt.json")
    assert [line["prompt"] for line in lines][:2] == ["a top", "a maxi dress"]
    assert {line["split"] for line in lines} == {"val"}
    assert before == {path: path.stat().st_mtime_ns for path in before}
    with pytest.raises(ValueError, match="--prompt best: no photo has such captions.*caption, garments"):
        prepare_folder(raw, out, options(prompt=("best",)))


def test_the_prompt_is_the_first_caption_of_the_order_and_garment_words_are_the_last():
    captions = {"garments": "a top", "fast": "a woman", "best": ""}
    assert choose_prompt(captions, ("best", "garments")) == "a top"
    assert choose_prompt(captions, ("caption",)) == "a woman"
    assert choose_prompt({"garments": "a top"}, ("caption",)) == "a top" and choose_prompt({}, ()) == ""


def test_a_split_depends_on_its_own_group_and_seed_alone():
    groups = [f"{number}.jpg" for number in range(400)]
    splits = [split_of(group, options(val=0.25, test=0.25)) for group in groups]
    assert 60 < splits.count("val") < 140 and 60 < splits.count("test") < 140
    fewer = [split_of(group, options(val=0.1, test=0.25)) for group in groups]
    assert all(a == b or (a, b) == ("val", "train") for a, b in zip(splits, fewer, strict=True))
    assert splits != [split_of(group, options(val=0.25, test=0.25, seed=1)) for group in groups]


def test_maps_corrected_by_hand_stay_and_are_described_anew(raw, tmp_path):
    out = tmp_path / "out"
    prepare_folder(raw, out, options())
    files = all_files(out)
    save_map(out / "source" / "good.png", np.full((128, 128), HEAD, np.uint8))
    for mode in ("P", "RGB"):
        with Image.open(out / "source" / "good.png") as image:
            image.convert(mode).save(out / "source" / "good.png")
        prepare_folder(raw, out, options())
        assert read_lines(out / "prompt.json")[0]["areas"] == {"head": 1.0}
    (out / "source" / "good.png").unlink()
    prepare_folder(raw, out, options())
    assert all_files(out) == files


def test_a_corrected_map_that_is_none_is_left_out_with_the_reason(raw, tmp_path):
    out = tmp_path / "out"
    prepare_folder(raw, out, options())
    save_map(out / "source" / "good.png", np.ones((64, 64), np.uint8))
    Image.new("RGB", (128, 128), "white").save(out / "source" / "wide.png")
    prepare_folder(raw, out, options())
    reasons = read_reasons(out)
    assert "64 x 64 now, 128 x 128 is wanted" in reasons["good.jpg"][0]
    assert "16384 pixels off the regions' colours, such as (255, 255, 255)" in reasons["wide.jpg"][0]
    assert not {"good.jpg", "wide.jpg"} & {line["photo"] for line in read_lines(out / "prompt.json")}


def test_each_row_of_a_photo_without_a_good_one_has_its_own_reason(raw, tmp_path):
    with (raw / "train.csv").open("a") as table:
        table.write("good2.jpg,1 2 3,128,128,1\ngood2.jpg,,128,128,6\n")
    (raw / "train" / "good2.jpg").write_bytes((raw / "train" / "good.jpg").read_bytes())
    prepare_folder(raw, tmp_path / "out", options())
    lines = (tmp_path / "out" / "rejected.csv").read_text().splitlines()
    odd, empty = (line for line in lines if line.startswith("good2"))
    assert "pairs" in odd and "empty" not in odd and "empty" in empty
