"""Files: what a conversion changes is what was asked for, and everything else stays to the bit."""

import json
import sys
from functools import partial

import pytest
import torch
from safetensors.torch import save_file

import tool_convert
from cldm.model import load_model
from cldm.weights.convert import convert
from cldm.weights.graft import CONTROL, UNET
from ldm.checkpoint import read_metadata, read_state_dict, write_state_dict
from small_formats import metadata_of, same, write_whole

DECODER = UNET + "out.2.bias"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """(yaml, whole model's file, its control branch's, its base's); the control names its base."""
    folder = tmp_path_factory.mktemp("files")
    yaml, model, whole = write_whole(folder, "sd15")
    state = model.state_dict()
    control = {name: tensor for name, tensor in state.items() if name.startswith(CONTROL)}
    base = {name: tensor for name, tensor in state.items() if name not in control}
    averages = {"model_ema.decay": torch.tensor(0.9999)}
    write_state_dict(base | averages, folder / "base.safetensors")
    metadata = metadata_of(yaml, folder / "base.safetensors")
    write_state_dict(control, folder / "control.safetensors", metadata)
    return yaml, whole, folder / "control.safetensors", folder / "base.safetensors"


def test_ckpt_and_safetensors_hold_the_same_tensors(files, tmp_path):
    assert "dropped: the metadata" in convert(files[1], tmp_path / "a.ckpt", config=files[0])
    convert(tmp_path / "a.ckpt", tmp_path / "b.safetensors", config=files[0])
    convert(files[1], tmp_path / "c.safetensors", config=files[0])
    for name in ("a.ckpt", "b.safetensors", "c.safetensors"):
        assert same(read_state_dict(tmp_path / name), read_state_dict(files[1]))
    assert read_metadata(tmp_path / "c.safetensors") == read_metadata(files[1])


def test_control_only_leaves_the_control_branch(files, tmp_path):
    report = convert(files[1], tmp_path / "control.safetensors", control_only=True, config=files[0])
    assert same(read_state_dict(tmp_path / "control.safetensors"), read_state_dict(files[2]))
    assert read_metadata(tmp_path / "control.safetensors") == read_metadata(files[1])
    assert "of model, 13 of the noise schedule" in report and "of first_stage_model" in report


@pytest.mark.parametrize("named", [True, False])
def test_a_control_branch_on_its_base_is_the_whole_model_again(files, tmp_path, named):
    yaml, whole, control, base = files
    report = convert(control, tmp_path / "whole.ckpt", full=True, base=None if named else base, config=yaml)
    assert same(read_state_dict(tmp_path / "whole.ckpt"), read_state_dict(whole))
    assert "whole model with control branch" in report.splitlines()[-1]
    load_model(yaml, tmp_path / "whole.ckpt")


def test_a_decoder_that_was_trained_along_replaces_the_bases(files, tmp_path):
    control = read_state_dict(files[2]) | {DECODER: torch.full((4,), 5.0)}
    write_state_dict(control, tmp_path / "control.safetensors", read_metadata(files[2]))
    convert(tmp_path / "control.safetensors", tmp_path / "whole.safetensors", full=True, config=files[0])
    assert read_state_dict(tmp_path / "whole.safetensors")[DECODER].tolist() == [5.0] * 4


def test_from_control_and_base_to_a_pipeline_and_back(files, tmp_path):
    convert(files[2], tmp_path / "pipeline", full=True, config=files[0])
    assert json.loads((tmp_path / "pipeline" / "model_index.json").read_text())["controlnet"]
    convert(tmp_path / "pipeline", tmp_path / "control.safetensors", control_only=True, config=files[0])
    assert same(read_state_dict(tmp_path / "control.safetensors"), read_state_dict(files[2]))
    convert(files[2], tmp_path / "again.safetensors", full=True, base=tmp_path / "pipeline", config=files[0])
    assert same(read_state_dict(tmp_path / "again.safetensors"), read_state_dict(files[1]))


@pytest.mark.parametrize("name, dtype", [("fp16", torch.float16), ("bf16", torch.bfloat16)])
def test_16_bit_rounds_the_weights_and_nothing_else(files, tmp_path, name, dtype):
    convert(files[1], tmp_path / "half.safetensors", dtype=name, config=files[0])
    whole = read_state_dict(files[1])
    expected = {n: t.to(dtype) if t.is_floating_point() and "." in n else t for n, t in whole.items()}
    assert expected["alphas_cumprod"].dtype == torch.float32
    assert same(read_state_dict(tmp_path / "half.safetensors"), expected)
    load_model(files[0], tmp_path / "half.safetensors")
    convert(tmp_path / "half.safetensors", tmp_path / "wide.safetensors", dtype="fp32", config=files[0])
    assert same(
        read_state_dict(tmp_path / "wide.safetensors"),
        {n: t.float() if t.is_floating_point() else t for n, t in expected.items()},
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (7e4, "zero_convs.0.0.bias has values that fp16 cannot hold.*bf16"),
        (torch.nan, "zero_convs.0.0.bias holds infinite values or no numbers"),
    ],
)
def test_values_that_fp16_cannot_hold_or_nothing_can_are_refused_by_name(files, tmp_path, value, message):
    control = read_state_dict(files[2])
    control[CONTROL + "zero_convs.0.0.bias"][0] = value
    write_state_dict(control, tmp_path / "in.safetensors", read_metadata(files[2]))
    with pytest.raises(ValueError, match=message):
        convert(tmp_path / "in.safetensors", tmp_path / "out.safetensors", dtype="fp16", config=files[0])
    assert not (tmp_path / "out.safetensors").exists()


