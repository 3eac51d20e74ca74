"""A CLIP and its labels in a folder: what is kept there, and what is said of one that lacks something."""

import dataclasses

import numpy as np
import pytest

from annotator.caption import load_captioner
from annotator.caption.captioners import InterrogatorOptions
from small_clip import save_small_clip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_small_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def pictures():
    return list(np.random.default_rng(0).integers(0, 256, (3, 64, 48, 3), dtype=np.uint8))


def test_it_loads_from_a_folder_and_keeps_its_labels_there(folder, pictures, capsys):
    options = InterrogatorOptions(mode="classic")
    first = load_captioner("clip_interrogator", folder, options).caption(pictures)
    assert "labels" in capsys.readouterr().out
    again = load_captioner("clip_interrogator", folder, options).caption(pictures)
    assert "labels" not in capsys.readouterr().out
    assert again == first and len(list(folder.glob(".labels/*.safetensors"))) == 1


def test_folders_that_cannot_be_written_are_no_hindrance(folder, pictures, monkeypatch, capsys):
    def refuse(path, data):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("annotator.caption.clip_labels.write_atomically", refuse)
    options = InterrogatorOptions(words="garments", max_flavors=2)
    other = dataclasses.replace(options, mode="negative")
    monkeypatch.setattr("annotator.caption.clip_labels.load_file", lambda path: {})
    assert load_captioner("clip_interrogator", folder, other).caption(pictures[:1])[0].text
    assert "cannot be written" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["open_clip_config.json", "open_clip_model.safetensors"])
def test_a_missing_file_is_named_with_where_to_take_it(name, tmp_path):
    folder = save_small_clip(tmp_path / "clip")
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"clip has no {name}.*ViT-H-14-laion2B"):
        load_captioner("clip_interrogator", folder)


def test_damaged_weights_are_told_from_missing_ones(tmp_path):
    folder = save_small_clip(tmp_path / "clip")
    (folder / "open_clip_model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ValueError, match="holds no CLIP that open_clip loads"):
        load_captioner("clip_interrogator", folder)


@pytest.mark.parametrize(
    "wrong, message",
    [
        (dict(mode="quick"), "mode must be one of fast"),
        (dict(max_flavors=0), "max_flavors must be at least 1"),
        (dict(resize="stretch"), "resize must be one of longest"),
        (dict(words="missing.yaml"), "there is no missing.yaml"),
    ],
)
def test_wrong_options_are_named(wrong, message, folder):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_captioner("clip_interrogator", folder, InterrogatorOptions(**wrong))
