"""The dataset that users copy reads the original's folders, and names what is wrong with others."""

import json
import sys

import cv2
import numpy as np
import pytest

import tutorial_dataset_test
import tutorial_train
from batches.loader import TrainingData, collate
from learning.options import TrainOptions
from pictures.region_maps import save_map
from pictures.regions import REGIONS_FILE
from tutorial_dataset import MyDataset


@pytest.fixture
def folder(tmp_path):
    ids = np.zeros((64, 128), np.uint8)
    ids[10:20, 30:60] = 2
    save_map(tmp_path / "0_map.png", ids)
    cv2.imwrite(str(tmp_path / "0.png"), np.full((64, 128, 3), (0, 0, 255), np.uint8))
    lines = [
        dict(source="0_map.png", target="0.png", prompt="red", split=split) for split in ("train", "val")
    ]
    (tmp_path / "prompt.json").write_text("\n".join(json.dumps(line) for line in lines))
    return tmp_path


def test_an_item_is_a_picture_a_map_and_a_prompt_in_the_original_ranges(folder):
    item = MyDataset(folder)[0]
    assert item["txt"] == "red" and item["jpg"].shape == item["hint"].shape == (64, 128, 3)
    assert item["jpg"].dtype == item["hint"].dtype == np.float32
    assert item["jpg"][0, 0].tolist() == [1, -1, -1]
    assert item["hint"][12, 40].tolist() == [0, 1, 0] and not item["hint"][0, 0].any()


def test_a_split_is_part_of_the_folder(folder):
    assert len(MyDataset(folder)) == 2 and len(MyDataset(folder, "val")) == 1


def test_a_folder_without_held_out_items_trains_unmeasured(folder, capsys):
    line = json.loads((folder / "prompt.json").read_text().splitlines()[0])
    (folder / "prompt.json").write_text(json.dumps(line))
    (folder / "regions.yaml").write_bytes(REGIONS_FILE.read_bytes())
    held_out, encoder, judge = tutorial_train.judge_of(
        TrainOptions(data=str(folder), segmenter="judge"), MyDataset(folder)
    )
    assert held_out is judge is None and "top" in encoder.names
    assert "no items of split val: nothing is measured while it trains" in capsys.readouterr().out


def test_fill50k_lines_without_our_extras_are_read(folder):
    (folder / "prompt.json").write_text('{"source": "0_map.png", "target": "0.png", "prompt": "p"}\n')
    assert MyDataset(folder, "train")[0]["txt"] == "p"


def test_tables_and_folders_of_pairs_are_read_as_they_are(folder):
    line = '{"conditioning_image": "0_map.png", "image": "0.png", "text": "t", "size": [64, 128]}'
    (folder / "pairs.jsonl").write_text(line + "\n")
    table = MyDataset(folder / "pairs.jsonl", "train")
    assert table[0]["txt"] == "t" and table.sizes == [(64, 128)] and table.folder == folder
    for name, file in (("images", "0.png"), ("masks", "0_map.png")):
        (folder / "pairs" / name).mkdir(parents=True)
        (folder / "pairs" / name / "0.png").write_bytes((folder / file).read_bytes())
    (folder / "pairs" / "images" / "0.txt").write_text("red\n")
    pairs = MyDataset(folder / "pairs")
    assert (pairs[0]["hint"] == table[0]["hint"]).all() and pairs[0]["txt"] == "red"
    assert pairs.sizes == [None]


@pytest.mark.parametrize("size", [None, 5, "large", [1, 2, 3], [[1], [2]]])
def test_a_size_that_is_no_height_and_width_is_not_taken_for_one(folder, size):
    line = dict(source="0_map.png", target="0.png", prompt="red", size=size)
    (folder / "prompt.json").write_text(json.dumps(line))
    assert MyDataset(folder).sizes == [None]


