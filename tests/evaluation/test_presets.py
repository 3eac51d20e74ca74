"""The field's two protocols: what they hold fixed, what they refuse, and what stands beside each number."""

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import models
from torchvision.models import Inception3

from evaluation.backbones import Choice
from evaluation.fittings import HeldOutFittings
from evaluation.inception import CLEAN_FID
from evaluation.presets import PRESETS, find_preset
from evaluation.protocol import check_alike, flatten
from generation.fitting import blend
from small_fittings import draw_fittings
from tutorial_tryon_dataset import TryonDataset

CATVTON, VOOST = PRESETS["catvton512"], PRESETS["voost1024"]


def test_an_unknown_protocol_is_refused_with_those_that_there_are():
    assert find_preset(None) is None and find_preset("voost1024") is VOOST
    with pytest.raises(ValueError, match="must be one of catvton512, voost1024, got 'catvton'"):
        find_preset("catvton")


def test_options_that_a_protocol_does_not_leave_open_are_refused():
    CATVTON.check_request(None, 1, None)
    CATVTON.check_request(None, 1, "blend")
    VOOST.check_request(None, 1, "paste")  # it says nothing of it
    with pytest.raises(ValueError, match="takes the whole test set"):
        CATVTON.check_request(64, 1, None)
    with pytest.raises(ValueError, match="one picture a person, not --num 3"):
        VOOST.check_request(None, 3, None)
    with pytest.raises(ValueError, match="draws with --repaint blend, not none"):
        CATVTON.check_request(None, 1, "none")


def test_pictures_of_another_size_are_refused_with_the_way_to_the_right_one():
    CATVTON.check_sizes([(512, 384)] * 2, "data")
    said = "measures pictures of 1024x768, height x width, data has 512x384: prepare .* --size 1024"
    with pytest.raises(ValueError, match=said):
        VOOST.check_sizes([(1024, 768), (512, 384)], "data")


def save(network, path):
    torch.save(network.state_dict(), path)
    return path


def test_networks_other_than_the_protocols_are_refused(tmp_path):
    torch.manual_seed(0)
    alex = save(models.alexnet(weights=None), tmp_path / "alex.pth")
    squeeze = save(models.squeezenet1_1(weights=None), tmp_path / "squeeze.pth")
    with pytest.raises(ValueError, match="catvton512 takes LPIPS of SqueezeNet 1.1, --lpips is AlexNet"):
        Choice(CATVTON).likeness(alex, "cpu")
    with pytest.raises(ValueError, match="voost1024 takes LPIPS of AlexNet, --lpips is SqueezeNet 1.1"):
        Choice(VOOST).likeness(squeeze, "cpu")
    choice = Choice(CATVTON)
    choice.likeness(squeeze, "cpu", has_masks=True)
    names = [metric.name for gauge in choice.gauges for metric in gauge.metrics]
    assert names == ["SSIM", "PSNR", "LPIPS (SqueezeNet 1.1)", "LPIPS in the mask's box (SqueezeNet 1.1)"]
    other = save(Inception3(init_weights=False), tmp_path / "inception.pth")
    with pytest.raises(ValueError, match="the FID of Inception v3 of 2015, --inception is torchvision's"):
        Choice(CATVTON).features(other, "cpu")


def test_fid_and_kid_of_a_protocol_are_clean_fids(tmp_path):
    torch.manual_seed(0)
    published = Inception3(num_classes=1008, aux_logits=False, init_weights=False)
    path = save(published, tmp_path / "published.pth")
    plain, choice = Choice(), Choice(CATVTON)
    plain.features(path, "cpu")
    choice.features(path, "cpu")
    assert choice.facts["inception"]["pictures"] == CLEAN_FID != plain.facts["inception"]["pictures"]
    kid, thousand = plain.gauges[0].metrics[1], choice.gauges[0].metrics[1]
    assert thousand.name == "KID x 1000 (Inception v3 of 2015)"
    rows, photo_rows = np.random.default_rng(0).normal(size=(2, 12, 1, 8))
    values = [metric.statistic(rows, photo_rows)(np.ones(12)) for metric in (kid, thousand)]
    assert values[1] == pytest.approx(1000 * values[0])


def test_photos_are_compared_with_as_catvtons_script_saves_them(tmp_path):
    data = draw_fittings(tmp_path, 1, 1, drawn=(64, 48), size=(64, 64))
    plain, held_out = (HeldOutFittings(TryonDataset(data, "test"), preset=p) for p in (None, CATVTON))
    buffer = BytesIO()
    Image.fromarray(plain[0].photo).save(buffer, "JPEG")  # Pillow's quality, which the script doesn't change
    assert np.array_equal(held_out[0].photo, np.asarray(Image.open(buffer)))
    assert held_out.digest != plain.digest
    assert np.array_equal(VOOST.read_photo(plain[0].photo), plain[0].photo)


def test_numbers_of_two_protocols_are_not_compared():
    alike = dict(published=CATVTON.facts())
    check_alike(alike, alike)
    with pytest.raises(ValueError, match="published.name: catvton512, voost1024"):
        check_alike(alike, dict(published=VOOST.facts()))
    with pytest.raises(ValueError, match="published.name: catvton512, None"):
        check_alike(alike, {})
    assert "LPIPS's backbone" in flatten(dict(published=VOOST.facts()))["published.our_choice"]


def test_a_blended_edge_is_soft_and_the_rest_as_drawn_and_as_photographed():
    picture, photo = np.full((1, 100, 80, 3), 200, np.uint8), np.full((1, 100, 80, 3), 50, np.uint8)
    mask = np.zeros((1, 100, 80, 1), bool)
    mask[:, 20:80, 20:60] = True
    found = blend(picture, photo, mask)
    assert found.dtype == np.uint8
    assert (found[0, 45:55, 38:42] == 200).all() and (found[0, :8] == 50).all()
    edge = found[0, 50, 12:28, 0].astype(int)
    assert (np.diff(edge) >= 0).all() and len({*edge}) > 8
