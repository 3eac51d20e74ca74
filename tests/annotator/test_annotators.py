"""A new annotator, or a new segmenter, is one module and one entry of a table."""

import sys
import types
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from annotated import table
from annotator.annotators import ANNOTATORS, AnnotatorEntry, list_options, load_annotator
from annotator.interface import Annotator, PictureMaps
from annotator.segment import Segmenter, load_segmenter
from annotator.segment.segmenters import SEGMENTERS
from jobs.options import option


@dataclass(frozen=True)
class ShadeOptions:
    shade: int = option(100, "what is darker is drawn")


@pytest.fixture
def shades(monkeypatch):
    module = types.ModuleType("shades")

    def load_as_annotator(weights, options, device):
        return Annotator(
            call=lambda photo: np.uint8(255) * (photo.mean(axis=2) < options.shade).astype(np.uint8),
            maps=PictureMaps("shades"),
            settings=dict(shade=options.shade),
        )

    module.load_as_annotator = load_as_annotator
    monkeypatch.setitem(sys.modules, "shades", module)
    monkeypatch.setitem(ANNOTATORS, "shades", AnnotatorEntry(module="shades", options=ShadeOptions))


def test_an_annotator_of_the_table_runs_over_a_folder_with_options_of_its_own(shades, annotate, tmp_path):
    (tmp_path / "photos").mkdir()
    photo = np.full((32, 32, 3), 200, np.uint8)
    photo[:8] = 30
    Image.fromarray(photo).save(tmp_path / "photos" / "a.png")
    annotate(tmp_path / "photos", tmp_path / "out", "--annotator", "shades", "--shade", 50)
    [row] = table(tmp_path / "out" / "maps.csv")
    assert row["found"] == "shades 25.0%"
    assert (np.asarray(Image.open(tmp_path / "out" / "masks" / "a.png"))[:8] == 255).all()


def test_an_option_is_refused_for_the_annotator_that_lacks_it_and_named_with_those_that_have_it(shades):
    assert list(list_options()["shade"]) == ["shades"]
    with pytest.raises(ValueError, match="--shade is an option of --annotator shades: canny has none"):
        load_annotator("canny", shade=3)
    with pytest.raises(ValueError, match="--colour is no option: canny has none"):
        load_annotator("canny", colour=3)
    assert load_annotator("shades", low_threshold=None).settings == dict(annotator="shades", shade=100)


def test_a_segmenter_of_the_table_is_taken_for_the_files_that_it_reads(tmp_path, monkeypatch):
    class Onnx(Segmenter):
        kind = "onnx"

        @classmethod
        def reads(cls, path):
            return path.suffix == ".onnx"

        @classmethod
        def load(cls, path, device="cpu"):
            return path

    (tmp_path / "a.onnx").touch()
    with pytest.raises(ValueError, match="a.onnx is no segmenter: wanted a .safetensors or .pth file"):
        load_segmenter(tmp_path / "a.onnx")
    monkeypatch.setitem(SEGMENTERS, "onnx", Onnx)
    assert load_segmenter(str(tmp_path / "a.onnx")) == tmp_path / "a.onnx"
