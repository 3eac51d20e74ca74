"""Fittings: a person, a garment, its product picture; the same garment on others, others on the person."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from paperdoll.easel import invert
from paperdoll.labels import ATR, BODY_25, COCO_18, LIP, list_keypoints
from paperdoll.scene import draw_product
from paperdoll.tryon import CATEGORIES, SIZE, arrange, choose_other_garment
from paperdoll.tryon_folders import DRAWN, make_dress_code, make_viton_hd

FITTINGS = [arrange(0, index, category=category) for category in CATEGORIES for index in range(8)]


def test_a_fitting_depends_only_on_its_seed_index_and_category():
    first, again = (arrange(0, 5) for _ in range(2))
    assert (first.wear().drawing.photo == again.wear().drawing.photo).all()
    assert (first.wear().drawing.photo != arrange(1, 5).wear().drawing.photo).any()
    product, again = (draw_product(f.garment, SIZE) for f in (first, again))
    assert (product.photo == again.photo).all() and product.photo.shape == (*SIZE, 3)


def test_a_product_picture_is_its_own_correspondence():
    for fitting in FITTINGS:
        product = draw_product(fitting.garment, SIZE)
        points = product.correspondence(1)
        y, x = np.nonzero(~np.isnan(points[:, :, 0]))
        back = invert(product.to_pixels)
        own = np.stack([x, y], 1) + 0.5
        expected = own @ back[:, :2].T + back[:, 2]
        assert len(y) > 200
        assert np.abs(points[y, x] - expected).max() < 1e-4


def test_worn_garment_and_product_picture_show_the_same_pattern_in_the_same_phase():
    seen = []
    for index in range(60):
        fitting = arrange(3, index)
        if fitting.garment.fabric.pattern == "plain":
            continue
        worn, product = fitting.wear().drawing, draw_product(fitting.garment, (256, 192))
        points = worn.correspondence(1)
        y, x = np.nonzero(~np.isnan(points[:, :, 0]))
        places = points[y, x] @ product.to_pixels[:, :2].T + product.to_pixels[:, 2]
        column, row = np.clip(places.astype(int), 0, (191, 255)).T
        # pieces that lie over each other differently when worn, such as collars, are not compared
        same = np.array([p.tone for p in worn.paints])[worn.middle()[y, x]]
        same = same == np.array([p.tone for p in product.paints])[product.middle()[row, column]]
        near = np.abs(worn.photo[y, x].astype(int) - product.photo[row, column]).max(axis=1) < 40
        seen.append(near[same].mean())
    assert len(seen) > 20 and np.mean(seen) > 0.9 and min(seen) > 0.75


def test_the_same_person_in_another_garment_differs_inside_the_mask_alone():
    for index, fitting in enumerate(FITTINGS):
        category = list(CATEGORIES)[index // 8]
        other = choose_other_garment(0, index, category)
        own, swapped = fitting.wear().drawing, fitting.wear(other).drawing
        assert (own.photo == fitting.wear(fitting.garment).drawing.photo).all()
        changed = (own.photo != swapped.photo).any(axis=2)
        assert changed.any()
        # the paper shadow falls up to six pixels beside a garment
        near = np.asarray(Image.fromarray(fitting.agnostic_mask()).resize(SIZE[::-1]))
        near = np.any(
            [np.roll(near, (a, b), (0, 1)) for a in range(-6, 7, 3) for b in range(-6, 7, 3)], axis=0
        )
        assert (changed & ~near).mean() < 0.01


def test_the_agnostic_mask_hides_the_garment_and_tells_nothing_of_it():
    for index, fitting in enumerate(FITTINGS):
        mask, garment = fitting.agnostic_mask(), fitting.wear().drawing.mask(garment=1)
        assert (garment & ~mask).sum() <= 0.02 * garment.sum()
        other = choose_other_garment(0, index, list(CATEGORIES)[index // 8])
        assert (replace(fitting, garment=other).agnostic_mask() == mask).all()


def test_label_maps_say_what_the_masks_say():
    for fitting in FITTINGS:
        drawing = fitting.wear().drawing
        mask, labels = drawing.mask(garment=1), drawing.labels(LIP)
        found = np.bincount(labels[mask], minlength=20)
        assert found.max() > 0.85 * mask.sum()
        assert ((labels == 0) == (drawing.labels(ATR) == 0))[drawing.covered == 0].all()
        assert (labels[drawing.covered == 0] == 0).all()


def test_keypoints_lie_on_the_body():
    for fitting in FITTINGS:
        worn = fitting.wear()
        for names, length in ((COCO_18, 18), (BODY_25, 25)):
            rows = list_keypoints(worn.keypoints, names, SIZE)
            assert len(rows) == length
            for x, y, score in rows:
                assert not score or worn.drawing.covered[int(y), int(x)] > 0
        left, right = worn.keypoints["left_shoulder"], worn.keypoints["right_shoulder"]
        assert left[0] > right[0]  # a person who faces us has the left on the picture's right


def test_viton_hds_layout_has_a_file_for_every_name_in_its_pairs(tmp_path):
    folder = make_viton_hd(tmp_path, 2, 2)
    for split in ("train", "test"):
        people, garments = zip(
            *(line.split() for line in (folder / f"{split}_pairs.txt").open()), strict=True
        )
        assert sorted(people) == sorted(garments) and all(
            a != b for a, b in zip(people, garments, strict=True)
        )
        for name in people:
            stem = name.removesuffix(".jpg")
            for path in (
                f"image/{name}", f"cloth/{name}", f"cloth-mask/{name}", f"image-parse-v3/{stem}.png",
                f"image-parse-agnostic-v3.2/{stem}.png", f"agnostic-v3.2/{name}",
                f"agnostic-mask/{stem}_mask.png", f"openpose_img/{stem}_rendered.png",
            ):  # fmt: skip
                assert Image.open(folder / split / path).size == SIZE[::-1]
            pose = json.loads((folder / split / "openpose_json" / f"{stem}_keypoints.json").read_text())
            assert len(pose["people"][0]["pose_keypoints_2d"]) == 75
            parse = np.asarray(Image.open(folder / split / f"image-parse-v3/{stem}.png"))
            assert parse.max() < 20 and {0, 13} <= set(np.unique(parse))


@pytest.mark.parametrize("make", [make_viton_hd, make_dress_code])
def test_a_folder_says_what_each_of_its_people_can_be_redrawn_by(tmp_path, make):
    folder = make(tmp_path, 1, 1, seed=7, size=(64, 48))
    drawn = json.loads((folder / DRAWN).read_text())
    categories = dict(upper_body="upper", lower_body="lower", dresses="dress")
    assert len(drawn) == (2 if make is make_viton_hd else 6)
    for path, facts in drawn.items():
        category = categories.get(path.split("/")[0], "upper")
        photo = arrange(facts["seed"], facts["index"], facts["size"], category).wear().drawing.photo
        written = np.asarray(Image.open(folder / path).convert("RGB"))
        assert np.abs(written.astype(int) - photo).mean() < 4


@pytest.mark.parametrize("category", ["upper_body", "lower_body", "dresses"])
def test_dress_codes_layout_has_a_file_for_every_name_in_its_pairs(tmp_path, category):
    folder = make_dress_code(tmp_path, 2, 2) / category
    for table in ("train_pairs", "test_pairs_paired", "test_pairs_unpaired"):
        lines = [line.split() for line in (folder / f"{table}.txt").open()]
        assert len(lines) == 2
        for person, garment in lines:
            stem = person.removesuffix("_0.jpg")
            assert (garment == f"{stem}_1.jpg") == (table != "test_pairs_unpaired")
            assert (folder / "images" / person).exists() and (folder / "images" / garment).exists()
            keypoints = json.loads((folder / "keypoints" / f"{stem}_2.json").read_text())["keypoints"]
            assert len(keypoints) == 18 and max(x for x, *_ in keypoints) < 384
            assert Image.open(folder / "label_maps" / f"{stem}_4.png").mode == "P"
