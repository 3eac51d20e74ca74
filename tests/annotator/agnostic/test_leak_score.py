"""The leak score: a silhouette tells the garment, a box around the body does not."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from annotator.agnostic import Person, Pose, agnostic_mask
from annotator.agnostic.person import JOINTS
from annotator.agnostic.shapes import Canvas
from pictures.region_maps import save_map
from sources import ROOT

sys.path.append(str(ROOT / "benchmarks"))

from leak_score import (  # noqa: E402
    SEEN,
    as_classes,
    draw_masks,
    find_chance,
    print_table,
    read_masks,
    score_leak,
    shrink,
)

NUM, NUM_TRAIN, STEPS = 400, 300, 60
SLEEVES = "none", "short", "long"


def stand(rng):
    """Joints of a person at a random place, whose arms hang at random angles, in 256 rows."""
    neck, half = rng.normal((96, 60), 6), 28
    points = dict.fromkeys(JOINTS["coco18"], (0.0, 0.0)) | dict(neck=tuple(neck))
    for side, sign in (("right", -1), ("left", 1)):
        angle = rng.uniform(0.1, 0.9)
        step = 45 * np.array([sign * np.sin(angle), np.cos(angle)])
        for number, joint in enumerate(("shoulder", "elbow", "wrist")):
            points[f"{side}_{joint}"] = tuple(neck + (sign * half, 4) + number * step)
        points[f"{side}_hip"] = tuple(neck + (sign * 0.7 * half, 90))
    return Pose(points, 256)


def dress(pose, sleeve):
    """The silhouette bool (256, 192) of a top with these sleeves."""
    canvas = Canvas(256, 192)
    corners = "right_shoulder", "left_shoulder", "left_hip", "right_hip"
    canvas.draw_polygon([pose[joint] for joint in corners])
    for side in ("right", "left"):
        arm = [pose[f"{side}_{joint}"] for joint in ("shoulder", "elbow", "wrist")]
        if sleeve != "none":
            canvas.draw_line(arm[: 2 if sleeve == "short" else 3], 16)
    return canvas.mask


@pytest.fixture(scope="module")
def people():
    """Masks of people by what they show, and their classes."""
    rng, masks, labels = np.random.default_rng(0), dict(silhouette=[], box=[]), []
    for _ in range(NUM):
        pose, sleeve = stand(rng), str(rng.choice(SLEEVES))
        worn = dress(pose, sleeve)
        person = Person(dict(regions=worn.astype(np.uint8)), pose)
        masks["silhouette"].append(shrink(worn))
        masks["box"].append(shrink(agnostic_mask("box", "upper", person, (256, 192))))
        labels.append(dict(sleeve=sleeve, kind="top"))
    return {name: np.stack(pixels) for name, pixels in masks.items()}, as_classes(labels)


def test_a_silhouette_gives_the_sleeve_away_and_a_box_does_not(people):
    masks, classes = people
    chance = find_chance(classes, NUM_TRAIN)["sleeve"]
    score = {name: score_leak(pixels, classes, NUM_TRAIN, STEPS) for name, pixels in masks.items()}
    assert score["silhouette"]["sleeve"] > 0.95
    assert abs(score["box"]["sleeve"] - chance) < 0.15 and 0.25 < chance < 0.5


def test_the_seed_decides_the_score(people):
    masks, classes = people
    first, again = (score_leak(masks["box"], classes, NUM_TRAIN, 5, seed=3) for _ in range(2))
    assert first == again


def test_what_never_differs_is_not_guessed_and_chance_is_the_most_frequent_of_training(people):
    assert list(people[1]) == ["sleeve"]
    classes = as_classes([dict(kind=kind) for kind in ("b", "b", "a", "a", "a", "b")])
    assert find_chance(classes, 3) == dict(kind=pytest.approx(1 / 3))


def test_dolls_are_masked_in_every_style_between_silhouette_and_body():
    masks = draw_masks(("ladi", "hrviton", "box", "regions"), "upper", 4, 2, seed=0, workers=1)
    assert list(masks.rows) == ["silhouette", "ladi", "hrviton", "box", "regions", "drawn"]
    assert list(masks.classes) == ["sleeve", "kind"] and masks.num_train == 4
    for pixels in masks.rows.values():
        assert pixels.shape == (6, *SEEN) and pixels.dtype == np.uint8 and pixels.any()
    # they are of the same persons
    worn = masks.rows["silhouette"] == 255
    assert all((masks.rows[row][worn] > 127).mean() > 0.9 for row in masks.rows)


def test_a_prepared_folders_masks_are_read_with_a_table_of_what_is_worn(people, tmp_path, capsys):
    masks, classes = people
    lines, table = [], ["name,sleeve"]
    (tmp_path / "mask").mkdir()
    (tmp_path / "source").mkdir()
    for index in range(20):
        name = f"{index:02d}"
        # a split of the test may come first
        split = "train" if index >= 5 else "test"
        Image.fromarray(masks["box"][index]).resize((192, 256)).save(tmp_path / "mask" / f"{name}.png")
        regions = Image.fromarray(masks["silhouette"][index]).resize((192, 256))
        save_map(tmp_path / "source" / f"{name}.png", np.uint8(np.asarray(regions) > 127))
        files = dict(
            mask=f"mask/{name}.png", source=f"source/{name}.png", target=f"target/{name}.jpg", prompt=""
        )
        lines.append(files | dict(name=name, split=split, category="upper", mask_style="box"))
        table.append(f"{name},{SLEEVES[index % 3]}")
    (tmp_path / "prompt.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "worn.csv").write_text("\n".join(table[:-1]))
    read = read_masks(tmp_path, tmp_path / "worn.csv")
    assert read.num_train == 14 and {row: len(pixels) for row, pixels in read.rows.items()} == dict(
        silhouette=19, box=19
    )
    # the persons of training come first
    assert (np.abs(read.rows["box"][0].astype(int) - masks["box"][5]) > 127).mean() < 0.02
    assert read.classes["sleeve"][0] == sorted(SLEEVES).index(SLEEVES[5 % 3])
    print_table(read, steps=2, seed=0)
    assert capsys.readouterr().out.splitlines()[0] == "| mask | sleeve |"
    (tmp_path / "worn.csv").write_text("\n".join(table[:4]))
    with pytest.raises(ValueError, match="must name persons of .* split train and of another split"):
        read_masks(tmp_path, tmp_path / "worn.csv")
    (tmp_path / "worn.csv").write_text("name,sleeve\n" + "".join(f"{i:02d},long\n" for i in range(20)))
    with pytest.raises(ValueError, match="says the same of all persons"):
        read_masks(tmp_path, tmp_path / "worn.csv")
