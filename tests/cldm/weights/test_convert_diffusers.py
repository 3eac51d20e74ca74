"""Folders of diffusers: it loads them whole and computes the same, and the way back is exact to the bit."""

import pytest
import torch
from diffusers import AutoencoderKL, ControlNetModel, StableDiffusionControlNetPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel, CLIPTokenizer

from cldm.ddim_hacked import DDIMSampler
from cldm.model import load_model
from cldm.weights.convert import control_alone, convert, read_weights
from cldm.weights.diffusers_folder import EXTRA
from cldm.weights.graft import CONTROL
from ldm.checkpoint import read_metadata, read_state_dict
from small_formats import KINDS, metadata_of, same, write_whole

# no "!": SD2's tokenizer in diffusers, the published one too, takes it for padding
PROMPTS = ["a woman in a red striped dress", "Two men, jeans & T-shirts (XXL)?"]


@pytest.fixture(scope="module", params=KINDS)
def whole(request, tmp_path_factory):
    """(yaml, model, its file, the pipeline's folder made of it)."""
    folder = tmp_path_factory.mktemp(request.param)
    yaml, model, file = write_whole(folder, request.param)
    convert(file, folder / "pipeline", config=yaml)
    return yaml, model, file, folder / "pipeline"


def inputs():
    random = torch.Generator().manual_seed(1)
    x, context = torch.randn(2, 4, 8, 8, generator=random), torch.randn(2, 77, 64, generator=random)
    return x, torch.tensor([1, 701]), context, torch.rand(2, 3, 64, 64, generator=random)


