"""Both text encoders against the libraries they come from, and against the names in published checkpoints."""

import json
from pathlib import Path

import pytest
import torch

from ldm.modules.encoders.modules import FrozenCLIPEmbedder, FrozenOpenCLIPEmbedder

DATA = Path(__file__).parents[1] / "helpers" / "data"
SIZES = {"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 3, "num_attention_heads": 4}
SMALL = dict(version=None, vocab_size=1000, **SIZES)
OPEN_CLIP_SMALL = {
    "arch": None,
    "version": None,
    "text_cfg": {"context_length": 77, "vocab_size": 1000, "width": 64, "heads": 4, "layers": 3},
}
PROMPTS = ["a woman in a red striped dress", "", "Two men, jeans & T-shirts (XXL)! 100% cotton"]


def published_shapes(name):
    keys = json.loads((DATA / name).read_text())["text_encoder"]
    return {key.removeprefix("cond_stage_model."): tuple(shape) for key, shape in keys.items()}


def shapes(module):
    return {key: tuple(tensor.shape) for key, tensor in module.state_dict().items()}


def test_meta_build_has_the_names_and_shapes_of_sd15():
    with torch.device("meta"):
        encoder = FrozenCLIPEmbedder()
    assert shapes(encoder) == published_shapes("keys_sd15.json")
    position_ids = encoder.transformer.text_model.embeddings.position_ids
    assert position_ids.tolist() == [list(range(77))]


def test_meta_build_has_the_names_and_shapes_of_sd21():
    with torch.device("meta"):
        encoder = FrozenOpenCLIPEmbedder(layer="penultimate")
    assert shapes(encoder) == published_shapes("keys_sd21.json")
    assert encoder.model.attn_mask.device.type == "cpu"


@pytest.fixture(scope="module")
def transformers_pair():
    """Our tower and transformers' with the same weights."""
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    theirs = CLIPTextModel(
        CLIPTextConfig(vocab_size=1000, hidden_act="quick_gelu", eos_token_id=999, bos_token_id=998, **SIZES)
    ).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_(std=0.2)
    ours = FrozenCLIPEmbedder(**SMALL)
    ours.transformer.load_state_dict(
        theirs.state_dict(), strict=True
    )  # no text_model. level, no position_ids
    return ours, theirs


@pytest.mark.parametrize(
    "layer, layer_idx", [("last", None), ("pooled", None), ("hidden", -2), ("hidden", 0)]
)
def test_the_tower_computes_what_transformers_computes(transformers_pair, layer, layer_idx):
    ours, theirs = transformers_pair
    ours.layer, ours.layer_idx = layer, layer_idx
    with torch.no_grad():
        out = theirs(ours.tokenizer(PROMPTS), output_hidden_states=True)
    expected = {
        "last": out.last_hidden_state,
        "pooled": out.pooler_output[:, None],
        "hidden": out.hidden_states[layer_idx or 0],
    }[layer]
    got = ours(PROMPTS)
    assert got.shape == expected.shape and not got.requires_grad
    assert (got - expected).abs().max() <= 1e-6 * expected.abs().max()


@pytest.mark.parametrize("layer, index", [("last", -1), ("penultimate", -2)])
def test_the_tower_computes_what_open_clip_computes(layer, index):
    ours = FrozenOpenCLIPEmbedder(layer=layer, **OPEN_CLIP_SMALL)
    with torch.no_grad():
        inside = ours.model.transformer.forward_intermediates(
            ours.model.token_embedding(ours.tokenizer(PROMPTS)) + ours.model.positional_embedding,
            attn_mask=ours.model.attn_mask,
        )[1]
        expected = ours.model.ln_final(inside[index])
    assert torch.equal(ours(PROMPTS), expected)


def test_a_batch_of_77_prompts_is_77_times_one():
    encoder = FrozenOpenCLIPEmbedder(**OPEN_CLIP_SMALL)
    assert torch.allclose(encoder(["a coat"] * 77)[5], encoder(["a coat"])[0], atol=1e-5)


@pytest.mark.parametrize(
    "build", [lambda: FrozenCLIPEmbedder(**SMALL), lambda: FrozenOpenCLIPEmbedder(**OPEN_CLIP_SMALL)]
)
def test_a_meta_build_with_assigned_weights_equals_a_normal_build(build):
    normal = build()
    with torch.device("meta"):
        meta = build()
    meta.load_state_dict(normal.state_dict(), strict=True, assign=True)
    assert torch.equal(normal(PROMPTS), meta(PROMPTS))


@pytest.mark.parametrize("with_level", [True, False])
@pytest.mark.parametrize("position_ids", ["absent", "half", "right"])
def test_published_layouts_load_and_leave_in_the_checkpoints_own(with_level, position_ids):
    source, target = FrozenCLIPEmbedder(**SMALL), FrozenCLIPEmbedder(**SMALL)
    state = source.state_dict()
    key = "transformer.text_model.embeddings.position_ids"
    if position_ids == "absent":
        del state[key]
    elif position_ids == "half":
        state[key] = state[key].half()
    if not with_level:
        state = {key.replace("text_model.", ""): tensor for key, tensor in state.items()}
    target.load_state_dict(state, strict=True, assign=True)
    for key, tensor in source.state_dict().items():
        assert (
            torch.equal(tensor, target.state_dict()[key]) and tensor.dtype == target.state_dict()[key].dtype
        )


def test_any_other_difference_is_an_error_that_names_the_key():
    encoder = FrozenCLIPEmbedder(**SMALL)
    state = encoder.state_dict()
    state["transformer.text_model.surprise"] = state.pop("transformer.text_model.final_layer_norm.bias")
    with pytest.raises(RuntimeError, match="(?s)final_layer_norm.bias.*surprise"):
        encoder.load_state_dict(state)


def test_frozen_means_no_gradients_and_unfrozen_learns():
    assert not any(p.requires_grad for p in FrozenCLIPEmbedder(**SMALL).parameters())
    encoder = FrozenCLIPEmbedder(freeze=False, **SMALL)
    encoder(["a hat"]).sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"hidden_size": 64}, "version: null"),
        (dict(SMALL, version="openai/clip-vit-huge"), "none that is known"),
        (dict(SMALL, layer="middle"), "last, pooled or hidden"),
        (dict(SMALL, layer="hidden"), "layer_idx within 0..3"),
        (dict(SMALL, max_length=78), "3..77"),
        (dict(SMALL, vocab_size=100), "514..49408"),
    ],
)
def test_a_value_that_would_be_a_lie_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        FrozenCLIPEmbedder(**arguments).tokenizer.encode("a")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"arch": "ViT-Q"}, "no architecture 'ViT-Q'"),
        ({"version": "nobody"}, "no weights 'nobody'"),
        ({"text_cfg": OPEN_CLIP_SMALL["text_cfg"]}, "text_cfg alone"),
        (dict(OPEN_CLIP_SMALL, layer="pooled"), "last or penultimate"),
    ],
)
def test_an_open_clip_value_that_would_be_a_lie_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        FrozenOpenCLIPEmbedder(**arguments)
