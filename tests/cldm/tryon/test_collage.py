"""AnyDoor's hint: the garment's edges in the box of what is repainted, the agnostic person around it."""

import numpy as np
import pytest
import torch

from cldm.tryon.collage import cut_garment, find_box, find_edges, grow_box, make_hint
from small_tryon import COLLAGE_NET, STACK, TOKENS, batch, build


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def boxed(height, width, box):
    mask = np.zeros((height, width), np.float32)
    mask[box[0] : box[1], box[2] : box[3]] = 1
    return mask


def test_a_hint_is_the_scene_around_the_box_and_edges_in_it():
    scene, garment = picture(64, 48), picture(80, 60, seed=1)
    mask, worn = boxed(64, 48, (20, 41, 10, 31)), boxed(80, 60, (10, 70, 8, 52))
    hint = make_hint(scene, mask, garment, worn)
    assert hint.shape == (64, 48, 4) and hint.dtype == np.float32
    inside = hint[..., 3] == 1
    assert set(np.unique(hint[..., 3])) == {0, 1} and inside[20:41, 10:31].all() and inside.sum() < 25 * 25
    assert np.array_equal(hint[~inside][:, :3], scene[~inside] / np.float32(127.5) - 1)
    edges = hint[inside][:, :3]
    assert (edges == -1).any() and (edges > -1).any()  # black where nothing is seen of the garment
    assert np.array_equal(hint, make_hint(scene, mask[..., None], garment, worn[..., None]))


def test_a_plain_garment_has_no_edges():
    plain = np.full((64, 48, 3), 90, np.uint8)
    assert not find_edges(*cut_garment(plain, boxed(64, 48, (10, 50, 8, 40)))).any()


def test_boxes_grow_around_their_middle_within_the_picture():
    assert grow_box((80, 199, 110, 209), (270, 360), 1.1) == (73, 205, 104, 214)
    assert grow_box((0, 100, 300, 359), (270, 360), 3.0) == (0, 201, 239, 360)


def test_masks_of_nothing_are_named():
    with pytest.raises(ValueError, match="must have two rows and two columns"):
        find_box(np.zeros((8, 8)))


def test_conditions_make_hint_and_crop_of_a_batch_without_the_photo():
    own = dict(
        garment=dict(target="cldm.tryon.anydoor.CutGarment", params=dict(TOKENS, site="replace")),
        control=dict(target="cldm.tryon.anydoor.CollageHint", params=dict(branch=COLLAGE_NET)),
    )
    model, given = build(STACK | own), batch()
    del given["jpg"]
    assert all(set(condition.keys) <= given.keys() for condition in model.conditions.values())
    hint = model.conditions["control"].encode(model, given)["hint"]
    for row in range(2):
        scene = ((given["agnostic"][row] + 1) * 127.5).round().to(torch.uint8).numpy()
        others = (given[key][row].numpy() for key in ("mask", "garment_pixels", "garment_mask"))
        assert np.array_equal(hint[row].permute(1, 2, 0).numpy(), make_hint(scene, *others))
    cut, mask = cut_garment(given["garment_pixels"][1].numpy(), given["garment_mask"][1].numpy())
    assert torch.equal(model.conditions["garment"].pixels(given)[1], torch.from_numpy(cut))
    assert (cut[mask == 0] == 255).all() and (cut[mask == 1] != 255).any()
