"""Paper dolls: exact, reproducible, in iMaterialist's format, and different enough to measure control on."""

import csv
import itertools
import json

import numpy as np
import pytest
from PIL import Image

from annotator.imaterialist import index_annotations, read_rows, region_map, rle_decode
from paperdoll import COLOURS, draw, make_dolls, nearest_colour
from paperdoll.colours import mix_colour

DOLLS = [draw(0, index) for index in range(40)]
PARTS = (28, 31, 32, 33)


def test_a_doll_depends_only_on_seed_and_index():
    again = draw(0, 7)
    assert (again.photo == DOLLS[7].photo).all() and again.caption == DOLLS[7].caption
    assert (draw(1, 7).photo != DOLLS[7].photo).any()


def test_the_same_doll_can_be_drawn_at_any_size():
    small, large = draw(0, 3, 128), draw(0, 3, 256)
    assert small.caption == large.caption and large.photo.shape == (256, 256, 3)
    halved = np.asarray(Image.fromarray(large.photo).reduce(2), np.float32)
    assert np.abs(halved - small.photo).mean() < 4


def test_garments_never_overlap_and_parts_lie_on_a_garment():
    for doll in DOLLS:
        garments = [i.mask for i in doll.instances if i.class_id not in PARTS]
        assert np.sum(garments, axis=0).max() <= 1
        for part in (i for i in doll.instances if i.class_id in PARTS):
            assert any((part.mask <= mask).all() for mask in garments)


def test_the_colour_that_a_caption_names_is_that_of_most_of_the_garments_pixels():
    for doll in DOLLS:
        for garment in (i for i in doll.instances if i.region):
            names = [nearest_colour(pixel) for pixel in doll.photo[garment.mask][::3]]
            assert max(set(names), key=names.count) == garment.colour and garment.colour in doll.caption


def test_a_free_colour_is_twice_as_near_to_its_name_as_to_any_other():
    rng = np.random.default_rng(0)
    for name in COLOURS:
        for colour in (mix_colour(rng, name) for _ in range(20)):
            distances = {n: np.linalg.norm(np.subtract(colour, c)) for n, c in COLOURS.items()}
            own = distances.pop(name)
            assert own <= 0.5 * min(distances.values()) + 1  # rounded


def test_captions_are_short_sentences_of_few_words():
    words = [doll.caption.replace(",", "").split() for doll in DOLLS]
    assert all(w[:3] == ["a", "person", "in"] and len(w) <= 22 for w in words)
    assert len(set(itertools.chain(*words))) <= 45


def test_a_picture_made_without_the_mask_overlaps_less_than_half_of_it():
    regions = ("top", "bottom", "whole", "head")
    masks = {r: [i.mask for d in DOLLS for i in d.instances if i.region == r] for r in regions}
    for found in masks.values():
        pairs = list(itertools.combinations(found, 2))
        assert len(pairs) > 50
        assert np.mean([(a & b).sum() / (a | b).sum() for a, b in pairs]) < 0.45


def test_a_folder_is_read_back_as_it_was_drawn(tmp_path):
    folder = make_dolls(tmp_path / "raw", 5, seed=0, start=10)
    index = index_annotations(folder / "train.csv", folder / "label_descriptions.json")
    assert not index.rejected and len(index.places) == 5
    captions = dict(csv.reader((folder / "captions.csv").read_text().splitlines()))
    truth = [json.loads(line) for line in (folder / "dolls.jsonl").read_text().splitlines()]
    for doll, (image, places), known in zip(DOLLS[10:15], index.places.items(), truth, strict=True):
        rows, _ = read_rows(folder / "train.csv", places)
        assert captions[image] == doll.caption and known["image"] == image
        photo = np.asarray(Image.open(folder / "train" / image), np.float32)
        assert np.abs(photo - doll.photo).mean() < 2
        wanted = np.zeros((128, 128), np.uint8)
        for row, instance, entry in zip(rows, doll.instances, known["instances"], strict=True):
            assert (rle_decode(row.rle, 128, 128) == instance.mask).all()
            assert (row.category, row.attributes) == (instance.class_id, instance.attributes)
            assert entry["colour"] == instance.colour and entry["region"] == instance.region
            if instance.region:
                wanted[instance.mask] = ["top", "bottom", "whole", "head"].index(instance.region) + 1
        assert (region_map(rows, 128, 128) == wanted).all()


def _content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_interrupted_folder_is_completed_and_a_complete_one_left_alone(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("paperdoll.folder.CHUNK", 2)
    whole = _content(make_dolls(tmp_path / "whole", 5))
    with monkeypatch.context() as interruption:
        drawn = [draw(0, index) for index in range(3)]
        interruption.setattr("paperdoll.folder.draw", lambda seed, index, size: drawn[index])
        with pytest.raises(IndexError):
            make_dolls(tmp_path / "part", 5)
    assert not (tmp_path / "part" / "train.csv").exists()
    assert _content(make_dolls(tmp_path / "part", 5)) == whole
    make_dolls(tmp_path / "part", 5)
    assert "there already" in capsys.readouterr().out


def test_a_folder_with_other_dolls_or_other_files_is_refused(tmp_path):
    folder = make_dolls(tmp_path / "raw", 2)
    with pytest.raises(ValueError, match="another folder"):
        make_dolls(folder, 2, seed=1)
    settings = json.loads((folder / "paperdoll.json").read_text())
    (folder / "paperdoll.json").write_text(json.dumps({k: v for k, v in settings.items() if k != "version"}))
    with pytest.raises(ValueError, match="another folder"):
        make_dolls(folder, 2)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="not empty"):
        make_dolls(tmp_path / "other", 2)
    with pytest.raises(ValueError, match="num_images"):
        make_dolls(tmp_path / "none", 0)
