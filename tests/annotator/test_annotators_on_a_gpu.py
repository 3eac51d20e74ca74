"""Annotators on a GPU mix no devices, and say what they say on the CPU: on the one of pretended_gpu."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from annotator.caption.captioners import CAPTIONERS, InterrogatorOptions, load_captioner
from annotator.openpose import detector
from annotator.openpose.network import BodyNetwork, HandNetwork
from annotator.segment import load_segmenter
from annotator.segment.segformer import SegFormerSegmenter
from annotator.segment.u2net import U2NetSegmenter
from preparation.people import load_detector
from small_captioners import KINDS, captioner_folder, some_pictures
from small_clip import save_small_clip
from small_evaluation import JUDGE

PICTURE = np.random.default_rng(0).integers(0, 256, (64, 48, 3), np.uint8)
NAMES = ("background", "top", "bottom")
WORDS = """
lists:
  tops: {labels: [a shirt, a coat, a vest, a top]}
  kinds: {labels: [red, blue, green]}
classic: [{tops: 2}, {kinds: 1}]
negative: [blurry]
"""


@pytest.mark.parametrize("kind", ["dolls", "u2net", "segformer"])
def test_segmenters_find_the_same_regions(gpu, tmp_path, kind):
    path = dict(dolls=JUDGE, u2net=tmp_path / "u2net.safetensors", segformer=tmp_path / "segformer")[kind]
    if kind == "u2net":
        U2NetSegmenter.fresh(NAMES, 32, width=4).save(path, {})
    elif kind == "segformer":
        SegFormerSegmenter.fresh(NAMES, 32).save(path, {})
    cpu, found = (load_segmenter(path, device)(PICTURE) for device in ("cpu", gpu))
    assert np.array_equal(cpu, found)


@pytest.mark.parametrize(("network", "height"), [(BodyNetwork, 16), (HandNetwork, 16)])
def test_pose_networks_give_the_same_maps(gpu, monkeypatch, network, height):
    monkeypatch.setattr(detector, "NETWORK_HEIGHT", height)
    torch.manual_seed(0)
    network = network()
    cpu, found = (
        detector.OpenposeDetector(network, device=device)._maps(network, PICTURE, (1.0,))
        for device in ("cpu", gpu)
    )
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(cpu, found, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_captioners_say_the_same(gpu, kind):
    name = KINDS[kind]
    changes = dict(max_new_tokens=6) if kind != "grounding_dino" else dict(phrases="hat;a red dress")
    changes |= dict(box_threshold=0.5) if kind == "grounding_dino" else {}
    changes |= dict(prompt="<CAPTION>") if kind == "florence" else {}
    options = replace(CAPTIONERS[name].options(), **changes)
    cpu, found = (
        load_captioner(name, captioner_folder(kind), options, device).caption(some_pictures()[:2])
        for device in ("cpu", gpu)
    )
    assert [caption.text for caption in cpu] == [caption.text for caption in found]


@pytest.mark.parametrize("mode", ["fast", "classic", "best", "negative"])
def test_clip_interrogator_says_the_same(gpu, tmp_path, mode):
    (tmp_path / "words.yaml").write_text(WORDS)
    options = InterrogatorOptions(mode=mode, words=str(tmp_path / "words.yaml"), candidates=5, max_flavors=3)
    said = []
    for device in ("cpu", gpu):
        folder = save_small_clip(tmp_path / str(device))
        captioner = load_captioner("clip_interrogator", folder, options, device)
        said.append([caption.text for caption in captioner.caption(some_pictures()[:2], "a woman")])
    assert said[0] == said[1]


def test_a_detector_of_people_finds_the_same(gpu):
    cpu, found = (
        load_detector(captioner_folder("grounding_dino"), device).detect(some_pictures()[:2])
        for device in ("cpu", "auto")
    )
    assert all(np.allclose(a, b, atol=1e-4) for a, b in zip(cpu, found, strict=True))
