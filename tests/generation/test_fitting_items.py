"""Photos of a person and a garment become the items of a prepared folder of them, or it is said why not."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from annotator.agnostic import Person, agnostic_mask
from annotator.agnostic import Pose as StylePose
from annotator.agnostic.photos import PersonFinder
from cldm.weights.graft import add_control
from cldm.weights.load_tryon import load_tryon
from generation.fitting import FittingSettings
from generation.fitting_items import GarmentPhoto, PersonPhoto, dress, make_item
from pictures.region_maps import load_map
from small_finders import Detector, Parser, standing
from small_fittings import draw_fittings
from sources import ROOT
from tutorial_tryon_dataset import TryonDataset

STYLE, SIZE = "body_part", (64, 64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dolls")
    draw_fittings(folder, 1, 3, drawn=(96, 72), size=SIZE)
    return folder


@pytest.fixture(scope="module")
def loaded(folder):
    path = folder / "tryon.safetensors"
    add_control(ROOT / "models/tiny/base.safetensors", str(path), str(ROOT / "models/tryon_tiny_joint.yaml"))
    return load_tryon(path, mask_style=STYLE, size=SIZE)


def person_of(folder, name, **changes):
    """A person of the raw data set, whose joints are in the pixels of pictures of 1024 rows."""
    raw = folder / "raw" / "test"
    keypoints = json.loads((raw / f"openpose_json/{name}_keypoints.json").read_text())
    joints = np.reshape(keypoints["people"][0]["pose_keypoints_2d"], (-1, 3)) * [96 / 1024, 96 / 1024, 1]
    labels = dict(cihp=raw / f"image-parse-v3/{name}.png")
    return PersonPhoto(raw / f"image/{name}.jpg", joints=joints, labels=labels, **changes)


def garment_of(folder, name, **options):
    raw = folder / "raw" / "test"
    return GarmentPhoto(raw / f"cloth/{name}.jpg", **dict(mask=raw / f"cloth-mask/{name}.jpg") | options)


def names(folder):
    return sorted(path.stem for path in (folder / "raw/test/image").iterdir())


def test_an_item_of_photos_is_that_of_the_folder_that_is_prepared_of_them(folder, loaded):
    name = names(folder)[1]
    dataset = TryonDataset(folder / "data", "test")
    (wanted,) = (item for item in dataset if item["name"].startswith(f"test_{name}__"))
    item = make_item(loaded, person_of(folder, name), garment_of(folder, name))
    assert item.keys() == wanted.keys()
    for key in ("mask", "garment_mask", "pose", "mirrored_pose", "category_id"):
        assert np.array_equal(item[key], wanted[key]), key
    for key in ("jpg", "agnostic", "garment"):  # which a folder keeps as JPEG
        assert item[key].dtype == np.float32 and np.abs(item[key] - wanted[key]).mean() < 0.02, key
    assert set(np.unique(item["mask"])) == {0.0, 1.0}


def test_files_and_arrays_are_the_same(folder, loaded):
    name = names(folder)[0]
    person, garment = person_of(folder, name), garment_of(folder, name)
    as_arrays = replace(
        person,
        photo=np.asarray(Image.open(person.photo)),
        labels=dict(cihp=np.asarray(Image.open(person.labels["cihp"]))),
    )
    cloth = replace(
        garment,
        photo=np.asarray(Image.open(garment.photo)),
        mask=np.asarray(Image.open(garment.mask)) > 127,
    )
    given, array = make_item(loaded, person, garment), make_item(loaded, as_arrays, cloth)
    for key in given.keys() - {"name"}:
        assert np.array_equal(given[key], array[key]), key


def test_a_mask_of_ones_own_goes_before_all_rules(folder, loaded):
    name = names(folder)[0]
    mask = np.zeros((96, 72), np.uint8)
    mask[30:60, 20:50] = 255
    person = PersonPhoto(folder / f"raw/test/image/{name}.jpg", mask=mask)
    item = make_item(loaded, person, garment_of(folder, name))
    rows = np.flatnonzero(item["mask"][..., 0].any(1))
    # the middle 72 rows become 64
    assert abs(rows[0] - (30 - 12) * 64 / 72) <= 1 and abs(rows[-1] - (60 - 12) * 64 / 72) <= 1
    assert item["txt"] == "a person wears a garment" and "pose" not in item


def test_a_region_map_gives_the_mask(folder, loaded):
    data = TryonDataset(folder / "data", "test")
    line = data.data[0]
    regions = load_map(folder / "data" / line["source"])
    person = PersonPhoto(
        folder / "data" / line["target"], labels=dict(regions=regions), regions="top,whole", grow=2
    )
    item = make_item(loaded, person, garment_of(folder, names(folder)[0]))
    inside = np.isin(regions, (1, 3))
    assert np.array_equal(item["mask"][..., 0] > 0, cv2.dilate(np.uint8(inside), CIRCLE) > 0)


CIRCLE = np.uint8([[0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [1, 1, 1, 1, 1], [0, 1, 1, 1, 0], [0, 0, 1, 0, 0]])


def test_a_worn_garment_is_cut_out_and_put_on_white(folder, loaded):
    """By a region map: its box fills the picture but for some room, and nothing else is in it."""
    line = TryonDataset(folder / "data", "test").data[1]
    regions = load_map(folder / "data" / line["source"])
    inside = np.isin(regions, (1, 3))
    assert inside.any()
    worn = GarmentPhoto(
        folder / "data" / line["target"], worn=True, region_map=folder / "data" / line["source"]
    )
    item = make_item(loaded, person_of(folder, names(folder)[0]), replace(worn, regions="top,whole"))
    by_mask = make_item(
        loaded, person_of(folder, names(folder)[0]), replace(worn, mask=inside, region_map=None)
    )
    assert np.array_equal(item["garment"], by_mask["garment"])
    covered = item["garment_mask"][..., 0] > 0
    assert (item["garment"][~cv2.dilate(np.uint8(covered), np.ones((9, 9))).astype(bool)] == 1).all()
    rows, columns = np.flatnonzero(covered.any(1)), np.flatnonzero(covered.any(0))
    longer = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    assert 0.85 * 64 < longer < 0.93 * 64
    assert abs(rows[0] + rows[-1] - 63) <= 2 and abs(columns[0] + columns[-1] - 63) <= 2


def test_what_is_not_given_is_found_by_the_annotators(folder, loaded):
    garment = garment_of(folder, names(folder)[0])
    photo = np.asarray(Image.open(folder / f"data/target/test_{names(folder)[0]}.jpg"))
    person, finder = PersonPhoto(photo), PersonFinder(Parser(), Detector(standing(32)))
    item = make_item(loaded, person, garment, finder=finder)
    labels, pose = finder.find_labels(photo), StylePose.read(standing(32), "coco18", 64)
    assert np.array_equal(item["mask"][..., 0] > 0, agnostic_mask(STYLE, "upper", Person(labels, pose), SIZE))
    assert (item["pose"] > -1).any()
    joints = make_item(loaded, replace(person, joints=standing(34)), garment, finder=finder)
    assert not np.array_equal(joints["mask"], item["mask"])  # what is given goes before what is found
    nobody = PersonFinder(Parser(), Detector())
    with pytest.raises(ValueError, match="the person: there is no pose.*give joints or a mask"):
        make_item(loaded, person, garment, finder=nobody)


def test_of_two_people_the_larger_is_dressed(folder, loaded):
    photo = np.asarray(Image.open(folder / f"data/target/test_{names(folder)[0]}.jpg"))
    other = standing(32) * [0.4, 0.4, 1] + [29, 10, 0]
    masks = [
        make_item(
            loaded,
            PersonPhoto(photo),
            garment_of(folder, names(folder)[0]),
            finder=PersonFinder(Parser(), who),
        )["mask"]
        for who in (Detector(standing(28)), Detector(other, standing(28)))
    ]
    assert masks[0].sum() > masks[1].sum() > 0.5 * masks[0].sum()
    assert not (masks[1] > masks[0]).any()


def test_a_person_is_dressed_whoever_else_is(folder, loaded):
    settings = FittingSettings(steps=1)
    people = [person_of(folder, name) for name in names(folder)[:2]]
    garment = garment_of(folder, names(folder)[2])
    both = dress(loaded, people[0], garment, [3, 4], settings)
    assert both.shape == (2, *SIZE, 3) and both.dtype == np.uint8
    assert np.abs(both[1].astype(int) - dress(loaded, people[0], garment, [4], settings)[0]).max() <= 1
    assert not np.array_equal(both[0], dress(loaded, people[1], garment, [3], settings)[0])


def test_what_is_missing_is_named_with_its_remedy(folder, loaded):
    person, garment = person_of(folder, names(folder)[0]), garment_of(folder, names(folder)[0])
    photo = person.photo.name
    posing = replace(loaded, model=Wanting(loaded.model, "pose"))
    needing = replace(loaded, model=Wanting(loaded.model, "densepose"))
    unsaid = replace(loaded, record=replace(loaded.record, mask_style=None))
    half = np.zeros((96, 72), bool)
    half[40:60] = True
    for what, given, worn, words in [
        (loaded, replace(person, joints=None), garment, f"{photo}: there is no pose.*give joints or a mask"),
        (
            loaded,
            replace(person, labels={}),
            garment,
            f"{photo}: there is no label map.*give labels or a mask",
        ),
        (unsaid, person, garment, "does not say by which mask style it learned: give a mask"),
        (posing, PersonPhoto(person.photo, mask=half), garment, f"there is no pose of {photo}.*give joints"),
        (needing, person, garment, f"there is no densepose of {photo}"),
        (loaded, replace(person, photo=folder / "none.jpg"), garment, "none.jpg is missing"),
        (loaded, person, replace(garment, photo=folder / "none.jpg"), "none.jpg is missing"),
        (
            loaded,
            person,
            replace(garment, category="hat"),
            "has category 'hat': want one of upper, lower, dress",
        ),
        (loaded, person, replace(garment, category="bag"), f"{photo}: mask style body_part has categories"),
        (
            loaded,
            replace(person, mask=half[:50]),
            garment,
            f"{photo}: its mask is 50 x 72, the person 96 x 72",
        ),
        (loaded, replace(person, mask=~half | half), garment, f"{photo}: the mask covers all"),
        (loaded, replace(person, regions="sleeve"), garment, "there is no region map with sleeve: give one"),
        (loaded, person, replace(garment, worn=True, mask=None), "somebody wears it: give a mask"),
        (loaded, person, replace(garment, mask=half & False), "the garment's mask is empty"),
        (loaded, replace(person, joints=np.zeros((7, 2))), garment, "coco18 keypoints must be"),
        (loaded, replace(person, labels=dict(lap=half)), garment, "label set, 'lap'"),
        (loaded, replace(person, photo=np.zeros((96, 72), np.uint8)), garment, "a photo must be uint8"),
    ]:
        with pytest.raises((ValueError, FileNotFoundError), match=words):
            make_item(what, given, worn)
    with pytest.raises(ValueError, match="draws multiples of 16, got 60 x 64"):
        make_item(loaded, person, garment, size=(60, 64))
    with pytest.raises(ValueError, match="the model learned 64 x 64, the data are 128 x 64"):
        make_item(loaded, person, garment, size=(128, 64))


class Wanting:
    """A model whose recipe reads one more thing of an item."""

    def __init__(self, model, key):
        self.model, self.key = model, key

    def __getattr__(self, name):
        return getattr(self.model, name)

    def wanted_keys(self):
        return [*self.model.wanted_keys(), ("a key of conditions.one_more", self.key)]


def test_photos_of_every_kind_are_drawn_from_or_refused_by_name(folder, loaded, tmp_path):
    person = person_of(folder, names(folder)[0])
    cloth = Image.open(garment_of(folder, names(folder)[0]).photo)
    plain = make_item(loaded, person, GarmentPhoto(np.asarray(cloth)))["garment"]

    def worn(name, image, **options):
        image.save(tmp_path / name, **options)
        return make_item(loaded, person, GarmentPhoto(tmp_path / name))["garment"]

    assert np.array_equal(worn("plain.png", cloth), plain)
    assert np.abs(worn("cmyk.tif", cloth.convert("CMYK")) - plain).max() < 0.05
    frames = [cloth.convert("P"), Image.new("P", cloth.size)]
    animated = worn("animated.gif", frames[0], save_all=True, append_images=frames[1:])
    assert np.abs(animated - plain).mean() < 0.2  # of an animation the first picture counts, in 256 colours
    for name, image, words in [
        (
            "deep.png",
            Image.fromarray(np.zeros((96, 72), np.uint16)),
            "deep.png: .*mode I;16.*8 bits a channel",
        ),
        ("small.png", cloth.resize((10, 10)), "small.png: it is 10 x 10 and would be enlarged 6.4 times"),
    ]:
        with pytest.raises(ValueError, match=words):
            worn(name, image)
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(ValueError, match="text.jpg: the photo can't be read"):
        make_item(loaded, person, GarmentPhoto(tmp_path / "text.jpg"))