def test_zero_terminal_snr_reaches_the_scheduler(files, tmp_path):
    options = dict(zero_terminal_snr=True)
    metadata = read_metadata(files[1]) | {"options": options}
    write_state_dict(read_state_dict(files[1]), tmp_path / "in.safetensors", metadata)
    convert(tmp_path / "in.safetensors", tmp_path / "pipeline", config=files[0])
    scheduler = json.loads((tmp_path / "pipeline/scheduler/scheduler_config.json").read_text())
    assert (scheduler["rescale_betas_zero_snr"], scheduler["timestep_spacing"]) == (True, "trailing")


def test_a_folder_is_written_whole_or_not_at_all(files, tmp_path, monkeypatch):
    def fail(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("cldm.weights.diffusers_folder.write_texts", fail)
    with pytest.raises(KeyboardInterrupt):
        convert(files[1], tmp_path / "pipeline", config=files[0])
    assert not list(tmp_path.iterdir())


@pytest.fixture
def run(exit_message):
    return partial(exit_message, tool_convert)


def test_the_script_converts_and_says_what_it_did(files, tmp_path, monkeypatch, capsys):
    argv = [
        "tool_convert.py",
        str(files[1]),
        str(tmp_path / "out.safetensors"),
        "--control-only",
        "--dtype",
        "fp16",
        "--config",
        str(files[0]),
    ]
    monkeypatch.setattr(sys, "argv", argv)
    tool_convert.main()
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith(f"{files[1]}: whole model with control branch, ")
    assert told[-2].endswith("control branch, 258 float16, 2.6 MiB") and told[-1].startswith("Done in")


def test_what_cannot_be_is_told_in_one_line(files, run, tmp_path):
    yaml, whole, control, base = files
    assert "nowhere.ckpt does not exist" in run("nowhere.ckpt", "out.ckpt")
    assert "in.safetensors exists already" in run(whole, save(tmp_path / "in.safetensors", w=1))
    assert "exists already" in run(whole, tmp_path)
    assert "missing does not exist: make it first" in run(whole, "missing/out")
    assert "a file's name ends in .ckpt or .safetensors" in run(whole, "out.bin")
    assert "holds no control branch" in run(base, "out.ckpt", "--control-only")
    assert "there is nothing to complete" in run(whole, "out.ckpt", "--full", base)
    assert "it holds no U-Net" in run(control, "out.ckpt", "--full", control)
    assert "give --full BASE" in run(control, "out.ckpt", "--full", "nowhere.ckpt")
    save_file(read_state_dict(control), "nameless.safetensors")
    assert "does not say what its base is: give --full BASE" in run("nameless.safetensors", "out", "--full")
    assert "holds neither a U-Net nor a control branch" in run("in.safetensors", "out")
    assert "fits no known family" in run("nameless.safetensors", "out")
    assert "is no folder of diffusers that can be read" in run(tmp_path, "out.ckpt")
    assert "differences to a base" in run(save(tmp_path / "d.safetensors", difference=1), "out.ckpt")
    assert "is a control-LoRA" in run(save(tmp_path / "l.safetensors", lora_controlnet=1), "out.ckpt")
    save_file(read_state_dict(control) | {DECODER: torch.zeros(4)}, "along.safetensors")
    assert "add its base with --full, or" in run("along.safetensors", "out", "--config", yaml)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".safetensors"] * 5


def test_what_is_no_models_weights_or_settings_is_refused(files, run, tmp_path):
    lora = save(tmp_path / "lora.safetensors", lora_unet_down=1)
    assert "is a LoRA, a low-rank change to a model" in run(lora, "out.ckpt")
    assert "holds no tensors" in run(save(tmp_path / "none.safetensors"), "out.ckpt")
    assert "nope.yaml does not exist" in run(files[1], "out.ckpt", "--config", "nope.yaml")
    (tmp_path / "config.json").write_text("[1]")
    assert "config.json holds no settings by name" in run(tmp_path, "out.ckpt")
    assert not (tmp_path / "out.ckpt").exists()


def save(path, **values):
    save_file({name: torch.tensor([float(value)]) for name, value in values.items()}, path)
    return path
