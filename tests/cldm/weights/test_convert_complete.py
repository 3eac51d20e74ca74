"""What is converted is a whole model or a whole control branch: a part of one is refused by name."""

import pytest
import torch

from cldm.weights.convert import convert
from cldm.weights.graft import CONTROL, UNET
from ldm.checkpoint import CheckpointError, read_metadata, read_state_dict, write_state_dict
from small_formats import metadata_of, same, write_whole


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """(yaml, tensors of a whole model by name); its control branch is among them."""
    yaml, _, path = write_whole(tmp_path_factory.mktemp("whole"), "sd15")
    return yaml, read_state_dict(path)


def converted(whole, tmp_path, drop=(), output="out.safetensors", control_only=False, **changes):
    """The lines that the conversion of changed tensors says; `drop` are beginnings of names."""
    yaml, state = whole
    state = {name: tensor for name, tensor in state.items() if name.startswith(CONTROL) or not control_only}
    state = {name: tensor for name, tensor in state.items() if not name.startswith(tuple(drop))} | changes
    write_state_dict(state, tmp_path / "in.safetensors", metadata_of(yaml), overwrite=True)
    said = convert(tmp_path / "in.safetensors", tmp_path / output, config=yaml)
    if output.endswith(".safetensors"):
        assert same(read_state_dict(tmp_path / output), state)
        assert read_metadata(tmp_path / output) == metadata_of(yaml)
    return said


@pytest.mark.parametrize("output", ["out.safetensors", "out.ckpt", "folder"])
@pytest.mark.parametrize(
    ("drop", "message"),
    [
        ("first_stage_model.decoder.conv_in.bias", "sd15.yaml: 1 of first_stage_model; the first is first_"),
        (UNET + "out.2", "lacks tensors of .*sd15.yaml: 2 of model; the first is model.diffusion_model.out"),
        ("cond_stage_model.", "lacks tensors of .*: [0-9]+ of cond_stage_model; the first is cond_stage"),
        (CONTROL + "zero_convs.1.", "lacks 2 tensors of the control branch; the first is control_model.zero"),
    ],
)
def test_a_whole_model_that_lacks_tensors_is_refused(whole, tmp_path, drop, message, output):
    with pytest.raises(CheckpointError, match=message):
        converted(whole, tmp_path, [drop], output)
    assert [path.name for path in tmp_path.iterdir()] == ["in.safetensors"]


@pytest.mark.parametrize("output", ["out.safetensors", "folder"])
def test_a_control_branch_is_refused_with_less_and_with_more_than_its_tensors(whole, tmp_path, output):
    with pytest.raises(CheckpointError, match="lacks 2 tensors of the control branch; the first is control_"):
        converted(whole, tmp_path, [CONTROL + "zero_convs.1"], output, control_only=True)
    more = {CONTROL + "input_blocks.99.0.weight": torch.zeros(1)}
    with pytest.raises(CheckpointError, match="is another model than .*no place for 1 .*input_blocks.99"):
        converted(whole, tmp_path, (), output, control_only=True, **more)
    other = {CONTROL + "input_hint_block.0.weight": torch.zeros(16, 5, 3, 3)}
    with pytest.raises(CheckpointError, match=r"does not fit .*sd15.yaml: control_model.input_.* \[16, 5"):
        converted(whole, tmp_path, (), output, control_only=True, **other)


def test_tensors_beside_model_and_branch_are_kept_and_said(whole, tmp_path):
    extra = {"model_ema.decay": torch.tensor(0.9), "optimizer.step": torch.tensor(3)}
    said = converted(whole, tmp_path, **extra)
    assert "has no place for them: 1 of model_ema, 1 of optimizer; the first is model_ema.decay" in said


def test_what_may_lack_is_no_hindrance(whole, tmp_path):
    for i, drop in enumerate([(CONTROL,), ("alphas_cumprod", "posterior")]):
        assert "has no place" not in converted(whole, tmp_path, drop, f"{i}.safetensors")


def test_a_decoder_trained_along_stays_beside_its_branch(whole, tmp_path):
    decoder = {UNET + "out.2.bias": torch.ones(4)}
    assert "has no place" not in converted(whole, tmp_path, control_only=True, **decoder)


def test_tensors_of_neither_model_nor_branch_are_refused(whole, tmp_path):
    write_state_dict({"embeddings": torch.zeros(3)}, tmp_path / "in.safetensors")
    with pytest.raises(CheckpointError, match="in.safetensors holds neither a U-Net nor a control branch"):
        convert(tmp_path / "in.safetensors", tmp_path / "out.ckpt")
