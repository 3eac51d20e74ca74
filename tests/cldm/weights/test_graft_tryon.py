"""Grafting a try-on recipe: what comes from the base, what is a copy, what is new and changes nothing."""

import shutil

import pytest
import torch

from cldm.model import create_on_meta, load_model
from cldm.tryon.attention import Tokens
from cldm.tryon.dinov2 import DinoV2
from cldm.weights.graft import add_control
from cldm.weights.graft_tryon import BESIDE, REPAINTING, graft_recipe
from ldm.checkpoint import CheckpointError, read_state_dict, write_state_dict
from sources import ROOT

BASE = ROOT / "models" / "tiny" / "base.safetensors"
RECIPES = sorted((ROOT / "models").glob("tryon_tiny_*.yaml"))
PERSON = "model.diffusion_model."
STEM = PERSON + "input_blocks.0.0.weight"


@pytest.fixture(scope="module")
def base():
    return read_state_dict(BASE)


@pytest.fixture(scope="module")
def beside(base, tmp_path_factory):
    """The tiny base in a folder with a first convolution that repaints: (path, that convolution)."""
    path, channels = tmp_path_factory.mktemp("base") / "base.safetensors", len(base[PERSON + "out.2.weight"])
    shutil.copy(BASE, path)
    new = torch.randn(64, channels + 1, 3, 3, generator=torch.Generator().manual_seed(0)).half()
    repainting = torch.cat([base[STEM], new], 1)
    write_state_dict({STEM: repainting}, path.with_name(BESIDE), overwrite=True)
    return path, repainting


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_the_tiny_base_becomes_each_recipe(recipe, base, beside, tmp_path):
    path, repainting = beside
    family, report = add_control(path, tmp_path / "out.safetensors", str(recipe))
    model = load_model(recipe, tmp_path / "out.safetensors")
    text = str(report)
    assert text.startswith("from the base, as they are:") and "248" not in family
    state = model.state_dict()
    for name, tensor in base.items():
        if name in state and name != STEM:
            assert torch.equal(state[name], tensor), name
    parts = dict(zip(model.inputs, state[STEM].split(list(model.inputs.values()), dim=1), strict=True))
    assert torch.equal(parts["noisy"], base[STEM])
    if set(REPAINTING) <= parts.keys():
        assert torch.equal(torch.cat([parts[name] for name in ("noisy", *REPAINTING)], 1), repainting)
        assert f"is {BESIDE}'s and reads {state[STEM].shape[1]} channels." in text
    else:
        assert not parts["agnostic"].any() and "start at zero" in text


def test_a_base_that_repaints_is_put_in_the_recipes_order_of_inputs(base):
    """Stable Diffusion's inpainting bases read the mask first; a recipe may ask for more than they read."""
    channels, generator = len(base[PERSON + "out.2.weight"]), torch.Generator().manual_seed(0)
    mask, agnostic = (torch.randn(64, num, 3, 3, generator=generator) for num in (1, channels))
    published = base | {STEM: torch.cat([base[STEM], mask, agnostic], 1)}
    for name, order in (("catvton", (mask, agnostic)), ("joint", (agnostic, mask))):
        state, report = graft_recipe(published, ROOT / "models" / f"tryon_tiny_{name}.yaml")
        assert torch.equal(state[STEM], torch.cat([base[STEM], *order], 1)) and not report.widened
    assert torch.equal(state["garment_model.input_blocks.0.0.weight"], base[STEM].float())
    told = rf"{STEM} is \[64, {2 * channels + 1}, 3, 3\] in the file, \[64, {2 * channels}, 3, 3\]"
    with pytest.raises(CheckpointError, match=told):
        graft_recipe(published, ROOT / "models" / "tryon_tiny_ootd.yaml")


def test_repainting_beside_another_base_is_refused(base, beside, tmp_path):
    recipe, path = str(ROOT / "models" / "tryon_tiny_joint.yaml"), tmp_path / "base.safetensors"
    write_state_dict(base | {STEM: base[STEM] + 1}, path)
    shutil.copy(beside[0].with_name(BESIDE), tmp_path)
    inputs = beside[1].shape[1]
    told = f"{BESIDE} is not of .*must have {inputs} inputs.*move it elsewhere"
    with pytest.raises(CheckpointError, match=told):
        add_control(path, tmp_path / "out.safetensors", recipe)
    (tmp_path / BESIDE).unlink()
    _, report = add_control(path, tmp_path / "out.safetensors", recipe)
    assert f"the new {inputs - base[STEM].shape[1]} start at zero" in report.widened


