"""Published try-on weights: known by their tensors, read into recipes, written back to the bit."""

import pytest
import torch
from safetensors.torch import save_file

from cldm.model import create_on_meta
from cldm.weights.diffusers_names import to_diffusers, unet_structure, unet_table
from cldm.weights.tryon_files import (
    FORMATS,
    read_nested,
    read_tryon_weights,
    transformer_sites,
    write_tryon_weights,
)
from ldm.checkpoint import CheckpointError
from ldm.modules.diffusionmodules.openaimodel import UNetModel
from sources import ROOT
from tryon_reference import goldens

SMALL = dict(
    model_channels=32, num_res_blocks=2, attention_resolutions=[4, 2, 1], channel_mult=[1, 2, 4, 4],
    num_heads=4, context_dim=16, out_channels=4,
)  # fmt: skip


def unet_file(in_channels, seed):
    """A small U-Net of SD1.5's layout under diffusers' names."""
    torch.manual_seed(seed)
    state = UNetModel(in_channels=in_channels, **SMALL).half().state_dict()
    return to_diffusers(state, unet_table(*unet_structure(state.keys())))[0]


def expect_round_trip(path, back):
    weights = read_tryon_weights(path)
    write_tryon_weights(weights, back)
    before, after = read_nested(path), read_nested(back)
    assert before.keys() == after.keys()
    assert all(
        torch.equal(before[name], after[name]) and before[name].dtype == after[name].dtype for name in before
    )
    return weights


def test_layers_are_counted_as_diffusers_counts_them():
    """Encoder, decoder, and the middle block last: as the table of IP-Adapter's numbers has it."""
    numbers = {2 * i + 1: f"{site}.transformer_blocks.0.attn2" for i, site in enumerate(transformer_sites())}
    assert numbers == {int(number): layer for number, layer in goldens().config["ip_index"].items()}


def adapter(kind):
    projector = {
        "linear": {"proj.weight": (64, 24), "proj.bias": (64,), "norm.weight": (16,), "norm.bias": (16,)},
        "resampler": {"latents": (1, 4, 16), "proj_in.weight": (16, 24)},
        "mlp": {"proj.0.weight": (24, 24), "proj.3.bias": (16,)},
    }[kind]
    layers = {f"{2 * i + 1}.to_{x}_ip.weight": (8, 16) for i in range(16) for x in "kv"}
    return {
        part: {name: torch.randn(shape) for name, shape in names.items()}
        for part, names in (("image_proj", projector), ("ip_adapter", layers))
    }


@pytest.mark.parametrize("kind", ["linear", "resampler", "mlp"])
@pytest.mark.parametrize("suffix", ["bin", "safetensors"])
def test_ip_adapters_are_read_and_written_back(tmp_path, kind, suffix):
    path, nested = tmp_path / f"ip-adapter.{suffix}", adapter(kind)
    flat = {f"{part}.{name}": tensor for part, names in nested.items() for name, tensor in names.items()}
    torch.save(nested, path) if suffix == "bin" else save_file(flat, path)
    weights = expect_round_trip(path, tmp_path / "back.safetensors")
    assert weights.format == "IP-Adapter" and kind in weights.notes[1]
    middle = "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k_ip.weight"
    assert torch.equal(weights.state[middle], nested["ip_adapter"]["31.to_k_ip.weight"])


def test_catvtons_attention_is_read_and_written_back(tmp_path):
    shapes = {"to_q.weight": (8, 8), "to_k.weight": (8, 8), "to_v.weight": (8, 8), "to_out.0.weight": (8, 8)}
    shapes["to_out.0.bias"] = (8,)
    state = {f"{i}.{name}": torch.randn(shape) for i in range(16) for name, shape in shapes.items()}
    save_file(state, tmp_path / "model.safetensors")
    weights = expect_round_trip(tmp_path / "model.safetensors", tmp_path / "back.safetensors")
    first = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"
    assert weights.format == "CatVTON" and torch.equal(weights.state[first], state["0.to_q.weight"])


