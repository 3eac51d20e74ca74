"""Networks of poses: the published names, missing weights, and the light detector of mediapipe's wheel."""

import sys
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from annotator.openpose import load_pose_detector, wheel
from annotator.openpose.detector import OpenposeDetector
from annotator.openpose.light import DETECTOR_SIDE, MODELS, LightPoseDetector, guess_centres
from annotator.openpose.network import BodyNetwork, HandNetwork
from annotator.openpose.pose import BODY


def body_names():
    trunk = "1_1 1_2 2_1 2_2 3_1 3_2 3_3 3_4 4_1 4_2 4_3_CPM 4_4_CPM".split()
    layers = [f"conv{name}" for name in trunk] + [f"conv5_{i}_CPM_L{b}" for b in (1, 2) for i in range(1, 6)]
    return layers + [f"Mconv{i}_stage{s}_L{b}" for s in range(2, 7) for b in (1, 2) for i in range(1, 8)]


def hand_names():
    trunk = "1_1 1_2 2_1 2_2 3_1 3_2 3_3 3_4 4_1 4_2 4_3 4_4 5_1 5_2 5_3_CPM 6_1_CPM 6_2_CPM".split()
    return [f"conv{name}" for name in trunk] + [
        f"Mconv{i}_stage{s}" for s in range(2, 7) for i in range(1, 8)
    ]


@pytest.mark.parametrize(
    "network, names, megabytes", [(BodyNetwork, body_names(), 209.3), (HandNetwork, hand_names(), 147.3)]
)
def test_networks_have_the_names_and_sizes_of_the_published_files(network, names, megabytes):
    with torch.device("meta"):
        state = network().state_dict()
    assert set(state) == {f"{name}.{kind}" for name in names for kind in ("weight", "bias")}
    assert sum(4 * value.numel() for value in state.values()) / 1e6 == pytest.approx(megabytes, abs=0.1)


