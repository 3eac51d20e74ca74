"""What trainers wrap around weights is taken off; what claims more than its file has is refused by name."""

import json
import zipfile
from collections import OrderedDict

import pytest
import torch

from ldm.checkpoint import CheckpointError, check_finite, read_metadata, read_state_dict, write_state_dict


def tensors():
    torch.manual_seed(0)
    names = "control_model.a.weight", "model.diffusion_model.b.bias", "betas"
    return {name: torch.randn(3, 4) for name in names}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


WRAPPED = {
    "twice": lambda state: {"state_dict": {"state_dict": state}},
    "deepspeed": lambda state: {"module": state, "optimizer": None, "global_steps": 5},
    "deepspeed of lightning": lambda state: {"module": {f"_forward_module.{n}": t for n, t in state.items()}},
    "state of a model": lambda state: {"epoch": 1, "model_state_dict": state},
    "model": lambda state: {"model": OrderedDict(state), "optimizer": {"state": {0: torch.zeros(1)}}},
    "beside a tensor": lambda state: {"global_step": torch.tensor(3), "state_dict": state},
    "data parallel": lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
    "compiled": lambda state: {f"_orig_mod.{name}": tensor for name, tensor in state.items()},
    "both": lambda state: {"state_dict": {f"module._orig_mod.{n}": t for n, t in state.items()}},
    "parts compiled": lambda state: {
        name.replace("model.diffusion_model.", "model.diffusion_model._orig_mod.").replace(
            "control_model.", "control_model._orig_mod."
        ): tensor
        for name, tensor in state.items()
    },
    "fsdp": lambda state: {
        f"_fsdp_wrapped_module.{n.replace('a.', 'a._checkpoint_wrapped_module.')}": t
        for n, t in state.items()
    },
}


@pytest.mark.parametrize("case", WRAPPED)
def test_what_is_wrapped_around_weights_is_taken_off(tmp_path, case):
    torch.save(WRAPPED[case](tensors()), tmp_path / "x.ckpt")
    assert same(read_state_dict(tmp_path / "x.ckpt"), tensors())


def test_names_of_safetensors_are_unwrapped_as_well(tmp_path):
    write_state_dict(WRAPPED["both"](tensors())["state_dict"], tmp_path / "x.safetensors")
    assert same(read_state_dict(tmp_path / "x.safetensors"), tensors())


def test_two_tensors_of_one_name_are_refused(tmp_path):
    torch.save({"module.a": torch.zeros(1), "a": torch.ones(1)}, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match="x.ckpt holds two tensors for a: module.a and a; leave one"):
        read_state_dict(tmp_path / "x.ckpt")


def test_a_wrapper_without_end_is_no_state_dict(tmp_path):
    content = {}
    content |= dict(state_dict=content, module=content, model=content)
    torch.save(content, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match="holds no state dict"):
        read_state_dict(tmp_path / "x.ckpt")


HUGE = {
    "stride 0": torch.zeros(1).expand(2**40),
    "two dimensions": torch.zeros(1).expand(2**20, 2**20),
    "overlapping": torch.zeros(9).as_strided((2**20, 5), (0, 1)),
}


@pytest.mark.parametrize("case", HUGE)
@pytest.mark.parametrize("zipped", [True, False])
def test_a_tensor_has_no_more_numbers_than_its_file_brings(tmp_path, case, zipped):
    state = tensors() | {"huge": HUGE[case]}
    torch.save(state, tmp_path / "x.ckpt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"x.ckpt: huge \[.*\] claims more numbers than it brings"):
        read_state_dict(tmp_path / "x.ckpt")


def test_many_names_of_one_tensor_are_no_more_than_their_file(tmp_path):
    tensor = torch.zeros(10_000)
    torch.save({"a": tensor, "tied": tensor}, tmp_path / "x.ckpt")
    assert read_state_dict(tmp_path / "x.ckpt").keys() == {"a", "tied"}
    torch.save({str(i): tensor for i in range(100)}, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match="x.ckpt: its tensors claim 4,000,000 bytes, but the file has"):
        read_state_dict(tmp_path / "x.ckpt")


@pytest.mark.parametrize("tensor", [torch.zeros(2, 2).to_sparse(), torch.zeros(2, device="meta")])
def test_a_tensor_of_another_kind_is_refused_by_its_name(tmp_path, tensor):
    torch.save(tensors() | {"odd": tensor}, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match="x.ckpt: odd is no plain tensor"):
        read_state_dict(tmp_path / "x.ckpt")


def test_a_compressed_file_is_refused(tmp_path):
    torch.save(tensors(), tmp_path / "x.ckpt")
    with (
        zipfile.ZipFile(tmp_path / "x.ckpt") as plain,
        zipfile.ZipFile(tmp_path / "y.ckpt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    with pytest.raises(CheckpointError, match="y.ckpt is a compressed zip file"):
        read_state_dict(tmp_path / "y.ckpt")


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_a_number_that_is_none_is_found_by_name(value, dtype):
    state = {name: tensor.to(dtype) for name, tensor in tensors().items()}
    check_finite(state | dict(betas=torch.tensor(value), **{"tower.attn_mask": torch.tensor([value])}), "x")
    check_finite({"a.large": torch.full((9,), torch.finfo(dtype).max, dtype=dtype)}, "x")
    state["control_model.a.weight"][2, 1] = value
    with pytest.raises(
        CheckpointError, match="x: control_model.a.weight holds infinite values or no numbers"
    ):
        check_finite(state, "x")


def test_metadata_of_any_kind_become_texts_dicts_and_lists(tmp_path):
    loop, deep = [], {}
    loop.append(loop)
    for _ in range(200):
        deep = {"a": deep}
    metadata = dict(step=5, hint=dict(names=["a"]), tensor=torch.zeros(2), loop=loop, none=None) | {
        7: "seven"
    }
    torch.save({"state_dict": tensors(), "metadata": metadata}, tmp_path / "x.ckpt")
    assert read_metadata(tmp_path / "x.ckpt") == {
        "step": "5",
        "hint": dict(names=["a"]),
        "none": "null",
        "7": "seven",
    }
    many = ["laugh"]
    for _ in range(12):
        many = [many] * 10
    torch.save({"state_dict": tensors(), "metadata": dict(deep=deep, many=many)}, tmp_path / "x.ckpt")
    assert read_metadata(tmp_path / "x.ckpt") == {}
    write_state_dict(tensors(), tmp_path / "x.safetensors", dict(deep=json.dumps(deep)))
    assert read_metadata(tmp_path / "x.safetensors") == dict(deep=json.dumps(deep))
