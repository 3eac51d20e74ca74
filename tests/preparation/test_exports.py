"""Prepared pictures for other trainers: an imagefolder for diffusers, shards for webdataset."""

import json
import os
import tarfile

import numpy as np
import pytest
import webdataset
from PIL import Image

from pictures.region_maps import save_map
from preparation.imagefolder import write_imagefolder
from preparation.shards import write_shards

NAMES = ["plain", "a.b", "a%2Eb", "50% off", "test-dress", "[x]", "ü", "x" * 120, "last"]
SPLITS = ["train", "train", "train", "val", "train", "test", "train", "val", "train"]


@pytest.fixture
def prepared(tmp_path):
    """A folder of nine pictures with difficult names, and its lines."""
    for folder in ("source", "target"):
        (tmp_path / folder).mkdir()
    random, lines = np.random.default_rng(0), []
    for name, split in zip(NAMES, SPLITS, strict=True):
        save_map(tmp_path / "source" / f"{name}.png", random.integers(0, 5, (16, 16)).astype(np.uint8))
        photo = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(photo).save(tmp_path / "target" / f"{name}.jpg")
        files = dict(source=f"source/{name}.png", target=f"target/{name}.jpg")
        lines.append(files | dict(prompt=f'a "{name}"', split=split, bucket="16x16"))
    return tmp_path, lines


def content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def changed(folder, action):
    """Names of the files that an action wrote anew."""
    before = {path: path.stat() for path in folder.rglob("*") if path.is_file()}
    action()
    after = {path: path.stat() for path in folder.rglob("*") if path.is_file()}
    return {p.name for p in after if p not in before or after[p].st_mtime_ns != before[p].st_mtime_ns}


