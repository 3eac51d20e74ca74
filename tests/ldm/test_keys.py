"""The state dict of Stable Diffusion 1.5 and 2.1 with a control branch, name by name, without its memory."""

import json
from pathlib import Path

import pytest
import torch

from cldm.model import create_model
from ldm.util import count_params, instantiate_from_config
from small import small_config

ROOT = Path(__file__).parents[2]
MODELS = {"sd15": "cldm_v15.yaml", "sd21": "cldm_v21.yaml"}


def published(family):
    return json.loads((ROOT / f"tests/helpers/data/keys_{family}.json").read_text())


@pytest.fixture(scope="module", params=MODELS)
def family(request):
    """(family, its model on the meta device)."""
    with torch.device("meta"):
        return request.param, create_model(ROOT / "models" / MODELS[request.param])


def test_names_shapes_and_dtypes_are_the_published_ones(family):
    name, model = family
    keys = published(name)
    wanted = {k: (tuple(shape), "float32") for k, shape in (keys["core"] | keys["text_encoder"]).items()}
    wanted |= {k: (wanted[k][0], dtype) for k, dtype in keys["not_float32"].items()}
    ours = {k: (tuple(v.shape), str(v.dtype).removeprefix("torch.")) for k, v in model.state_dict().items()}
    assert ours == wanted


def test_tensors_come_in_the_published_order(family):
    """An optimizer's state knows its tensors by position alone."""
    name, model = family
    core = published(name)["core"]
    assert [key for key in model.state_dict() if key in core] == list(core)


def test_parameter_counts_are_the_published_ones(family):
    name, model = family
    unet, keys = model.model.diffusion_model, published(name)
    decoder = count_params(unet.output_blocks) + count_params(unet.out)
    ours = {
        "model.diffusion_model": count_params(unet),
        "control_model": count_params(model.control_model),
        "first_stage_model": count_params(model.first_stage_model),
        "unet_locked_encoder": count_params(unet) - decoder,
        "unet_locked_decoder": decoder,
        "text_encoder": count_params(model.cond_stage_model),
    }
    assert ours == keys["parameter_counts"]
    zero_convs = count_params(model.control_model.zero_convs) + count_params(
        model.control_model.middle_block_out
    )
    assert (zero_convs, count_params(model.control_model.input_hint_block)) == (11_479_680, 1_086_480)


def test_schedule_is_real_on_a_meta_build(family):
    _, model = family
    assert {name for name, buffer in model.named_buffers() if buffer.is_meta} == set()


SD21 = dict(num_heads=-1, num_head_channels=32, use_linear_in_transformer=True)


@pytest.mark.parametrize("family, changes", [("sd15", {}), ("sd21", SD21)])
def test_the_published_tensors_and_no_others_start_at_zero(family, changes):
    """In a small model of the published depth, so with the published names."""
    depth = dict(channel_mult=[1, 2, 4, 4], num_res_blocks=2, attention_resolutions=[4, 2, 1])
    config = small_config(unet=depth | changes)
    state = instantiate_from_config(config).state_dict()
    parts = ("model.diffusion_model.", "control_model.")
    zero = {k for k, v in state.items() if k.startswith(parts) and not v.any() and not is_norm_bias(k, state)}
    assert zero == set(published(family)["zero_initialised"])


def is_norm_bias(key, state):
    weight = state.get(key.removesuffix("bias") + "weight")
    return key.endswith(".bias") and weight is not None and weight.ndim == 1
