"""Segmenters of photos by local files: the public U2-Net, SegFormers with public labels, which is which."""

import numpy as np
import pytest
import torch

from annotator.segment import PixelSegmenter, load_judge, load_segmenter, u2net
from annotator.segment.segformer import map_labels
from annotator.segment.segmenters import read_painted_names
from annotator.segment.u2net import LEGACY_REGIONS, U2Net, U2NetSegmenter
from pictures.regions import REGIONS_FILE
from small_segformers import ATR, LIP, write_segformer
from sources import ROOT


@pytest.fixture(autouse=True)
def small_public_network(monkeypatch):
    """Everything but the names and the number of weights is the same in a narrow U2-Net."""
    monkeypatch.setattr(u2net, "PUBLISHED_WIDTH", 4)
    monkeypatch.setattr(u2net, "PUBLISHED_SIZE", 64)


def write_public(path, wanted_region, prefix="module."):
    state = U2Net(4, width=4).state_dict()
    state["outconv.weight"].zero_()
    state["outconv.bias"].copy_(torch.eye(4)[wanted_region])
    torch.save({prefix + name: value for name, value in state.items()}, path)
    return path


@pytest.mark.parametrize("prefix", ["module.", ""])
def test_the_public_checkpoint_is_read_and_its_legacy_regions_said(tmp_path, capsys, prefix):
    segmenter = load_segmenter(write_public(tmp_path / "cloth.pth", 3, prefix))
    assert segmenter.names == LEGACY_REGIONS == ("background", "top", "bottom", "whole")
    ids = segmenter(np.zeros((90, 50, 3), np.uint8))
    assert ids.shape == (90, 50) and ids.dtype == np.uint8 and (ids == 3).all()
    said = capsys.readouterr().out
    assert "skirts come out as whole, vests as bottom, and it knows no head" in said


def test_u2net_sees_minus_one_to_one_and_its_logits_are_resized_before_they_are_compared():
    class Halves(torch.nn.Module):
        def forward(self, x):
            self.seen = x
            logits = torch.zeros(len(x), 2, 64, 64)
            # the left half says region 1 at 3, the right one at -1: halfway between, it is still over 0
            logits[:, 1] = torch.where(torch.arange(64) < 32, 3.0, -1.0)
            return [logits]

    segmenter = U2NetSegmenter(Halves(), ("background", "cloth"), 64)
    ids = segmenter(np.full((64, 640, 3), [0, 255, 51], np.uint8))
    assert torch.allclose(segmenter.network.seen[0, :, 5, 5], torch.tensor([-1, 1, -0.6]), atol=1e-5)
    assert segmenter.network.seen.shape == (1, 3, 64, 64) and 321 <= (ids[0] == 1).sum() <= 324


def test_other_files_are_refused_in_one_line_that_says_where_to_get_the_right_one(tmp_path):
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "broken.pth").write_bytes(b"broken")
    (tmp_path / "picture.jpg").write_bytes(b"broken")
    for name in ("other.pth", "list.pth", "broken.pth", "missing.pth", "picture.jpg", "folder"):
        with pytest.raises((ValueError, FileNotFoundError)) as error:
            load_segmenter(tmp_path / name)
        assert name in str(error.value) and "\n" not in str(error.value)
        assert "SegFormer" in str(error.value) or "cloth-segmentation" in str(error.value)


def test_labels_of_public_parsers_become_regions():
    def by_region(labels):
        regions = map_labels(labels).tolist()
        return {
            i: [label for label, region in zip(labels, regions, strict=True) if region == i]
            for i in range(1, 5)
        }

    both = {2: ["Skirt", "Pants"], 4: ["Hat", "Sunglasses"]}
    assert by_region(ATR) == {1: ["Upper-clothes"], 3: ["Dress"]} | both
    both[2] = ["Pants", "Skirt"]
    assert by_region(LIP) == {1: ["Upper-clothes", "Coat"], 3: ["Dress", "Jumpsuits"]} | both
    assert map_labels(["nothing", "Bottom", "HEAD"]).tolist() == [0, 2, 4]


