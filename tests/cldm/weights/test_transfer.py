"""A control on another base: what training changed, added to what the new base has there."""

import sys
from functools import partial

import pytest
import torch

import tool_transfer_control
from cldm.model import load_model
from cldm.weights.graft import CONTROL, UNET, graft
from cldm.weights.transfer import transfer
from ldm.checkpoint import read_metadata, read_state_dict, write_state_dict
from small_formats import metadata_of, same, trained_model, write_yaml

DECODER = UNET + "out.2.weight"


def without_control(model):
    return {name: t for name, t in model.state_dict().items() if not name.startswith(CONTROL)}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """yaml and paths: base, new (another base), whole (trained on base), control (its branch alone)."""
    folder = tmp_path_factory.mktemp("transfer")
    paths = {name: folder / f"{name}.safetensors" for name in ("base", "new", "whole", "control")}
    paths["yaml"] = yaml = write_yaml(folder / "small.yaml", "sd15")
    base, new = (without_control(trained_model(yaml, seed)) for seed in (0, 1))
    write_state_dict(base, paths["base"])
    write_state_dict(new, paths["new"])
    whole, random = graft(base, yaml)[0], torch.Generator().manual_seed(2)
    for name in whole:
        if name.startswith(CONTROL):
            whole[name] = whole[name] + 0.01 * torch.randn(whole[name].shape, generator=random)
    write_state_dict(whole, paths["whole"], metadata_of(yaml, paths["base"]))
    control = {name: tensor for name, tensor in whole.items() if name.startswith(CONTROL)}
    write_state_dict(control, paths["control"], metadata_of(yaml, paths["base"]))
    return paths


def expected_control(files):
    """The original's arithmetic, on float32."""
    whole, base, new = (read_state_dict(files[name]) for name in ("whole", "base", "new"))
    result = {}
    for name in (name for name in whole if name.startswith(CONTROL)):
        source = name.replace("control_model.", "model.diffusion_model.")
        result[name] = whole[name] + new[source] - base[source] if source in new else whole[name]
    return result


def assert_close(a, b, tolerance=1e-6):
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].dtype == b[name].dtype
        assert (a[name] - b[name]).abs().max() <= tolerance * (1 + b[name].abs().max()), name


def test_a_whole_model_gets_the_new_base_and_a_control_moved_to_it(files, tmp_path):
    out = tmp_path / "out.safetensors"
    transfer(files["base"], files["whole"], files["new"], out)
    result, new = read_state_dict(out), read_state_dict(files["new"])
    control = {name: tensor for name, tensor in result.items() if name.startswith(CONTROL)}
    assert_close(control, expected_control(files))
    assert same({name: t for name, t in result.items() if name not in control}, new)
    only_the_branch = [n for n in control if n.replace(CONTROL, UNET, 1) not in new]
    assert {n.split(".")[1] for n in only_the_branch} == {
        "zero_convs",
        "input_hint_block",
        "middle_block_out",
    }
    whole = read_state_dict(files["whole"])
    assert all(torch.equal(control[name], whole[name]) for name in only_the_branch)
    load_model(files["yaml"], out)


def test_a_control_branch_alone_stays_alone_and_names_its_new_base(files, tmp_path):
    out = tmp_path / "out.safetensors"
    told = transfer(files["base"], files["control"], files["new"], out)
    assert_close(read_state_dict(out), expected_control(files))
    metadata = read_metadata(out)
    assert (metadata["base"], metadata["transferred_from"]) == (str(files["new"]), str(files["base"]))
    assert metadata["hint"] == read_metadata(files["control"])["hint"]
    assert "control branch: " in told and "222 tensors moved, 36 kept, which no base has" in told


def test_moving_to_its_own_base_changes_no_bit(files, tmp_path):
    transfer(files["base"], files["whole"], files["base"], tmp_path / "out.safetensors")
    assert same(read_state_dict(tmp_path / "out.safetensors"), read_state_dict(files["whole"]))


def test_a_decoder_that_was_trained_along_moves_too(files, tmp_path):
    base, new = read_state_dict(files["base"])[DECODER], read_state_dict(files["new"])[DECODER]
    trained = read_state_dict(files["control"]) | {DECODER: base + 1}
    write_state_dict(trained, tmp_path / "trained.safetensors")
    transfer(files["base"], tmp_path / "trained.safetensors", files["new"], tmp_path / "out.safetensors")
    moved = read_state_dict(tmp_path / "out.safetensors")[DECODER]
    assert torch.allclose(moved, new + 1, atol=1e-6)


def test_16_bit_files_are_rounded_once(files, tmp_path):
    """The sum of three fp16 numbers in fp16 would be rounded twice."""
    halves = {}
    for name in ("base", "control", "new"):
        state = {n: t.half() if t.is_floating_point() else t for n, t in read_state_dict(files[name]).items()}
        write_state_dict(state, tmp_path / f"{name}.safetensors")
        halves[name] = state
    transfer(*(tmp_path / f"{name}.safetensors" for name in halves), tmp_path / "out.safetensors")
    for name, tensor in read_state_dict(tmp_path / "out.safetensors").items():
        source, exact = name.replace(CONTROL, UNET, 1), halves["control"][name].double()
        if source in halves["new"]:
            exact = exact + halves["new"][source].double() - halves["base"][source].double()
        assert torch.equal(tensor, exact.half()), name


def test_the_dtype_asked_for_is_the_one_of_the_result(files, tmp_path):
    transfer(files["base"], files["control"], files["new"], tmp_path / "out.safetensors", dtype="fp16")
    expected = {name: tensor.half() for name, tensor in expected_control(files).items()}
    assert_close(read_state_dict(tmp_path / "out.safetensors"), expected, tolerance=1e-3)


@pytest.fixture
def run(exit_message):
    return partial(exit_message, tool_transfer_control)


def test_what_cannot_be_is_told_in_one_line(files, run, tmp_path):
    base, control, new = files["base"], files["control"], files["new"]
    wide = write_yaml(tmp_path / "wide.yaml", "sd15", context_dim=48)
    write_state_dict(without_control(trained_model(wide)), tmp_path / "other.safetensors")
    assert "exists already" in run(base, control, new, "other.safetensors")
    told = run(base, control, "other.safetensors", "out.ckpt")
    assert told.startswith("error: other.safetensors is of another family than") and "[32, 48]" in told
    assert "other.safetensors is of another family" in run("other.safetensors", control, new, "out.ckpt")
    assert "holds no U-Net" in run(control, control, new, "out.ckpt")
    assert "holds no control branch" in run(base, base, new, "out.ckpt")
    assert not (tmp_path / "out.ckpt").exists()


def test_the_script_moves_a_control(files, tmp_path, monkeypatch, capsys):
    arguments = [files["base"], files["control"], files["new"], tmp_path / "out.safetensors"]
    monkeypatch.setattr(sys, "argv", ["tool_transfer_control.py", *map(str, arguments)])
    tool_transfer_control.main()
    assert "Done in" in capsys.readouterr().out
    assert_close(read_state_dict(tmp_path / "out.safetensors"), expected_control(files))