def test_magic_clothings_extractor_is_read_and_written_back(tmp_path):
    save_file(unet_file(4, 0), tmp_path / "extractor.safetensors")
    weights = expect_round_trip(tmp_path / "extractor.safetensors", tmp_path / "back.safetensors")
    assert weights.format == "Magic Clothing"
    assert set(weights.state) == {
        f"garment_model.{name}" for name in UNetModel(in_channels=4, **SMALL).state_dict()
    }


def test_ootdiffusions_folder_is_read_and_written_back(tmp_path):
    for folder, channels, seed in (("unet_garm", 4, 1), ("unet_vton", 8, 2)):
        (tmp_path / "ootd" / folder).mkdir(parents=True)
        save_file(
            unet_file(channels, seed), tmp_path / "ootd" / folder / "diffusion_pytorch_model.safetensors"
        )
    weights = read_tryon_weights(tmp_path / "ootd")
    assert weights.format == "OOTDiffusion" and "8 input channels" in weights.notes[0]
    write_tryon_weights(weights, tmp_path / "back")
    for folder in ("unet_garm", "unet_vton"):
        before, after = (
            read_nested(tmp_path / root / folder / "diffusion_pytorch_model.safetensors")
            for root in ("ootd", "back")
        )
        assert before.keys() == after.keys() and all(
            torch.equal(before[name], after[name]) for name in before
        )


def test_anydoors_checkpoint_is_read_and_written_back(tmp_path):
    names = (
        "model.diffusion_model.out.2.bias control_model.zero_convs.0.0.bias first_stage_model.quant_conv.bias"
    )
    names += " cond_stage_model.model.cls_token cond_stage_model.projector.weight"
    torch.save({"state_dict": {name: torch.randn(3) for name in names.split()}}, tmp_path / "anydoor.ckpt")
    weights = expect_round_trip(tmp_path / "anydoor.ckpt", tmp_path / "back.ckpt")
    assert weights.format == "AnyDoor" and {"garment_encoder.cls_token", "garment_proj.weight"} < set(
        weights.state
    )


def test_anydoors_recipe_is_of_the_published_size():
    """Stable Diffusion 2.1 and its control branch, but for hints of 4 channels, and DINOv2's giant."""
    ours = create_on_meta(ROOT / "models" / "tryon_anydoor21.yaml").state_dict()
    base = create_on_meta(ROOT / "models" / "cldm_v21.yaml").state_dict()
    assert ours.keys() - base.keys() == {name for name in ours if name.startswith("garment_")}
    differing = {name for name, tensor in base.items() if tensor.shape != ours[name].shape}
    assert differing == {"control_model.input_hint_block.0.weight"}
    assert ours["garment_proj.weight"].shape == (1024, 1536)


def test_each_formats_recipe_is_there():
    named = [word.strip(",") for known in FORMATS.values() for word in known.suggestion.split()]
    yamls = [ROOT / word for word in named if word.endswith(".yaml")]
    assert len(yamls) == 3 and all(path.is_file() for path in yamls)


def test_what_is_missing_or_foreign_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="published try-on weights is wanted"):
        read_tryon_weights(tmp_path / "nothing.bin")
    (tmp_path / "ootd" / "unet_garm").mkdir(parents=True)
    save_file(unet_file(4, 1), tmp_path / "ootd" / "unet_garm" / "diffusion_pytorch_model.safetensors")
    with pytest.raises(
        FileNotFoundError, match="unet_vton/diffusion_pytorch_model.safetensors is wanted, beside unet_garm"
    ):
        read_tryon_weights(tmp_path / "ootd")
    save_file({"lora_A.weight": torch.zeros(1)}, tmp_path / "lora.safetensors")
    with pytest.raises(
        CheckpointError, match=f"none of OOTDiffusion's folder, {', '.join(FORMATS)}: .* lora_A.weight"
    ):
        read_tryon_weights(tmp_path / "lora.safetensors")
    state = adapter("linear")
    del state["ip_adapter"]["31.to_k_ip.weight"], state["ip_adapter"]["31.to_v_ip.weight"]
    torch.save(state, tmp_path / "short.bin")
    with pytest.raises(
        CheckpointError, match="the adapter has 15 attention layers, Stable Diffusion 1.5 has 16"
    ):
        read_tryon_weights(tmp_path / "short.bin")
