"""Poses: people read off heatmaps and fields, their hands, and how they are drawn."""

import cv2
import numpy as np
import pytest
import torch

from annotator.openpose import draw_poses
from annotator.openpose.decode import FIELDS, find_people, hand_boxes, hand_keypoints
from annotator.openpose.detector import OpenposeDetector
from annotator.openpose.pose import BODY, COLOURS, LIMBS, Pose

# a standing person, in shares of its height, with the middle of its shoulders at 0, 0
STANDING = np.float32(
    [
        (0, -0.15),
        (0, 0),
        (-0.1, 0),
        (-0.14, 0.17),
        (-0.13, 0.32),
        (0.1, 0),
        (0.14, 0.17),
        (0.13, 0.32),
        (-0.06, 0.3),
    ]
    + [(-0.07, 0.5), (-0.07, 0.7), (0.06, 0.3), (0.07, 0.5), (0.07, 0.7), (-0.03, -0.18), (0.03, -0.18)]
    + [(-0.06, -0.16), (0.06, -0.16)]
)
HEIGHT, WIDTH = 240, 320


def people_at(*places, size=200):
    """Bodies (n, 18, 2) whose shoulders are at the places."""
    return np.stack([(STANDING * size + place).round() for place in places])


def painted(bodies, hidden=()):
    """Heatmaps (h, w, 19) and fields (h, w, 38) as networks learn them; `hidden` (person, joint)."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    heat, fields = np.zeros((HEIGHT, WIDTH, 19), np.float32), np.zeros((HEIGHT, WIDTH, 38), np.float32)
    for person, body in enumerate(bodies):
        seen = [(person, joint) not in hidden for joint in range(18)]
        for joint in np.flatnonzero(seen):
            spot = np.exp(-((x - body[joint, 0]) ** 2 + (y - body[joint, 1]) ** 2) / (2 * 5.0**2))
            heat[..., joint] = np.maximum(heat[..., joint], spot)
        for (a, b), field in zip(LIMBS, FIELDS, strict=True):
            way = body[b] - body[a]
            length = np.hypot(*way)
            along = ((x - body[a, 0]) * way[0] + (y - body[a, 1]) * way[1]) / length
            aside = np.abs((x - body[a, 0]) * way[1] - (y - body[a, 1]) * way[0]) / length
            on = (along >= -3) & (along <= length + 3) & (aside <= 4) & seen[a] & seen[b]
            fields[on, field : field + 2] = way / length
    return heat, fields


def test_one_person_is_found_to_the_pixel():
    bodies = people_at((160, 60))
    found = find_people(*painted(bodies))
    assert (
        found.shape == (1, 18, 3)
        and np.abs(found[..., :2] - bodies).max() <= 1
        and (found[..., 2] > 0.9).all()
    )


def test_people_side_by_side_keep_their_own_limbs():
    bodies = people_at((60, 60), (130, 70), (240, 55))
    found = find_people(*painted(bodies))
    order = found[:, 1, 0].argsort()
    assert len(found) == 3 and np.abs(found[order][..., :2] - bodies).max() <= 1


def test_hidden_joints_are_missing_and_nothing_else_is():
    bodies, hidden = people_at((80, 60), (220, 60)), {(0, 4), (0, 10), (1, 0), (1, 14)}
    found = find_people(*painted(bodies, hidden))
    found = found[found[:, 1, 0].argsort()]
    for person in range(2):
        for joint in range(18):
            assert (found[person, joint, 2] == 0) == ((person, joint) in hidden), (person, BODY[joint])
    assert not found[0, 4].any()


def test_an_empty_picture_and_a_few_loose_joints_are_nobody():
    assert find_people(*painted([])).shape == (0, 18, 3)
    loose = {(0, joint) for joint in range(3, 18)}
    assert len(find_people(*painted(people_at((160, 60)), loose))) == 0


class Known(torch.nn.Module):
    """Gives known heatmaps and fields at an eighth of the picture's size."""

    def __init__(self, heat, fields):
        super().__init__()
        self.maps = heat, fields

    def forward(self, x):
        self.seen = x
        size = x.shape[3] // 8, x.shape[2] // 8
        heat, fields = (cv2.resize(maps, size) for maps in self.maps)
        return tuple(torch.tensor(maps).movedim(-1, 0)[None] for maps in (fields, heat))


def test_the_detector_brings_joints_back_into_the_pictures_pixels():
    bodies = people_at((160, 60))
    network = Known(*painted(bodies))
    picture = np.zeros((4 * HEIGHT, 4 * WIDTH, 3), np.uint8)
    picture[..., 0] = 255
    (pose,) = OpenposeDetector(network).poses(picture)
    # the network sees 184 rows: a cell of its maps is 42 pixels of this picture, and thin limbs are lost
    found = pose.body[:, 2] > 0
    assert found.sum() >= 12 and np.abs(pose.body[found, :2] - 4 * bodies[0, found]).max() < 21
    assert pose.hands.shape == (0, 21, 3)
    assert network.seen.shape[2] == 184 and network.seen.shape[3] % 8 == 0
    # blue comes first
    assert torch.allclose(network.seen[0, :, 9, 9], torch.tensor([-0.5, -0.5, 255 / 256 - 0.5]))


def test_a_hand_lies_beyond_the_wrist_and_inside_the_picture():
    body = np.concatenate([people_at((160, 60))[0], np.ones((18, 1), np.float32)], axis=1)
    left, right = hand_boxes(body, HEIGHT, WIDTH)
    for (x, y, side), wrist in ((left, 7), (right, 4)):
        assert x < body[wrist, 0] < x + side and y + side <= HEIGHT and side >= 20
        assert y + side / 2 > body[wrist, 1]
    body[[3, 7], 2] = 0
    assert hand_boxes(body, HEIGHT, WIDTH) == []


def test_a_hands_keypoints_are_the_hottest_points_of_the_hottest_spots():
    heat = np.zeros((60, 80, 22), np.float32)
    heat[20:26, 30:36, 0], heat[22, 33, 0] = 0.5, 0.9
    heat[50, 70, 0] = 1.0
    found = hand_keypoints(heat)
    assert (
        found.shape == (21, 3) and found[0].tolist() == pytest.approx([33, 22, 0.9]) and not found[1:].any()
    )


def test_poses_are_drawn_in_the_published_colours():
    body = np.zeros((18, 3), np.float32)
    body[[2, 3, 4]] = (100, 100, 1), (100, 300, 1), (300, 300, 1)
    hand = np.zeros((1, 21, 3), np.float32)
    hand[0, :2] = (400, 400, 1), (450, 400, 1)
    picture = draw_poses([Pose(body, hand)], 512, 512)
    assert picture.shape == (512, 512, 3) and picture[10, 10].tolist() == [0, 0, 0]
    assert picture[100, 100].tolist() == list(COLOURS[2]) == [255, 170, 0]
    assert picture[200, 100].tolist() == [int(0.6 * value) for value in COLOURS[2]]
    assert picture[300, 200].tolist() == [int(0.6 * value) for value in COLOURS[3]]
    assert picture[400, 400].tolist() == [0, 0, 255] and picture[400, 425].tolist() == [255, 0, 0]
    small = draw_poses([Pose(body / 4, hand / 4)], 128, 128)
    assert small[50, 25].tolist() == picture[200, 100].tolist()
