"""A model card says what the checkpoint knows, with floor and ceiling, and marks what people must fill in."""

import json
import sys

import pytest
import torch
import yaml

import tool_convert
from cldm.weights.card import FILL_IN
from cldm.weights.convert import convert
from cldm.weights.graft import CONTROL
from ldm.checkpoint import read_metadata, read_state_dict, write_state_dict
from small_formats import metadata_of, same, write_whole

MIOU = dict(step="500", pictures="4000", miou="0.5670", floor="0.1200", ceiling="0.9430", top="0.6110")
FIDELITY = dict(step="9", garment_at_16="0.62", detail="0.5", delta_e="7.1")
FIDELITY |= dict(floor_garment_at_16="0.06", ceiling_garment_at_16="0.98", rolled_garment_at_16="0.06")


@pytest.fixture(scope="module")
def control(tmp_path_factory):
    """(a yaml, a control branch's file that says what was measured)."""
    folder = tmp_path_factory.mktemp("files")
    config, model, _ = write_whole(folder, "sd15")
    told = metadata_of(config, "/disk/anna/secret/base.safetensors")
    told["options"] |= dict(data="/disk/anna/training/fashion", learning_rate=1e-5)
    told |= dict(pictures="4000", measured=dict(control_miou=MIOU))
    state = {name: tensor for name, tensor in model.state_dict().items() if name.startswith(CONTROL)}
    write_state_dict(state, folder / "control.safetensors", told)
    return config, folder / "control.safetensors"


def parts(folder):
    """(what a hub reads, the text for people) of a folder's card."""
    _, head, text = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(head), text


def test_a_control_becomes_a_folder_for_a_hub(control, tmp_path, monkeypatch, capsys):
    config, file = control
    out = tmp_path / "garments"
    monkeypatch.setattr(sys, "argv", f"tool_convert.py {file} {out} --card --config {config}".split())
    tool_convert.main()
    assert {path.name for path in out.iterdir()} == {
        "README.md",
        "config.json",
        "diffusion_pytorch_model.safetensors",
    }
    head, text = parts(out)
    (model,) = head["model-index"]
    metrics = {m["name"]: m["value"] for m in model["results"][0]["metrics"]}
    assert metrics == {"control mIoU": 0.567, "control mIoU, floor": 0.12, "control mIoU, ceiling": 0.943}
    assert head["library_name"] == "diffusers" and "controlnet" in head["tags"]
    assert "| control mIoU | 0.567 | 0.120 | 0.943 |" in text and "| top | 0.611 |" in text
    assert "| top | 255, 0, 0 |" in text and "500 steps, 4,000 pictures" in text and "`fashion`" in text
    assert "anna" not in text and text.count(FILL_IN) == 5 and head["license"] == "unknown"
    assert "README.md" in capsys.readouterr().out
    convert(out, tmp_path / "back.safetensors", config=config)
    assert same(read_state_dict(tmp_path / "back.safetensors"), read_state_dict(file))


def test_a_try_on_model_goes_along_whole_with_its_fidelity(tmp_path):
    told = dict(config="models/tryon_tiny_ootd.yaml", tryon=dict(guidance=[]), step="9")
    told |= dict(measured=dict(garment_fidelity=FIDELITY), options=dict(data="training/tryon_dolls"))
    state = {"model.diffusion_model.out.2.bias": torch.ones(4)}
    write_state_dict(state, tmp_path / "tryon.safetensors", told)
    convert(tmp_path / "tryon.safetensors", tmp_path / "hub", card=True)
    written = tmp_path / "hub" / "tryon.safetensors"
    assert same(read_state_dict(written), state) and read_metadata(written)["tryon"] == told["tryon"]
    head, text = parts(tmp_path / "hub")
    assert head["pipeline_tag"] == "image-to-image" and "`tryon_tiny_ootd`" in text
    assert "| garment@16 | 0.620 | 0.060 | 0.980 |" in text and "ControlNetModel" not in text


def test_what_is_not_known_is_not_claimed(control, tmp_path):
    config, file = control
    write_state_dict(read_state_dict(file), tmp_path / "bare.safetensors")
    convert(tmp_path / "bare.safetensors", tmp_path / "bare", config=config, card=True)
    head, text = parts(tmp_path / "bare")
    assert "model-index" not in head and "not measured" in text and "0.567" not in text


def test_metadata_of_a_stranger_break_neither_page_nor_header(control, tmp_path):
    config, file = control
    told = dict(step="many", measured=dict(control_miou=dict(miou="nan", floor=[1])), hint=dict(names=[1]))
    told |= dict(options=dict(data="a: b\n---\n# x", optimizer="|\n<script>"), base="x|y")
    write_state_dict(read_state_dict(file), tmp_path / "odd.safetensors", told)
    convert(tmp_path / "odd.safetensors", tmp_path / "odd", config=config, card=True)
    head, text = parts(tmp_path / "odd")
    assert json.dumps(head) and "<script>" not in text and "\n# x" not in text and "| x y |" in text
    assert head["tags"] == ["stable-diffusion", "fashion", "controlnet"]


@pytest.mark.parametrize("name, message", [("a.safetensors", "without .safetensors"), ("a", "holds neither")])
def test_a_card_wants_a_folder_and_something_trained(name, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        convert("models/tiny/segmenter.safetensors", tmp_path / name, card=True)
    assert not list(tmp_path.iterdir())