def load(kind, folder):
    """What from_pretrained makes of a folder, if it finds each tensor and no other."""
    loaded, info = kind.from_pretrained(folder, output_loading_info=True)
    assert not any(info[problem] for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    return loaded.eval()


def assert_equal(ours, theirs, tolerance=2e-5):
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max()


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_the_way_to_diffusers_and_back_changes_no_bit(whole, tmp_path, suffix):
    yaml, _, file, folder = whole
    convert(folder, tmp_path / f"back{suffix}", config=yaml)
    assert same(read_state_dict(tmp_path / f"back{suffix}"), read_state_dict(file))
    assert read_metadata(tmp_path / f"back{suffix}") == (metadata_of(yaml) if suffix != ".ckpt" else {})


@torch.no_grad()
def test_unet_and_control_compute_the_same(whole):
    _, ours, _, folder = whole
    unet, control = load(UNet2DConditionModel, folder / "unet"), load(ControlNetModel, folder / "controlnet")
    x, t, context, hint = inputs()
    down, middle = control(x, t, context, controlnet_cond=hint, return_dict=False)
    for a, b in zip(ours.control_model(x, hint, t, context), [*down, middle], strict=True):
        assert_equal(a, b)
    residuals = dict(down_block_additional_residuals=down, mid_block_additional_residual=middle)
    cond = dict(c_crossattn=[context], c_concat=[hint])
    assert_equal(ours.apply_model(x, t, cond), unet(x, t, context, **residuals).sample)


@torch.no_grad()
def test_the_autoencoder_computes_the_same(whole):
    _, ours, _, folder = whole
    vae, images = load(AutoencoderKL, folder / "vae"), inputs()[3] * 2 - 1
    assert_equal(ours.encode_first_stage(images).parameters, vae.encode(images).latent_dist.parameters)
    latents = inputs()[0]
    assert_equal(ours.first_stage_model.decode(latents), vae.decode(latents).sample)
    assert vae.config.scaling_factor == ours.scale_factor


@torch.no_grad()
def test_prompts_are_read_the_same(whole):
    _, ours, _, folder = whole
    tower, tokenizer = (
        load(CLIPTextModel, folder / "text_encoder"),
        CLIPTokenizer.from_pretrained(folder / "tokenizer"),
    )
    tokens = tokenizer(PROMPTS, padding="max_length", truncation=True, return_tensors="pt").input_ids
    assert torch.equal(tokens, ours.cond_stage_model.tokenizer(PROMPTS))
    assert_equal(ours.get_learned_conditioning(PROMPTS), tower(tokens)[0])


@torch.no_grad()
def test_their_pipeline_draws_from_the_folder_what_ours_draws(whole):
    _, ours, _, folder = whole
    pipeline = StableDiffusionControlNetPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    x, _, _, hint = (tensor[:1] for tensor in inputs())
    options = dict(num_inference_steps=5, guidance_scale=3.0, output_type="latent")
    theirs = pipeline(PROMPTS[0], hint, latents=x, height=64, width=64, **options).images
    cond, uncond = (
        dict(c_crossattn=[ours.get_learned_conditioning([text])], c_concat=[hint])
        for text in (PROMPTS[0], "")
    )
    guidance = dict(unconditional_guidance_scale=3.0, unconditional_conditioning=uncond)
    drawn, _ = DDIMSampler(ours).sample(5, 1, (4, 8, 8), cond, x_T=x, verbose=False, **guidance)
    assert_equal(drawn, theirs, tolerance=1e-4)


def test_a_control_branch_alone_is_a_folder_of_its_own(whole, tmp_path):
    yaml, ours, file, _ = whole
    convert(file, tmp_path / "control", control_only=True, config=yaml)
    load(ControlNetModel, tmp_path / "control")
    convert(tmp_path / "control", tmp_path / "back.safetensors", config=yaml)
    expected = {name: t for name, t in ours.state_dict().items() if name.startswith(CONTROL)}
    assert same(read_state_dict(tmp_path / "back.safetensors"), expected)
    assert read_metadata(tmp_path / "back.safetensors") == metadata_of(yaml)


def test_what_diffusers_saves_is_read(whole, tmp_path):
    yaml, ours, _, folder = whole
    load(ControlNetModel, folder / "controlnet").save_pretrained(tmp_path / "trained")
    convert(tmp_path / "trained", tmp_path / "control.safetensors", config=yaml)
    expected = control_alone(read_weights(whole[2])).state
    assert same(read_state_dict(tmp_path / "control.safetensors"), expected)


def test_a_pipeline_of_strangers_becomes_a_model_that_loads(whole, tmp_path):
    """Without our extra file and metadata, with the names of diffusers before 0.18 and of transformers 5."""
    yaml, ours, _, folder = whole
    for part in ("unet", "controlnet", "vae", "text_encoder"):
        (tmp_path / "theirs" / part).mkdir(parents=True)
        name = "model" if part == "text_encoder" else "diffusion_pytorch_model"
        state = load_file(folder / part / f"{name}.safetensors")
        if part == "vae":
            for today, old in (
                ("to_q", "query"),
                ("to_k", "key"),
                ("to_v", "value"),
                ("to_out.0", "proj_attn"),
            ):
                state = {key.replace(today, old): tensor for key, tensor in state.items()}
        state = {key.removeprefix("text_model."): tensor for key, tensor in state.items()}
        save_file(state, tmp_path / "theirs" / part / f"{name}.safetensors")
    assert not (tmp_path / "theirs" / EXTRA).exists()
    report = convert(tmp_path / "theirs", tmp_path / "ours.safetensors", config=yaml)
    assert ("never used are zeros" in report) == (ours.parameterization == "v")
    loaded = load_model(yaml, tmp_path / "ours.safetensors")
    x, t, _, hint = inputs()
    with torch.no_grad():
        cond = [
            dict(c_crossattn=[m.get_learned_conditioning(PROMPTS)], c_concat=[hint]) for m in (loaded, ours)
        ]
        assert torch.equal(loaded.apply_model(x, t, cond[0]), ours.apply_model(x, t, cond[1]))
        assert torch.equal(loaded.decode_first_stage(x), ours.decode_first_stage(x))
