"""compile=true changes how U-Net and branch compute, and nothing else."""

from dataclasses import replace

import pytest
import torch

from learning.build import build_model
from learning.options import TrainOptions
from small import batch
from small_data import write_base


@pytest.mark.slow
def test_compiled_networks_keep_their_names_and_their_gradients(tmp_path):
    write_base(tmp_path)
    files = dict(model=str(tmp_path / "small.yaml"), base=str(tmp_path / "ini.safetensors"))
    options = TrainOptions(precision="32-true", recompute=False, **files)
    losses, gradients, names = [], [], []
    for compiled in (False, True):
        model = build_model(replace(options, compile=compiled))
        loss, _ = model.shared_step(batch(), torch.Generator().manual_seed(1))
        loss.backward()
        losses.append(loss.detach())
        gradients.append([p.grad for p in model.control_model.parameters()])
        names.append(list(model.state_dict()))
    assert names[0] == names[1]
    assert torch.allclose(*losses, rtol=1e-4)
    for plain, fused in zip(*gradients, strict=True):
        assert (plain - fused).norm() <= 1e-3 * plain.norm() + 1e-6
