"""At full size, as shapes alone: every tensor of SD1.5 and SD2.1 has its place in diffusers."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from cldm.model import create_model, read_config
from cldm.weights.convert import control_alone, read_weights
from cldm.weights.diffusers_configs import scheduler_config
from cldm.weights.diffusers_folder import CONFIGS, PREFIXES, table_of
from cldm.weights.diffusers_names import from_diffusers, to_diffusers
from cldm.weights.families import Weights, check_model, config_of
from cldm.weights.graft import CONTROL, MODELS
from diffusers_names import to_diffusers_unet, to_diffusers_vae
from ldm.checkpoint import write_state_dict

DATA = Path(__file__).parents[2] / "helpers" / "data"
FAMILIES = {"keys_sd15.json": "cldm_v15.yaml", "keys_sd21.json": "cldm_v21.yaml"}
KINDS = {"unet": UNet2DConditionModel, "controlnet": ControlNetModel, "vae": AutoencoderKL}
# in SD2.1's files, though the penultimate layer is the last that runs
UNUSED = 12 + 2


def shapes(state):
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


@pytest.fixture(scope="module", params=FAMILIES)
def published(request):
    """(published state dict with control on the meta device, the family's model, its yaml)."""
    keys = json.loads((DATA / request.param).read_text())
    state = {
        n: torch.empty(shape, device="meta") for n, shape in (keys["core"] | keys["text_encoder"]).items()
    }
    yaml = MODELS / FAMILIES[request.param]
    with torch.device("meta"):
        return state, create_model(yaml), yaml


def part_of(published, part):
    """(tensors of a part by their LDM names, the same by diffusers' names, the rest, the table)."""
    state, model, _ = published
    prefix = PREFIXES[part]
    ours = {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
    table = table_of(part, ours.keys(), model.cond_stage_model)
    return ours, *to_diffusers(ours, table), table


@pytest.mark.parametrize("part", KINDS)
def test_diffusers_own_model_has_these_names_and_shapes(published, part):
    _, theirs, rest, _ = part_of(published, part)
    with torch.device("meta"):
        expected = KINDS[part].from_config(CONFIGS[part](published[1])).state_dict()
    assert shapes(theirs) == shapes(expected) and not rest


def test_transformers_own_tower_has_these_names_and_shapes(published):
    _, theirs, rest, _ = part_of(published, "text_encoder")
    with torch.device("meta"):
        expected = CLIPTextModel(CLIPTextConfig(**CONFIGS["text_encoder"](published[1]))).state_dict()
    assert shapes(theirs) == {f"text_model.{name}": shape for name, shape in shapes(expected).items()}
    is_sd15 = published[2].name == "cldm_v15.yaml"
    assert len(rest) == (1 if is_sd15 else UNUSED)
    unused = ("position_ids",) if is_sd15 else ("resblocks.23", "text_projection", "logit_scale")
    assert all(any(name in key for name in unused) for key in rest)


@pytest.mark.parametrize("part", PREFIXES)
def test_the_way_back_has_all_names_and_shapes(published, part):
    ours, theirs, rest, _ = part_of(published, part)
    back = from_diffusers(theirs, table_of(part, theirs.keys(), published[1].cond_stage_model), "folder")
    assert shapes(back | rest) == shapes(ours)


@pytest.mark.parametrize("part", KINDS)
def test_an_independent_mapping_agrees_tensor_by_tensor(published, part):
    """Each tensor is told by a number of its own, so that two of one shape cannot be exchanged unseen."""
    ours, _, _, table = part_of(published, part)
    told = {name: torch.full((1,) * t.ndim, float(i)) for i, (name, t) in enumerate(ours.items())}
    theirs = to_diffusers_vae(told) if part == "vae" else to_diffusers_unet(told, 2)
    mine, _ = to_diffusers(told, table)
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_a_stacked_projection_splits_into_query_key_and_value_in_open_clips_order():
    name, width = "model.transformer.resblocks.0.attn.in_proj_weight", 4
    stacked = torch.arange(3.0 * width * width).unflatten(0, (3 * width, width))
    table = {f"model.transformer.resblocks.0.attn.{x}_proj": f"self_attn.{x}_proj" for x in "qkv"}
    placed, rest = to_diffusers({name: stacked}, table)
    q, k, v = torch.nn.Parameter(stacked, requires_grad=False).chunk(3)  # as torch's own attention does
    assert not rest
    for x, expected in zip("qkv", (q, k, v), strict=True):
        assert torch.equal(placed[f"self_attn.{x}_proj.weight"], expected)
    assert torch.equal(from_diffusers(placed, table, "folder")[name], stacked)


def test_the_family_is_recognised_by_the_control_branch_alone(published):
    state, model, yaml = published
    control = control_alone(Weights(state, {}, "file"))
    assert config_of(control) == yaml
    assert {*check_model(control).state_dict()} == {*model.state_dict()}


def test_sd21_that_predicts_v_is_the_768_model():
    with torch.device("meta"):
        model = create_model(MODELS / "cldm_v21_768.yaml")
    weights = Weights(model.state_dict(), {}, "folder")
    assert config_of(weights, "v_prediction") == MODELS / "cldm_v21_768.yaml"
    assert weights.metadata == {"config": "models/cldm_v21_768.yaml"}
    config = scheduler_config(model, read_config(MODELS / "cldm_v21_768.yaml").params)
    assert (config["prediction_type"], model.image_size) == ("v_prediction", 96)


def test_control_files_have_the_names_by_which_uis_know_them(published):
    """ComfyUI asks for the first; sd-webui-controlnet drops the prefix and asks for the others."""
    control = control_alone(Weights(published[0], {}, "file")).state
    assert "control_model.zero_convs.0.0.weight" in control
    bare = {name.replace("control_model.", "") for name in control}
    assert {"input_hint_block.0.weight", "middle_block_out.0.weight"} <= bare
    assert "input_blocks.5.1.transformer_blocks.0.attn2.to_k.weight" in bare
    others = "difference", "lora_controlnet", "controlnet_cond_embedding.conv_in.weight", "label_emb.0.0.bias"
    assert not bare & {*others, "conv_in.weight", "adapter.body.0.resnets.0.block1.weight"}
    assert len(control) == 340


@pytest.mark.parametrize("form", ["ours", "bare", "diffusers"])
def test_a_control_file_is_read_in_any_of_its_three_forms(tmp_path, form):
    with torch.device("meta"):
        names = create_model(MODELS / "cldm_tiny.yaml").control_model.state_dict()
    state = {name: torch.full((1, 1), float(i)) for i, name in enumerate(names)}
    forms = {
        "ours": {CONTROL + name: tensor for name, tensor in state.items()},
        "bare": state,
        "diffusers": to_diffusers_unet(state, 1),
    }
    write_state_dict(forms[form], tmp_path / "control.safetensors")
    read = read_weights(tmp_path / "control.safetensors").state
    assert read.keys() == forms["ours"].keys()
    assert all(torch.equal(read[CONTROL + name], state[name]) for name in state)
