"""Numbers of a picture: they follow the fault they are named after, and nothing else."""

import base64
import json

import cv2
import imagehash
import numpy as np
import pytest
from PIL import Image

from pictures.unusable import Box
from planted_pictures import blur, doll, grey, jpeg, mirror, numbers, sepia, texture, wreck
from preparation.measures import blockiness, colour, edge_width


def ycrcb(pixels):
    return cv2.cvtColor(cv2.resize(pixels, (128, 128), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2YCrCb)


def luma(pixels):
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)


@pytest.mark.parametrize("contrast", [10, 60, 250])
@pytest.mark.parametrize("sigma", [2, 4, 6])
def test_edge_width_is_the_blur_of_an_edge_whatever_its_contrast(contrast, sigma):
    step = np.where(np.arange(256) < 128, 0, contrast).astype(np.float32)
    soft = cv2.GaussianBlur(np.tile(step, (256, 1)), (0, 0), sigma).round().astype(np.uint8)
    assert edge_width(soft) == pytest.approx(sigma, rel=0.3)


def test_edges_are_sharp_in_flat_dolls_and_in_textures():
    dolls = [doll(0), doll(1), *(doll(index, 128) for index in range(12))]
    assert max(numbers(*one)["edge_width"] for one in dolls) < 1
    assert edge_width(luma(texture(0))) < 1


def test_noise_does_not_sharpen_a_blurred_picture():
    pixels, boxes = doll(1)
    noise = np.random.default_rng(0).normal(0, 4, pixels.shape)
    noisy = np.clip(blur(pixels) + noise, 0, 255).astype(np.uint8)
    assert numbers(noisy, boxes)["edge_width"] > 2


def test_a_blurred_background_is_no_fault():
    pixels, (box, *_) = doll(1)
    behind = blur(pixels, 8)
    inside = np.s_[int(box.top) : int(box.bottom), int(box.left) : int(box.right)]
    behind[inside] = pixels[inside]
    assert numbers(behind, [box])["edge_width"] < 1


def test_a_picture_of_nothing_has_no_sharp_edge():
    assert numbers(np.full((64, 64, 3), 90, np.uint8))["edge_width"] == 20


def test_brightness_and_darkness_are_not_fooled_by_clothes_and_walls():
    black_clothes = np.full((200, 200, 3), 12, np.uint8)
    black_clothes[:40, :80] = 150
    assert numbers(black_clothes)["brightness"] > 60
    white_wall = np.full((200, 200, 3), 255, np.uint8)
    white_wall[:40, :80] = 60
    assert numbers(white_wall)["darkness"] == 60


def test_a_black_picture_with_a_white_button_is_dark():
    pixels = np.full((200, 200, 3), 5, np.uint8)
    pixels[:20, :50] = 255
    assert numbers(pixels)["brightness"] < 60


def test_colour_is_that_of_a_face_among_black_and_white():
    pixels = np.full((256, 256, 3), 245, np.uint8)
    pixels[64:250, 80:180] = 20
    assert colour(ycrcb(pixels)) == 0
    pixels[20:50, 110:140] = (220, 168, 128)
    assert colour(ycrcb(pixels)) > 10


def test_tints_have_no_colour():
    pixels, _ = doll(0)
    assert colour(ycrcb(pixels)) > 20
    assert max(colour(ycrcb(copy)) for copy in (grey(pixels), jpeg(grey(pixels), 60), sepia(pixels))) < 2


@pytest.mark.parametrize("scale", [0.8, 1.0])
def test_blocks_show_after_a_crop_a_resize_and_a_better_jpeg(scale):
    pixels, _ = doll(1, 640)
    side = round(637 / scale)
    cut = [copy[3:, 3:] for copy in (wreck(pixels), jpeg(pixels, 90))]
    bad, good = (luma(cv2.resize(c, (side, side), interpolation=cv2.INTER_CUBIC)) for c in cut)
    assert blockiness(bad, scale) > 1.9 > 1.4 > blockiness(good, scale)


def test_stripes_of_eight_pixels_are_no_blocks():
    pixels = np.tile(np.arange(256) // 8 % 2 * 9, (256, 1)).astype(np.uint8)[:, :, None].repeat(3, axis=2)
    assert numbers(pixels)["blockiness"] < 1.1


def test_what_was_shrunk_away_is_not_told():
    pixels, boxes = doll(2, 128)
    assert numbers(pixels, boxes, scale=2.5)["jpeg_quality"] is None
    assert numbers(pixels, boxes, scale=1.1, decoded_scale=2)["blockiness"] is None
    assert numbers(pixels, boxes, quality=None)["blockiness"] is None
    assert numbers(pixels, boxes, scale=0.5)["upscale"] == 2


def test_garments_share_is_that_of_their_boxes_together():
    pixels = doll(2, 128)[0]
    boxes = [Box(-10, 0, 64, 64, 1), Box(32, 0, 64.0, 128.0, 2), Box(200, 0, 300, 50, 2)]
    assert numbers(pixels, boxes)["garment_share"] == pytest.approx((64 * 64 + 32 * 64) / 128**2, abs=1e-4)
    assert numbers(pixels)["garment_share"] == 0 and numbers(pixels)["skin_outside"] is None


def test_skin_counts_where_no_garment_is_near():
    (first, boxes), (second, _) = doll(0), doll(1)
    assert numbers(first, boxes)["skin_outside"] == 0
    assert numbers(np.concatenate([first, second], axis=1), boxes)["skin_outside"] > 0.01


def test_hashes_are_those_of_imagehash_and_of_the_mirror_image():
    for index in range(8):
        pixels, boxes = doll(index, 128)
        measures, mirrored = numbers(pixels, boxes), numbers(mirror(pixels), boxes)
        expected = imagehash.phash(Image.fromarray(luma(pixels)))
        assert imagehash.hex_to_hash(measures["phash"]) - expected <= 2
        assert (
            imagehash.hex_to_hash(measures["phash_mirrored"]) - imagehash.hex_to_hash(mirrored["phash"]) <= 2
        )


def test_thumbnails_are_the_picture_shrunk():
    pixels = np.zeros((320, 160, 3), np.uint8)
    pixels[:, 80:] = 255
    thumbnail = np.frombuffer(base64.b64decode(numbers(pixels)["thumbnail"]), np.uint8)
    assert np.array_equal(thumbnail.reshape(16, 16) > 0, np.tile(np.arange(16) >= 8, (16, 1)))
    assert len(base64.b64decode(numbers(pixels)["thumbnail_chroma"])) == 8 * 8 * 2


def test_numbers_are_json_and_the_same_in_any_number_of_threads():
    pixels, boxes = texture(1)[:448, :], [Box(100.4, 50.2, 400.9, 440, 1)]
    threads = cv2.getNumThreads()
    try:
        found = []
        for count in (1, 4):
            cv2.setNumThreads(count)
            found.append(json.dumps(numbers(pixels, boxes)))
    finally:
        cv2.setNumThreads(threads)
    assert found[0] == found[1]