def test_a_missing_picture_and_unequal_sizes_are_named(folder):
    cv2.imwrite(str(folder / "0.png"), np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(ValueError, match=r"0_map.png is 64 x 128, 0.png is 64 x 64: tool_prepare_data"):
        MyDataset(folder)[0]
    (folder / "0.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"0.png is missing"):
        MyDataset(folder)[0]


def test_a_folder_without_items_is_refused(tmp_path, folder):
    with pytest.raises(FileNotFoundError, match="no prompt.json"):
        MyDataset(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no items of split 'test'"):
        MyDataset(folder, "test")


@pytest.mark.parametrize("text", ['{"source"', "[]", "3", '{"source": "a", "target": "b"}', "\udcff"])
def test_a_line_that_is_no_item_is_named(folder, text):
    good = '{"source": "0_map.png", "target": "0.png", "prompt": "p"}'
    (folder / "prompt.json").write_bytes(f"{good}\n{text}\n".encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match="prompt.json, line 2: wanted"):
        MyDataset(folder)
    (folder / "prompt.json").write_text(good, encoding="utf-8-sig")
    assert len(MyDataset(folder)) == 1


def test_a_batch_of_several_sizes_or_of_odd_ones_is_refused():
    def item(height, width):
        return dict(jpg=np.zeros((height, width, 3)), hint=np.zeros((height, width, 3)), txt="")

    assert collate([item(64, 128)] * 2)["jpg"].shape == (2, 64, 128, 3)
    for items, sizes in (([item(64, 64), item(64, 128)], "64 x 64, 64 x 128"), ([item(72, 64)], "72 x 64")):
        with pytest.raises(ValueError, match=f"multiples of 64, got {sizes}"):
            collate(items)


def test_the_script_draws_items_and_refuses_bad_ones_in_one_line(folder, monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["tutorial_dataset_test.py", str(folder), *arguments])
        try:
            tutorial_dataset_test.main()
        except SystemExit as exit:
            return f"{exit.code} {capsys.readouterr().err}"
        return capsys.readouterr().out

    drawn = run("--out", str(folder / "drawn.png"))
    (folder / "prompt.json").write_text(json.dumps(dict(source="0.png", target="0.png", prompt=r"$\frac{$")))
    assert "drew 1" in run("--out", str(folder / "drawn.png"))
    assert "drew 2" in drawn and "the lines do not say" in drawn
    assert cv2.imread(str(folder / "drawn.png")) is not None
    assert "--limit must be at least 1" in run("--limit", "0")
    for name in ("0.png", "0_map.png"):
        cv2.imwrite(str(folder / name), np.zeros((60, 64, 3), np.uint8))
    assert run().startswith("error: 0.png is 60 x 64: sides must be multiples of 64, as tool_prepare_data.py")
    assert len(run().strip().splitlines()) == 1
    (folder / "train.csv").touch()
    assert "raw iMaterialist data; prepare it first: python tool_prepare_data.py" in run()


GOOD = dict(source="0_map.png", target="0.png", prompt="p")


def write_table(folder, *lines):
    (folder / "prompt.json").write_text("\n".join(json.dumps(GOOD | line) for line in lines))


@pytest.mark.parametrize("key", GOOD)
@pytest.mark.parametrize("value", [None, 3, True, ["a"], {"path": "a"}, "a\0b"])
def test_a_field_of_a_wrong_type_is_named_with_its_line(folder, key, value):
    write_table(folder, {}, {key: value})
    with pytest.raises(ValueError, match=rf"line 2: wanted .* has .* for {key}, where a (text|file)"):
        MyDataset(folder)


@pytest.mark.parametrize("table", ["[{}]", " [\n{},\n{}\n]\n", "\ufeff[{}]"])
def test_a_json_array_is_refused_as_a_whole(folder, table):
    line = json.dumps(GOOD)
    (folder / "prompt.json").write_text(table.replace("{}", line), encoding="utf-8")
    with pytest.raises(ValueError, match="the file is a JSON array: write .* a line, without brackets"):
        MyDataset(folder)


def test_text_that_is_not_utf_8_is_never_trained_as_question_marks(folder):
    lines = [json.dumps(GOOD | dict(prompt=prompt), ensure_ascii=False) for prompt in ("robe", "robe d'été")]
    table = folder / "prompt.json"
    for encoding, reason in (
        ("latin-1", r"line 2: .* which is not UTF-8 at byte \d+ \(e9\): save it as UTF-8"),
        ("utf-16", "the file is in UTF-16"),
        ("utf-16-le", "the file is in UTF-16"),
    ):
        table.write_text("\n".join(lines), encoding=encoding)
        with pytest.raises(ValueError, match=reason):
            MyDataset(folder)
    for encoding in ("utf-8", "utf-8-sig"):
        table.write_text("\r\n\r\n".join(lines) + "\r\n \r\n", encoding=encoding)
        assert [item["prompt"] for item in MyDataset(folder).data] == ["robe", "robe d'été"]


def test_a_caption_beside_its_picture_is_utf_8_or_named(folder):
    for name, file in (("images", "0.png"), ("masks", "0_map.png")):
        (folder / "pairs" / name).mkdir(parents=True)
        (folder / "pairs" / name / "0.png").write_bytes((folder / file).read_bytes())
    text = folder / "pairs" / "images" / "0.txt"
    for encoding, reason in (("latin-1", "is not UTF-8 at byte 7"), ("utf-16", "is in UTF-16")):
        text.write_text("robe d'été", encoding=encoding)
        with pytest.raises(ValueError, match=f"images/0.png: its prompt can't be read: .*0.txt {reason}"):
            MyDataset(folder / "pairs")
    text.write_text("robe d'été", encoding="utf-8-sig")
    assert MyDataset(folder / "pairs")[0]["txt"] == "robe d'été"


def test_a_split_of_null_is_none_and_any_other_word_is_refused(folder):
    write_table(folder, dict(split=None), {}, dict(split="val"))
    assert len(MyDataset(folder, "train")) == 2 and len(MyDataset(folder, "val")) == 1
    for split in ("validation", "Train", 1, ["val"], ""):
        write_table(folder, {}, dict(split=split))
        with pytest.raises(ValueError, match="line 2: split must be train, val, test or left out"):
            MyDataset(folder, "train")


def test_splits_are_parts_of_a_table_read_once(folder, monkeypatch):
    whole = MyDataset(folder)
    (folder / "prompt.json").unlink()
    train, val = whole.part("train"), whole.part("val")
    assert len(whole) == 2 and len(train) == len(val) == 1 and val[0]["txt"] == "red"
    with pytest.raises(ValueError, match="no items of split 'test'"):
        whole.part("test")


@pytest.mark.parametrize("size", [[60, 64], [0, 64], [-64, 64]])
def test_a_said_size_that_cannot_train_is_named_with_file_and_remedy(folder, size):
    write_table(folder, {}, dict(size=size))
    with pytest.raises(ValueError, match=r"0.png is said to be .* multiples of 64; tool_prepare_data.py"):
        TrainingData(MyDataset(folder), batch_size=1).loader()


def test_a_picture_that_cannot_train_is_named_with_file_and_remedy(folder):
    for name in ("0.png", "0_map.png"):
        cv2.imwrite(str(folder / name), np.zeros((64, 100, 3), np.uint8))
    with pytest.raises(
        ValueError, match="0_map.png is 64 x 100: sides must be multiples of 64, as tool_prepare"
    ):
        MyDataset(folder)[0]
    for name in ("0.png", "0_map.png"):
        cv2.imwrite(str(folder / name), np.zeros((64, 64, 3), np.uint8))
    write_table(folder, dict(size=[64, 128]))
    with pytest.raises(ValueError, match="0.png is 64 x 64, its line says 64 x 128"):
        MyDataset(folder)[0]