def entries(folder):
    text = (folder / "metadata.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_an_imagefolder_pairs_photo_map_and_prompt_in_split_folders(prepared):
    out, lines = prepared
    summary = write_imagefolder(out, lines)
    assert summary == dict(train=6, val=2, test=1, linked=18, copied=0)
    for split, name in (("train", "train"), ("val", "validation"), ("test", "test")):
        folder = out / "imagefolder" / name
        found = entries(folder)
        members = [line for line in lines if line["split"] == split]
        assert [entry["text"] for entry in found] == [line["prompt"] for line in members]
        for entry, line in zip(found, members, strict=True):
            assert (folder / entry["file_name"]).samefile(out / line["target"])
            assert (folder / entry["conditioning_image_file_name"]).samefile(out / line["source"])


def test_an_imagefolder_follows_what_has_changed(prepared):
    out, lines = prepared
    write_imagefolder(out, lines)
    save_map(out / "source" / "plain.png", np.zeros((16, 16), np.uint8))
    (out / "imagefolder" / "train" / "image" / ".left.jpg.tmp").write_bytes(b"of a killed run")
    moved = [line | dict(split="val") if "last" in line["target"] else line for line in lines]
    again = write_imagefolder(out, [line for line in moved if line["split"] != "test"])
    assert again == dict(train=5, val=3, test=0, linked=3, copied=0)
    names = content(out / "imagefolder").keys()
    listed = {
        f"{split}/{entry[column]}"
        for split in ("train", "validation")
        for entry in entries(out / "imagefolder" / split)
        for column in ("file_name", "conditioning_image_file_name")
    }
    assert names == listed | {"train/metadata.jsonl", "validation/metadata.jsonl"}
    assert (out / "imagefolder/train/conditioning_image/plain.png").samefile(out / "source/plain.png")


def test_an_imagefolder_is_copied_where_files_cannot_be_linked(prepared, monkeypatch):
    out, lines = prepared

    def refuse(*paths):
        raise OSError("no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    assert write_imagefolder(out, lines)["copied"] == 18
    assert write_imagefolder(out, lines)["copied"] == 0
    assert content(out / "imagefolder/test/image") == {"[x].jpg": (out / "target/[x].jpg").read_bytes()}


@pytest.mark.slow
def test_hugging_face_reads_the_imagefolder(prepared, tmp_path):
    datasets = pytest.importorskip("datasets", minversion="3.4")
    out, lines = prepared
    write_imagefolder(out, lines)
    loaded = datasets.load_dataset(str(out / "imagefolder"), cache_dir=str(tmp_path / "cache"))
    assert {name: len(split) for name, split in loaded.items()} == dict(train=6, validation=2, test=1)
    members = [line for line in lines if line["split"] == "train"]
    for item, line in zip(loaded["train"], members, strict=True):
        assert list(item) == ["image", "conditioning_image", "text"]
        assert item["text"] == line["prompt"]
        for column, key in (("image", "target"), ("conditioning_image", "source")):
            with Image.open(out / line[key]) as image:
                assert np.array_equal(item[column].convert("RGB"), image.convert("RGB"))


def read_back(out, split):
    """Samples that webdataset itself reads, undecoded."""
    index = json.loads((out / "shards" / "shards.json").read_text())
    urls = [str(out / "shards" / shard["name"]) for shard in index[split]]
    return list(webdataset.WebDataset(urls, shardshuffle=False))


def test_shards_give_back_every_byte(prepared):
    out, lines = prepared
    index = write_shards(out, lines, per_shard=4)
    assert [shard["samples"] for shard in index["train"]] == [4, 2]
    for split in ("train", "val", "test"):
        members = [line for line in lines if line["split"] == split]
        samples = read_back(out, split)
        assert len({sample["__key__"] for sample in samples}) == len(members)
        for sample, line in zip(samples, members, strict=True):
            assert sample["jpg"] == (out / line["target"]).read_bytes()
            assert sample["png"] == (out / line["source"]).read_bytes()
            assert sample["txt"].decode() == line["prompt"]
            assert json.loads(sample["json"]) == line


def test_shards_have_the_same_bytes_wherever_writing_was_stopped(prepared, monkeypatch):
    out, lines = prepared
    write_shards(out, lines, per_shard=2)
    whole = content(out / "shards")
    for name in ("train-000001.tar", "shards.json"):
        (out / "shards" / name).unlink()
    (out / "shards" / ".train-000001.tar.tmp").write_bytes(b"half")
    write_shards(out, lines, per_shard=2)
    assert content(out / "shards") == whole
    with tarfile.open(out / "shards" / "val-000000.tar") as tar:
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in tar} == {(0, 0, 0, "", "")}


def test_only_shards_that_changed_are_written_again(prepared):
    out, lines = prepared
    write_shards(out, lines, per_shard=2)
    assert changed(out / "shards", lambda: write_shards(out, lines, per_shard=2)) == {"shards.json"}
    save_map(out / "source" / "a%2Eb.png", np.zeros((16, 16), np.uint8))
    again = changed(out / "shards", lambda: write_shards(out, lines, per_shard=2))
    assert again == {"train-000001.tar", "shards.json"}
    write_shards(out, lines, per_shard=9)
    assert content(out / "shards").keys() == {
        "train-000000.tar",
        "val-000000.tar",
        "test-000000.tar",
        "shards.json",
    }


@pytest.mark.parametrize("left", ["", "[1]", '{"train": [{}]}'])
def test_shards_whose_index_is_damaged_are_written_again(prepared, left):
    out, lines = prepared
    write_shards(out, lines)
    before = content(out / "shards")
    (out / "shards" / "shards.json").write_text(left)
    write_shards(out, lines)
    assert content(out / "shards") == before


def test_an_interrupted_writer_lists_only_shards_that_are_whole(prepared, monkeypatch):
    out, lines = prepared
    write = webdataset.TarWriter.write

    def stop_at_the_fifth(tar, sample):
        if sample["__key__"] == "ü":
            raise KeyboardInterrupt
        return write(tar, sample)

    with monkeypatch.context() as patch:
        patch.setattr(webdataset.TarWriter, "write", stop_at_the_fifth)
        with pytest.raises(KeyboardInterrupt):
            write_shards(out, lines, per_shard=2)
    listed = json.loads((out / "shards" / "shards.json").read_text())
    assert [shard["name"] for shard in listed["train"]] == ["train-000000.tar", "train-000001.tar"]
    first = (out / "shards" / "train-000000.tar").stat().st_mtime_ns
    write_shards(out, lines, per_shard=2)
    assert (out / "shards" / "train-000000.tar").stat().st_mtime_ns == first
    assert len(read_back(out, "train")) == 6
