"""Stable Diffusion at its true size, through diffusers and back, on the disk."""

import pytest
import torch

from cldm.model import create_model
from cldm.weights.convert import convert
from cldm.weights.graft import MODELS
from ldm.checkpoint import read_state_dict, write_state_dict
from small_formats import same


@pytest.mark.slow
@pytest.mark.parametrize("yaml", ["cldm_v15.yaml", "cldm_v21.yaml"])
def test_a_full_size_model_comes_back_from_diffusers_to_the_bit(tmp_path, yaml):
    with torch.device("meta"):
        wanted = create_model(MODELS / yaml).state_dict()
    random = torch.Generator().manual_seed(0)

    def values(tensor):
        if not tensor.is_meta:
            return tensor
        bits = torch.randint(0, 0x7C00, tensor.shape, dtype=torch.int16, generator=random)
        return bits.view(torch.float16)  # any finite one

    write_state_dict({name: values(tensor) for name, tensor in wanted.items()}, tmp_path / "in.safetensors")
    convert(tmp_path / "in.safetensors", tmp_path / "pipeline")
    convert(tmp_path / "pipeline", tmp_path / "out.safetensors")
    assert same(read_state_dict(tmp_path / "out.safetensors"), read_state_dict(tmp_path / "in.safetensors"))