def test_a_segformers_folder_finds_regions_by_its_labels(tmp_path):
    segmenter = load_segmenter(write_segformer(tmp_path / "atr", ATR))
    assert segmenter.names == ("background", "top", "bottom", "whole", "head")
    picture = np.random.default_rng(0).integers(0, 256, (2, 40, 70, 3), np.uint8)
    segmenter.network.decode_head.classifier.bias.data[ATR.index("Dress")] = 100
    ids = segmenter.segment(picture)
    assert ids.shape == (2, 40, 70) and ids.dtype == np.uint8 and (ids == 3).all()


def test_a_segformer_parses_into_its_own_labels_and_regions_are_made_of_these(tmp_path):
    segmenter = load_segmenter(write_segformer(tmp_path / "atr", ATR))
    picture = np.random.default_rng(0).integers(0, 256, (40, 70, 3), np.uint8)
    ids = segmenter.parse(picture)
    assert segmenter.labels == tuple(ATR) and ids.shape == (40, 70) and ids.dtype == np.uint8
    assert len(np.unique(ids)) > 2 and (segmenter(picture) == map_labels(ATR)[ids]).all()


def test_segformers_of_other_things_are_refused(tmp_path):
    folder = write_segformer(tmp_path / "street", ["road", "tree"])
    with pytest.raises(
        ValueError, match="none of the labels road, tree is a region; add them to labels.yaml"
    ):
        load_segmenter(folder)
    folder = write_segformer(tmp_path / "damaged", ATR)
    (folder / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(ValueError, match="damaged holds no weights of its SegFormer: wanted a folder"):
        load_segmenter(folder)
    (folder / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(ValueError, match="holds the model 'vit', no SegFormer"):
        load_segmenter(folder)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(FileNotFoundError, match="has no preprocessor_config.json: wanted a folder of a SegF"):
        load_segmenter(folder)


def test_a_judge_must_find_the_regions_of_the_data(tmp_path):
    PixelSegmenter.fresh(("background", "coat", "shoe"), 32).save(tmp_path / "own.safetensors", {})
    (tmp_path / "regions.yaml").write_text("names: [background, coat]\ncolours: [[0, 0, 0], [9, 9, 9]]\n")
    with pytest.raises(ValueError, match="they differ in shoe.*train one with tutorial_train_segmenter"):
        load_judge(tmp_path / "own.safetensors", tmp_path / "regions.yaml")
    text = "names: [background, coat, shoe]\ncolours: [[0, 0, 0], [9, 9, 9], [8, 8, 8]]\n"
    (tmp_path / "regions.yaml").write_text(text)
    assert load_judge(tmp_path / "own.safetensors", tmp_path / "regions.yaml").names[1] == "coat"


def test_the_public_network_judges_folders_of_the_legacy_table_alone(tmp_path):
    from pictures.regions import Regions

    for table, works in (("legacy", True), ("official", False)):
        regions = tmp_path / f"{table}.yaml"
        regions.write_bytes(Regions.read(REGIONS_FILE, table).to_yaml())
        assert (read_painted_names(regions) == LEGACY_REGIONS) == works
    with pytest.raises(ValueError, match="they differ in head"):
        load_judge(write_public(tmp_path / "cloth.pth", 1), tmp_path / "official.yaml")


def test_the_small_segmenter_keeps_its_width(tmp_path):
    wide = PixelSegmenter.fresh(size=32, width=24)
    wide.save(tmp_path / "wide.safetensors", {})
    again = PixelSegmenter.load(tmp_path / "wide.safetensors")
    assert again.network.width == 24 and again.network.down1[0][0].out_channels == 48
    plain = PixelSegmenter.load(ROOT / "models" / "tiny" / "segmenter.safetensors")
    assert plain.network.width == 16
