"""Maps that a branch could not learn from are named before the first step; sparse ones are welcome."""

import cv2
import numpy as np
import pytest
from PIL import Image

from annotator.canny import CannyDetector
from batches.loader import TrainingData
from batches.map_checks import check_maps, looks_like_ids
from photo_files import textured
from pictures.decoding import read_hint
from pictures.hint import HintEncoder
from pictures.region_maps import save_map
from pictures.regions import REGIONS_FILE

ENCODER = HintEncoder.from_file(REGIONS_FILE)


def some_ids(most=4):
    """A map uint8 (64, 384) of up to 12 regions side by side, their ids up to `most`."""
    ids = np.zeros((64, 384), np.uint8)
    for place, region in enumerate(np.unique(np.linspace(1, most, 12).astype(int)), 1):
        ids[4:60, 29 * place : 29 * (place + 1)] = region
    return ids


def items(folder, images, name="map.png"):
    """A dataset whose maps are these pictures' files, read as training reads them."""
    hints = []
    for number, image in enumerate(images):
        image.save(folder / f"{number}_{name}")
        hints.append(dict(hint=read_hint(folder / f"{number}_{name}").astype(np.float32) / 255))
    return hints


def palette_of_greys(ids):
    image = Image.fromarray(ids).convert("P")
    image.putpalette([value for grey in range(256) for value in [grey] * 3])
    return image


ID_MAPS = {
    "grey": Image.fromarray,
    "palette of greys": palette_of_greys,
    "three channels": lambda ids: Image.fromarray(np.repeat(ids[..., None], 3, axis=2)),
    "one of three channels": lambda ids: Image.fromarray(np.dstack([ids, 0 * ids, 0 * ids])),
    "unknown is 255": lambda ids: Image.fromarray(np.where(ids == ids.max(), 255, ids).astype(np.uint8)),
    "a mask of ones": lambda ids: Image.fromarray((ids > 2).astype(np.uint8)),
}


@pytest.mark.parametrize("kind", ID_MAPS)
@pytest.mark.parametrize("most", [4, 19, 45])
def test_maps_of_ids_are_refused_before_they_train_as_black(tmp_path, kind, most):
    dataset = items(tmp_path, [ID_MAPS[kind](some_ids(most))] * 3)
    with pytest.raises(ValueError, match="3 of the 3 maps .* nearly black, as maps of ids are: of item 0"):
        check_maps(dataset)
    with pytest.raises(ValueError, match="regions.yaml says: .* off the palette"):
        check_maps(dataset, ENCODER)


@pytest.mark.parametrize("kind", ["16 bits", "wholly transparent", "empty"])
def test_maps_with_nothing_in_them_are_refused(tmp_path, kind):
    clear = Image.fromarray(np.dstack([ENCODER.to_rgb(some_ids()), 0 * some_ids()]))
    cv2.imwrite(str(tmp_path / "deep.png"), cv2.merge([some_ids().astype(np.uint16)] * 3))
    image = {"16 bits": Image.open(tmp_path / "deep.png"), "wholly transparent": clear}.get(kind)
    image = image or Image.new("L", (64, 64))
    for encoder in (None, ENCODER):
        with pytest.raises(ValueError, match="nothing is in the maps: all 2 .* one shade throughout"):
            check_maps(items(tmp_path, [image] * 2), encoder)


def test_one_map_off_the_regions_colours_is_named(tmp_path):
    good = ENCODER.to_rgb(some_ids())
    off = good.copy()
    off[8:12, 8:12] = 250, 3, 3
    dataset = items(tmp_path, map(Image.fromarray, [good, off, good]))
    check_maps([dataset[0], dataset[2]], ENCODER)
    with pytest.raises(
        ValueError, match=r"of item 1 .* 16 of 24576 pixels are off the palette.*\(250, 3, 3\)"
    ):
        check_maps(dataset, ENCODER)
    check_maps(dataset)
    save_map(tmp_path / "a.png", some_ids())
    Image.open(tmp_path / "a.png").convert("RGB").save(tmp_path / "a.jpg", quality=90)
    with pytest.raises(ValueError, match="off the palette"):
        check_maps([dict(hint=read_hint(tmp_path / "a.jpg") / np.float32(255))], ENCODER)


def test_a_transparent_background_is_the_regions_own(tmp_path):
    ids = some_ids()
    rgba = np.dstack([ENCODER.to_rgb(ids), np.where(ids, 255, 0).astype(np.uint8)])
    rgba[ids == 0, :3] = 77, 88, 99
    check_maps(items(tmp_path, [Image.fromarray(rgba)]), ENCODER)


def thin_lines(brightest, smooth):
    canvas = np.zeros((256, 256), np.uint8)
    kind = cv2.LINE_AA if smooth else cv2.LINE_8
    for start in range(20, 200, 60):
        cv2.line(canvas, (start, 30), (start + 30, 220), brightest, 1, kind)
    return Image.fromarray(canvas)


def depth(nearest):
    ramp = np.linspace(0, nearest, 256) * np.linspace(0.2, 1, 256)[:, None]
    return Image.fromarray(ramp.astype(np.uint8))


def pose():
    canvas = np.zeros((256, 256, 3), np.uint8)
    cv2.line(canvas, (100, 40), (110, 120), (0, 0, 153), 4)
    cv2.circle(canvas, (100, 40), 4, (85, 0, 255), -1)
    return Image.fromarray(canvas)


PICTURES = {
    "canny": lambda: Image.fromarray(CannyDetector()(np.asarray(textured(256, 256)), 40, 90)),
    "one line": lambda: thin_lines(255, False),
    "smooth lines": lambda: thin_lines(255, True),
    "faint lines": lambda: thin_lines(40, True),
    "a dot": lambda: Image.fromarray(np.pad(np.full((1, 1), 255, np.uint8), 128)),
    "depth": lambda: depth(255),
    "dark depth": lambda: depth(60),
    "pose": pose,
    "a photo": lambda: textured(256, 256),
    "black on white": lambda: Image.fromarray(255 - np.asarray(thin_lines(255, True))),
    "regions in other colours": lambda: Image.fromarray(some_ids() * 60),
    "a mask": lambda: Image.fromarray((some_ids() > 2).astype(np.uint8) * 255),
    "a jpeg of edges": lambda: thin_lines(255, False),
}


@pytest.mark.parametrize("name", PICTURES)
def test_sparse_and_dark_pictures_are_welcome(tmp_path, name):
    image = PICTURES[name]()
    ending = "map.jpg" if "jpeg" in name else "map.png"
    dataset = items(tmp_path, [image, image, Image.new("L", image.size)], ending)
    check_maps(dataset)
    assert not looks_like_ids((dataset[0]["hint"] * 255).round().astype(np.uint8))


def test_a_large_folder_is_looked_at_in_a_sample(tmp_path):
    class Counting(list):
        read = 0

        def __getitem__(self, index):
            Counting.read += 1
            return super().__getitem__(index)

    check_maps(Counting(items(tmp_path, [thin_lines(255, True)]) * 45000))
    assert 16 <= Counting.read <= 64


def test_training_and_its_dry_run_get_no_batch_of_such_maps(tmp_path):
    dataset = items(tmp_path, [Image.fromarray(some_ids())] * 4)
    with pytest.raises(ValueError, match="nearly black, as maps of ids are"):
        TrainingData(dataset, batch_size=2).loader()
    with pytest.raises(ValueError, match="regions.yaml says"):
        TrainingData(dataset, batch_size=2, encoder=ENCODER).loader()
