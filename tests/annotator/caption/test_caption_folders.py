"""Captioners from folders as published: what they need, how they refuse, and what batches leave unchanged."""

import json
import shutil

import numpy as np
import pytest
import torch

from annotator.caption.captioners import CAPTIONERS
from annotator.caption.pretrained import FILES
from small_captioners import KINDS, as_published, captioner_folder, load_small, some_pictures

# what each kind is asked in these tests
PROMPTS = dict(
    kosmos2=None, grounding_dino="a red dress;blue jeans;hat", blip="a woman in", qwen="what is it?"
)
PROMPTS |= dict(florence="<CAPTION>")
GENERATING = sorted(set(KINDS) - {"grounding_dino"})
all_kinds = pytest.mark.parametrize("kind", KINDS)


def options_of(kind):
    return dict(box_threshold=0.5) if kind == "grounding_dino" else dict(max_new_tokens=8)


def captions_of(kind, pictures, folder=None, **options):
    captioner = load_small(kind, folder, **options_of(kind) | options)
    return captioner, captioner.caption(pictures, PROMPTS[kind])


def same(some, others):
    """Equal texts and phrases, scores up to rounding."""
    return all(
        a.text == b.text
        and [p for p, _ in a.phrases] == [p for p, _ in b.phrases]
        and a.scores.keys() == b.scores.keys()
        and np.allclose(list(a.scores.values()), list(b.scores.values()), atol=1e-4)
        for a, b in zip(some, others, strict=True)
    )


@all_kinds
def test_a_picture_s_caption_does_not_depend_on_its_batch(kind):
    pictures = some_pictures()
    captioner, together = captions_of(kind, pictures)
    alone = [captioner.caption([picture], PROMPTS[kind])[0] for picture in pictures]
    assert same(together, alone) and len({str(caption) for caption in together}) == len(pictures)


@pytest.mark.parametrize("kind", GENERATING)
def test_beams_find_the_same_caption_alone_and_in_a_batch(kind):
    pictures = some_pictures()[:3]
    captioner, together = captions_of(kind, pictures, num_beams=3)
    assert same(together, [captioner.caption([picture], PROMPTS[kind])[0] for picture in pictures])


@all_kinds
def test_folders_in_either_layout_hold_the_same_captioner(kind, tmp_path):
    pictures = some_pictures()[:2]
    older = as_published(captioner_folder(kind), tmp_path / "older")
    assert same(captions_of(kind, pictures)[1], captions_of(kind, pictures, older)[1])


@all_kinds
def test_bfloat16_captions_too(kind):
    captioner = load_small(kind, dtype=torch.bfloat16, **options_of(kind))
    assert {p.dtype for p in captioner.model.parameters()} == {torch.bfloat16}
    captions = captioner.caption(some_pictures(), PROMPTS[kind])
    assert all(np.isfinite(list(caption.scores.values())).all() for caption in captions)


@all_kinds
def test_what_a_folder_lacks_is_named_with_what_to_take(kind, tmp_path):
    folder = shutil.copytree(captioner_folder(kind), tmp_path / "copy")
    for names in FILES.values():
        lost = {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}
        for name in lost:
            (folder / name).unlink()
        with pytest.raises(
            FileNotFoundError, match=rf"copy has no {names[0]}.*folder.*/.*downloaded elsewhere"
        ):
            load_small(kind, folder)
        for name, content in lost.items():
            (folder / name).write_bytes(content)
    load_small(kind, folder)


@all_kinds
def test_a_folder_that_is_not_there_is_named(kind, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is no folder: "):
        load_small(kind, tmp_path / "nowhere")


@pytest.mark.parametrize("kind", ["kosmos2", "grounding_dino", "blip", "qwen"])
def test_the_folder_of_another_model_is_refused(kind):
    other = "grounding_dino" if kind == "qwen" else "florence"
    with pytest.raises(ValueError, match=f"{other} holds the model '.*', which {KINDS[kind]} cannot use"):
        load_small(kind, captioner_folder(other))


def test_weights_that_lack_numbers_are_refused_not_filled_at_random(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(captioner_folder("blip"), tmp_path / "blip")
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if "self.query.weight" in name)
    save_file({key: value for key, value in weights.items() if key != name}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=f"weights in .*blip lack {name}: BLIP is a folder"):
        load_small("blip", folder)


def test_a_missing_part_of_the_weights_is_named(tmp_path):
    folder = shutil.copytree(captioner_folder("qwen"), tmp_path / "qwen")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    with pytest.raises(FileNotFoundError, match="no model-00002-of-00002.safetensors .*index.json lists it"):
        load_small("qwen", folder)


@pytest.mark.parametrize("content", ["{}", "[]", '{"weight_map": {"a": 5}}', "["])
def test_a_damaged_list_of_the_weights_parts_is_named(tmp_path, content):
    folder = shutil.copytree(captioner_folder("qwen"), tmp_path / "qwen")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(content)
    with pytest.raises(ValueError, match="qwen/model.safetensors.index.json"):
        load_small("qwen", folder)


@pytest.mark.parametrize("kind", GENERATING)
@pytest.mark.parametrize("option", ["max_new_tokens", "num_beams"])
def test_options_that_mean_nothing_are_refused(kind, option):
    with pytest.raises(ValueError, match=f"{option} must be at least 1, got 0"):
        load_small(kind, **{option: 0})


@all_kinds
def test_pictures_that_are_none_are_refused(kind):
    captioner = load_small(kind)
    with pytest.raises(ValueError, match="uint8.*float32"):
        captioner.caption([np.zeros((8, 8, 3), np.float32)], PROMPTS[kind])


def test_every_captioner_of_the_list_is_there():
    for name, entry in CAPTIONERS.items():
        assert entry.needs_weights == (name != "attributes") and entry.options()