def run(state, names, x, rectify_last=False):
    """Convolutions one after the other, by their names in a file."""
    for number, name in enumerate(names):
        x, weight = x.relu() if number else x, state[f"{name}.weight"]
        x = torch.nn.functional.conv2d(x, weight, state[f"{name}.bias"], padding=weight.shape[-1] // 2)
    return x.relu() if rectify_last else x


def features(state, names, x):
    for start, end in ((0, 2), (2, 4), (4, 8), (8, len(names))):
        x = torch.nn.functional.max_pool2d(x, 2, 2) if start else x
        x = run(state, names[start:end], x, rectify_last=True)
    return x


@torch.no_grad()
def test_the_hands_network_is_a_chain_of_rectified_convolutions():
    torch.manual_seed(0)
    network, image, names = HandNetwork(), torch.randn(1, 3, 16, 24), hand_names()
    state = network.state_dict()
    x = features(state, names[:15], image)
    heat = run(state, names[15:17], x)
    for start in range(17, len(names), 7):
        heat = run(state, names[start : start + 7], torch.cat([heat, x], 1))
    assert heat.shape == (1, 22, 2, 3) and torch.allclose(network(image), heat, atol=1e-6)


@torch.no_grad()
def test_the_bodys_network_refines_fields_and_heatmaps_together():
    torch.manual_seed(0)
    network, image, names = BodyNetwork(), torch.randn(1, 3, 16, 24), body_names()
    state = network.state_dict()
    x = features(state, names[:12], image)
    fields, heat = run(state, names[12:17], x), run(state, names[17:22], x)
    for start in range(22, len(names), 14):
        joint = torch.cat([fields, heat, x], 1)
        fields = run(state, names[start : start + 7], joint)
        heat = run(state, names[start + 7 : start + 14], joint)
    found = network(image)
    assert torch.allclose(found[0], fields, atol=1e-6) and torch.allclose(found[1], heat, atol=1e-6)


def test_missing_and_other_weights_are_named_in_one_line(tmp_path):
    with pytest.raises(FileNotFoundError, match="no body_pose_model.pth in .*lllyasviel.*or take the light"):
        load_pose_detector(tmp_path)
    torch.save({"weight": torch.zeros(1)}, tmp_path / "body_pose_model.pth")
    with pytest.raises(ValueError, match="holds no weights of body_pose_model.pth as published"):
        load_pose_detector(tmp_path)
    with pytest.raises(ValueError, match="no hand_pose_model.pth was found"):
        OpenposeDetector(torch.nn.Identity()).poses(np.zeros((64, 64, 3), np.uint8), hand=True)
    (tmp_path / "mediapipe-0.10.21.whl").write_bytes(b"broken")
    with pytest.raises(
        ValueError, match="holds no pose_detection.tflite, or is damaged: python -m pip download"
    ):
        load_pose_detector(tmp_path / "mediapipe-0.10.21.whl")
    with pytest.raises(ValueError, match=r"poses are looked for in RGB pictures.*\(64, 64\)"):
        OpenposeDetector(torch.nn.Identity()).poses(np.zeros((64, 64), np.uint8))


def test_the_light_detector_looks_where_its_first_network_points():
    """A person leaning to the left by a right angle, its hips at 100, 60 of a picture of 200 x 120."""
    guesses, scores = np.zeros((1, 2254, 12), np.float32), np.full((1, 2254, 1), -9.0, np.float32)
    scale = DETECTOR_SIDE / 200
    for best in (1000, 1001):
        here = DETECTOR_SIDE * guess_centres()[best]
        hips, edge = (np.array(point) * scale + [0, 40 * scale] for point in ((100, 60), (60, 60)))
        guesses[0, best, 2:8] = 50, 50, *(hips - here), *(edge - here)
        scores[0, best] = 3
    seen = []

    def locate(batch):
        seen.append(batch[0])
        rows = np.zeros((39, 5), np.float32)
        rows[:, :2], rows[:, 3] = 128, 5
        rows[0, :2], rows[15, 3] = (128, 28), -5
        mask = np.full((1, 256, 256, 1), -800, np.float32)
        mask[:, 64:128] = 800
        return [np.zeros((1, 64, 64, 39), np.float32) - 9, rows.reshape(1, -1), np.float32([[0.9]]), mask]

    picture = np.zeros((120, 200, 3), np.uint8)
    picture[50:70, 60:90] = 255
    detector = LightPoseDetector(lambda batch: [guesses, scores], locate)
    (pose,) = detector.poses(picture)
    # its head is up in the square, which is a hundred pixels wide
    assert seen[0][30:100, 128].min() > 0.9 and seen[0][130:, 128].max() == 0
    assert pose.body[1, :2].tolist() == pytest.approx([100, 60], abs=0.01)
    assert pose.body[0, :2].tolist() == pytest.approx([100 - 100 * 100 / 256, 60], abs=0.01)
    assert not pose.body[BODY.index("left_wrist")].any() and pose.body[BODY.index("right_wrist"), 2] > 0.9
    # from a quarter to half of the way down the square, which is from left to right in the picture
    silhouette = detector.person(picture).silhouette
    assert silhouette.shape == (120, 200) and silhouette.dtype == np.float32
    assert silhouette[20:100, 77:99].min() == 1 and silhouette[:, :73].max() == silhouette[:, 102:].max() == 0
    nobody = LightPoseDetector(lambda batch: [guesses, scores - 9], locate)
    assert nobody.person(picture) is None and nobody.poses(picture) == [] and not nobody(picture).any()
    with pytest.raises(ValueError, match="the light pose detector finds no hands"):
        nobody.poses(picture, hand=True)


def packed(path, content, method=zipfile.ZIP_DEFLATED):
    """A wheel of networks that are all `content`; its bytes."""
    with zipfile.ZipFile(path, "w", method) as file:
        for name in MODELS:
            file.writestr(name, content)
    return bytearray(path.read_bytes())


def of_another_method(data):
    data[8] = data[data.index(b"PK\1\2") + 10] = 99


def locked(data):
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1


def with_a_hole(data):
    start = 30 + len(MODELS[0])
    data[start : start + 12] = b"\xff" * 12


@pytest.mark.parametrize("change", [of_another_method, locked, with_a_hole])
def test_a_damaged_wheel_is_named_in_one_line(tmp_path, change):
    path = tmp_path / "mediapipe-0.10.21.whl"
    change(data := packed(path, bytes(1000)))
    path.write_bytes(data)
    with pytest.raises(ValueError, match="mediapipe-0.10.21.whl holds no pose_detection.tflite, or is dam"):
        load_pose_detector(path)


def test_networks_far_too_large_or_of_another_kind_are_refused_by_name(tmp_path, monkeypatch):
    def interpreter(model_content):
        raise ValueError("Model provided has model identifier\n")

    runtime = SimpleNamespace(Interpreter=interpreter)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", runtime)
    path = tmp_path / "mediapipe-0.10.21.whl"
    packed(path, b"other")
    with pytest.raises(ValueError, match="whl: pose_detection.tflite is no network .*: python -m pip"):
        load_pose_detector(path)
    monkeypatch.setattr(wheel, "LARGEST", 999)
    packed(path, bytes(1000))
    with pytest.raises(ValueError, match="whl holds no pose_detection.tflite, or is damaged"):
        load_pose_detector(path)


def test_without_its_package_the_light_detector_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ValueError, match="pip install ai-edge-litert"):
        wheel.load_network(b"", "a network")