def test_a_garments_network_is_a_copy_of_the_base(base):
    state, report = graft_recipe(base, ROOT / "models" / "tryon_tiny_joint.yaml")
    for name in (n for n in state if n.startswith("garment_model.")):
        source = base[name.replace("garment_model.", PERSON)]
        assert torch.equal(state[name], source.float()) and state[name].dtype == torch.float32
    assert report.copied["garment_model"] == sum(name.startswith(PERSON) for name in base)
    channels = base[STEM].shape[1]
    new = f"reads {2 * channels + 1} channels; the new {channels + 1} start at zero"
    assert new in report.widened


def test_new_layers_begin_as_the_base_and_change_nothing(tmp_path, base):
    recipe = ROOT / "models" / "tryon_tiny_locked.yaml"
    write_state_dict(graft_recipe(base, recipe)[0], tmp_path / "out.safetensors")
    model = load_model(recipe, tmp_path / "out.safetensors").float()
    unet = model.model.diffusion_model
    keys = "middle_block.1.transformer_blocks.0.attn1.to_k"
    assert torch.equal(unet.get_submodule(keys).weight, unet.get_submodule(keys + "_ref").weight)
    channels, width = model.channels, sum(model.inputs.values())
    x, t, context = torch.randn(2, width, 16, 12), torch.tensor([5, 900]), torch.randn(2, 7, 64)
    emb = model.garment_model.embed_time(torch.zeros(2))
    garment = model.garment_model(torch.randn(2, channels, 16, 12), emb, context)
    with torch.no_grad():
        alone = unet(x, t, Tokens(context))
        assert torch.equal(unet(x, t, Tokens(context, references=garment)), alone)
        others = torch.cat([x[:, :channels], torch.randn(2, width - channels, 16, 12)], dim=1)
        assert torch.allclose(unet(others, t, Tokens(context)), alone, atol=1e-5)


def test_what_is_new_follows_the_seed(base):
    recipe = ROOT / "models" / "tryon_tiny_fastfit.yaml"
    states = [graft_recipe(base, recipe, seed=seed)[0] for seed in (0, 0, 1)]
    same, other = (
        torch.equal(states[0]["garment_classes.weight"], s["garment_classes.weight"]) for s in states[1:]
    )
    assert same and not other
    first = states[0]["garment_first.weight"]
    assert torch.equal(first, base[STEM].float())


def test_a_base_that_lacks_something_is_named(base):
    short = {name: tensor for name, tensor in base.items() if "output_blocks.2.0" not in name}
    with pytest.raises(
        CheckpointError, match="the base lacks .* the first is model.diffusion_model.output_blocks.2.0"
    ):
        graft_recipe(short, ROOT / "models" / "tryon_tiny_catvton.yaml")
    broken = base | {PERSON + "out.2.bias": torch.full_like(base[PERSON + "out.2.bias"], float("nan"))}
    with pytest.raises(CheckpointError, match="out.2.bias"):
        graft_recipe(broken, ROOT / "models" / "tryon_tiny_catvton.yaml")


def test_a_part_comes_from_a_file(tmp_path, base):
    with pytest.raises(ValueError, match="the recipe has no part 'coat'; it has model, "):
        graft_recipe(base, ROOT / "models" / "tryon_tiny_joint.yaml", parts=dict(coat=BASE))
    torch.save({"cls_token": torch.zeros(1)}, tmp_path / "dino.pth")
    model = create_on_meta(ROOT / "models" / "tryon_anydoor.yaml")
    assert isinstance(model.garment_encoder, DinoV2)
    with pytest.raises(CheckpointError, match="lacks .* tensors of garment_encoder, the first is"):
        graft_recipe(
            base, ROOT / "models" / "tryon_anydoor.yaml", parts=dict(garment_encoder=tmp_path / "dino.pth")
        )
    with pytest.raises(ValueError, match="--part is of try-on recipes"):
        add_control(BASE, tmp_path / "out.ckpt", parts=dict(garment_encoder=BASE))
