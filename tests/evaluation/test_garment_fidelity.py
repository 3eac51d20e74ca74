"""Garment fidelity tells the truth from all else, and what it redraws is what the folder shows."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from cldm.model import create_part, load_state_dict
from evaluation import redrawing
from evaluation.fittings import roll_garments, with_pairs
from evaluation.garment_fidelity import ATTRIBUTES, GARMENTS, GROUPS, summarize, tell_apart
from evaluation.redrawing import Redrawing, name_file
from paperdoll.alternatives import gather_garments
from paperdoll.tryon import arrange
from paperdoll.tryon_folders import make_dress_code
from preparation.fittings import FittingOptions, prepare_fittings
from small_fittings import draw_fittings, forget_drawing
from sources import ROOT
from tutorial_tryon_dataset import TryonDataset


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_fittings(tmp_path_factory.mktemp("dolls"), 1, 5)


@pytest.fixture(scope="module")
def dolls(data):
    """Held-out dolls that try other garments on: (Redrawn, mask, photo in the own garment) each."""
    dataset = TryonDataset(data, pairs=data / "test_unpaired.txt")
    drawn = Redrawing(dataset)
    drawn.draw(range(len(dataset)))
    items = [dataset[i] for i in range(len(dataset))]
    photos = [((item["jpg"] + 1) * 127.5).round().astype(np.uint8) for item in items]
    return [(drawn[i], item["mask"][..., 0] > 0.5, photos[i]) for i, item in enumerate(items)]


def numbers_of(dolls, picture_of):
    return summarize([tell_apart(picture_of(redrawn), redrawn, mask) for redrawn, mask, _ in dolls])


def test_the_truth_is_told_from_everything(dolls):
    found = numbers_of(dolls, lambda redrawn: redrawn.truth)
    assert found[GARMENTS] == found["detail"] == 1 and found["ΔE"] == 0 and found["PSNR in mask"] == 100
    assert all(found[f"{name} told"] in (1, pytest.approx(np.nan, nan_ok=True)) for name in ATTRIBUTES)


def test_a_noisy_truth_is_told_and_its_errors_are_measured(dolls):
    noise = np.random.default_rng(0).normal(0, 10, dolls[0][0].truth.shape)
    found = numbers_of(dolls, lambda redrawn: np.clip(redrawn.truth + noise, 0, 255).astype(np.uint8))
    assert found[GARMENTS] == 1 and found["detail"] > 0.9 and 0 < found["ΔE"] < 3
    assert found["PSNR in mask"] == pytest.approx(20 * np.log10(255 / 10), abs=0.6)


def test_other_garments_come_out_as_by_chance(dolls):
    """All 15 others on each doll: none of them is the truth, and they tell its attributes by chance."""
    rows = [
        tell_apart(picture, redrawn, mask)
        for redrawn, mask, _ in dolls
        for picture in redrawn.pictures[redrawn.groups[GARMENTS]]
    ]
    found = summarize(rows)
    assert len(rows) == 15 * len(dolls) and found[GARMENTS] == 0
    assert -0.15 < found["detail"] < 0.2 and found["ΔE"] > 25


def test_the_garment_that_a_person_wears_is_not_the_one_to_be_tried_on(dolls):
    found = summarize([tell_apart(photo, redrawn, mask) for redrawn, mask, photo in dolls])
    assert found[GARMENTS] <= 0.2 and found["detail"] < 0.4 and found["ΔE"] > 25


def test_a_copy_with_one_attribute_changed_is_not_taken_for_the_truth(dolls):
    told = set()
    for redrawn, mask, _ in dolls:
        for name in ATTRIBUTES:
            for copy in redrawn.pictures[redrawn.groups.get(name, slice(0))]:
                row = tell_apart(copy, redrawn, mask)
                if (copy != redrawn.truth)[mask].any():
                    assert row[2 * GROUPS.index(name)] == 0, name
                    told.add(name)
    assert told >= {"colour", "second colour", "pattern"} and len(told) >= 5


def test_what_the_mask_hides_is_no_alternative(dolls):
    redrawn, mask, _ = dolls[0]
    row = tell_apart(redrawn.truth, redrawn, np.zeros_like(mask) | (np.arange(len(mask)) < 1)[:, None])
    assert np.isnan(row[: 2 * len(GROUPS)]).all()


def test_the_autoencoder_lets_more_through_than_nothing_does(dolls):
    autoencoder = create_part(ROOT / "models/cldm_tiny.yaml", "first_stage_config")
    state = load_state_dict(ROOT / "models/tiny/base.safetensors")
    stem = "first_stage_model."
    autoencoder.load_state_dict({k.removeprefix(stem): v for k, v in state.items() if k.startswith(stem)})

    def through(redrawn):
        picture = torch.from_numpy(redrawn.truth).permute(2, 0, 1)[None].float() / 127.5 - 1
        with torch.no_grad():
            again = autoencoder.decode(autoencoder.encode(picture).mode())
        return ((again[0].clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()

    ceiling = numbers_of(dolls, through)
    floor = numbers_of(dolls, lambda redrawn: np.full_like(redrawn.truth, 128))
    assert ceiling[GARMENTS] == 1 and floor[GARMENTS] <= 0.4
    assert ceiling["detail"] > 0.6 > floor["detail"] + 0.3 and ceiling["ΔE"] < floor["ΔE"] / 2


def test_the_sixteen_garments_differ_and_are_always_the_same():
    garment = arrange(3, 1).garment
    first, again = (gather_garments(garment, "upper", [3, 1]) for _ in range(2))
    assert first == again and first[0] == garment and len(first) == 16
    assert len({(g.kind, g.colour, g.fabric.pattern) for g in first}) == 16
    assert {g.region for g in first} == {"top"}
    assert gather_garments(garment, "upper", [3, 2])[1:] != first[1:]


def test_drawings_are_kept_and_damaged_ones_drawn_anew(data, monkeypatch, tmp_path):
    folder = shutil.copytree(data, tmp_path / "data")
    dataset = TryonDataset(folder, "test")
    drawn = Redrawing(dataset)
    first = drawn[0]
    monkeypatch.setattr(redrawing, "draw_person", lambda *_: pytest.fail("it was there already"))
    assert np.array_equal(Redrawing(dataset)[0].pictures, first.pictures)
    monkeypatch.undo()
    path = name_file(folder, *dataset.pairs[0])
    path.write_bytes(path.read_bytes()[:1000])
    assert np.array_equal(drawn[0].pictures, first.pictures)
    dataset.pairs[0][0]["drawn"]["index"] += 1  # another person's
    with pytest.raises(ValueError, match=r"jpg is not what the drawing code draws by its seed and index"):
        drawn[0]


def test_a_folder_of_another_size_is_redrawn_as_it_was_prepared(tmp_path):
    draw_fittings(tmp_path, 0, 2)
    prepare_fittings(tmp_path / "raw", tmp_path / "wide", FittingOptions((128, 128), "body_part", workers=1))
    dataset = TryonDataset(tmp_path / "wide", "test")
    redrawn, item = Redrawing(dataset)[0], dataset[0]
    assert redrawn.truth.shape == (128, 128, 3) and redrawn.worn.shape == (128, 128)
    assert np.abs(redrawn.truth / 127.5 - 1 - item["jpg"]).mean() < 0.03


def test_all_categories_of_dress_codes_layout_are_redrawn(tmp_path):
    folder = draw_fittings(tmp_path, 1, 2, make=make_dress_code)
    dataset = TryonDataset(folder, pairs=folder / "test_unpaired.txt")
    drawn = Redrawing(dataset)
    for place in (0, 2, 4):
        redrawn = drawn[place]
        mask = dataset[place]["mask"][..., 0] > 0.5
        row = tell_apart(redrawn.truth, redrawn, mask)
        assert (
            row[0] == 1
            and redrawn.worn.sum() > 200
            and (redrawn.worn & mask).sum() > 0.9 * redrawn.worn.sum()
        )
    people = dataset.pairs
    with pytest.raises(ValueError, match="is a garment of category lower, .* a person for upper"):
        Redrawing(with_pairs(dataset, [(people[0][0], people[2][1])]))


def test_photographs_are_refused_and_what_can_be_measured_is_said(data, tmp_path):
    folder = forget_drawing(shutil.copytree(data, tmp_path / "data"))
    with pytest.raises(ValueError, match="does not say how its people were drawn") as refused:
        Redrawing(TryonDataset(folder, "test"))
    assert "estimates of it: SSIM, PSNR, LPIPS" in str(refused.value) and "\n" not in str(refused.value)


def test_a_changed_photo_is_noticed(data, tmp_path):
    folder = shutil.copytree(data, tmp_path / "data")
    shutil.rmtree(folder / "redrawn", ignore_errors=True)
    dataset = TryonDataset(folder, "test")
    path = folder / dataset.data[0]["target"]
    image = np.array(Image.open(path))
    image[40:44, 40:44] = 255 - image[40:44, 40:44]
    Image.fromarray(image).save(path, quality=95)
    with pytest.raises(ValueError, match="another version has drawn it"):
        Redrawing(dataset)[0]


def lines(*names):
    return [dict(name=name, category="lower" if name.isupper() else "upper") for name in names]


def test_rolled_garments_are_the_next_ones_of_the_category():
    people = lines("a", "b", "A", "c", "B")
    rolled = roll_garments([(person, person) for person in people])
    assert [(p["name"], g["name"]) for p, g in rolled] == [
        ("a", "b"), ("b", "c"), ("A", "B"), ("c", "a"), ("B", "A"),
    ]  # fmt: skip
    again = roll_garments(rolled)
    assert [g["name"] for _, g in again] == ["c", "a", "A", "b", "B"]
    a, b = lines("a", "b")
    with pytest.raises(ValueError, match="no other garment of category upper than a"):
        roll_garments([(a, a), (b, a)])
