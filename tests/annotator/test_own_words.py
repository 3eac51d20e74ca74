"""Lists of labels and words that people edit or bring: what is wrong in one is named by file and key."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from annotator.caption import agreement
from annotator.imaterialist import annotations, read_labels
from annotator.segment import PixelSegmenter, load_segmenter, segformer
from annotator.segment.segformer import check_folder
from annotator.segment.u2net import U2NetSegmenter
from sources import ROOT

DOLLS = ROOT / "models/tiny/segmenter.safetensors"


def refuse(read, path, key):
    with pytest.raises(ValueError) as caught:
        read()
    said = str(caught.value)
    assert path.name in said and key in said and "\n" not in said, said


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (b"- top", "['top']"),
        (b"shoes: [boots]", "'shoes'"),
        (b"top: shirt", "top wants a list of labels, got 'shirt'"),
        (b"top: [shirt, no]", "got False"),
        (b"top: [3]", "got 3"),
        ("top: [é]".encode("latin-1"), "is no yaml"),
        (b"top: [", "is no yaml"),
    ],
)
def test_labels_that_become_regions(tmp_path, monkeypatch, content, key):
    path = tmp_path / "labels.yaml"
    path.write_bytes(content)
    monkeypatch.setattr(segformer, "LABELS_FILE", path)
    refuse(segformer.read_label_table.__wrapped__, path, key)


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (b"[shirt]", "['shirt']"),
        (b"shirt: [blouse]", "no category 'shirt'"),
        (b"46: [blouse]", "no category 46"),
        (b"0: blouse", "0 wants a list of names, got 'blouse'"),
        (b"0: [blouse, 1]", "0 wants a list of names, got 1"),
        ("0: [é]".encode("latin-1"), "is no yaml"),
    ],
)
def test_names_of_garments(tmp_path, monkeypatch, content, key):
    path = tmp_path / "garment_names.yaml"
    path.write_bytes(content)
    monkeypatch.setattr(agreement, "NAMES_FILE", path)
    refuse(agreement.read_garment_names.__wrapped__, path, key)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("  counted:\n", "  counted: [shirt]\n  other:\n", "categories, counted must give ids their words"),
        ("0: [shirt, shirts]", "0: shirt", "categories, counted, 0: wanted two, got 'shirt'"),
        ("0: [shirt, shirts]", "shirt: [shirt, shirts]", "categories, counted, shirt"),
        ("    0: [shirt, shirts]\n", "", "no word for category 0"),
        ("pairs:", "pair:", "categories: pairs is missing"),
        ("6: pants", "6: [pants]", "categories, pairs, 6: wanted a word"),
        ("38: high-low", "38: no", "attributes, silhouette, 38: wanted a word, got False"),
        ("unsaid: [18", "unsaid: [x", "attributes: unsaid must list ids"),
        ("attributes:\n", "attribute:\n", "attributes are missing"),
    ],
)
def test_words_for_categories_and_attributes(tmp_path, monkeypatch, old, new, key):
    text = annotations.WORDS_FILE.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "words.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    monkeypatch.setattr(annotations, "WORDS_FILE", path)
    refuse(annotations.read_words.__wrapped__, path, key)


def test_names_of_a_label_file_are_texts(tmp_path):
    content = json.loads(annotations.LABELS_FILE.read_text())
    content["attributes"][3]["name"] = ["a"]
    (tmp_path / "label_descriptions.json").write_text(json.dumps(content))
    refuse(
        lambda: read_labels(tmp_path / "label_descriptions.json"),
        tmp_path / "label_descriptions.json",
        "['a']",
    )


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ([], "a list"),
        (dict(id2label=["top"]), "id2label"),
        (dict(id2label={"first": "top"}), "id2label"),
        (dict(id2label={"0": "background", "1": 5}), "id2label must list texts, got 5"),
        (dict(regions={"top": 1}), "regions must list texts"),
        (dict(regions=["background", 1]), "regions must list texts, got 1"),
    ],
)
def test_the_labels_of_a_segformer(tmp_path, content, key):
    for name in segformer.FILES:
        (tmp_path / name).write_bytes(b"")
    if isinstance(content, dict):
        content = dict(model_type="segformer") | content
    (tmp_path / "config.json").write_text(json.dumps(content))
    refuse(lambda: check_folder(tmp_path), tmp_path / "config.json", key)


@pytest.mark.parametrize(
    ("entries", "key"),
    [
        (dict(names="[top"), "names"),
        (dict(names="[" * 100_000), "names"),
        (dict(names='["top", 1, 2, 3, 4]'), "regions"),
        (dict(names='"top"'), "regions"),
        (dict(size="large"), "size"),
        (dict(size="-128"), "size"),
        (dict(size="9" * 40), "size"),
    ],
)
@pytest.mark.parametrize("kind", [PixelSegmenter, U2NetSegmenter])
def test_what_a_file_of_weights_says_of_itself(tmp_path, kind, entries, key):
    path = tmp_path / "segmenter.safetensors"
    save_file(dict(a=torch.zeros(1)), path, dict(network=kind.kind) | entries)
    refuse(lambda: load_segmenter(path), path, key)


def test_the_weights_of_another_number_of_regions_are_refused(tmp_path):
    path = tmp_path / "segmenter.safetensors"
    save_file(load_file(DOLLS), path, dict(names='["background", "top"]'))
    refuse(lambda: load_segmenter(path), path, "holds no weights of this segmenter")
    shutil.copy(DOLLS, path)
    assert load_segmenter(path).names[1] == "top"
