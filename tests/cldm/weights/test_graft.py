"""Grafting: the locked parts are the base's, the control branch is its copy, the rest changes nothing yet."""

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

import tool_add_control
from cldm.model import create_model, load_model
from cldm.weights.graft import MODELS, add_control, default_files, fresh_control, graft, recognise
from golden.weights import PREFIXES, weight
from ldm.checkpoint import CheckpointError, read_state_dict, write_state_dict
from small_formats import four_channels

HERE = Path(__file__).parents[2] / "helpers"
ROOT = HERE.parents[1]
GOLDEN_YAML = HERE / "golden" / "v15_32.yaml"


def base_of(yaml):
    """A base's state dict as the reference had it: no control branch, no logvar, with EMA counters."""
    with torch.device("meta"):
        wanted = create_model(yaml).state_dict()
    state = {
        name: weight(name, tensor.shape) if name.startswith(PREFIXES) else tensor
        for name, tensor in wanted.items()
        if not name.startswith("control_model.") and name != "logvar"
    }
    return state | {"model_ema.decay": torch.tensor(0.9999), "model_ema.num_updates": torch.tensor(1)}


def published_base(keys, dtype=torch.float32):
    """A full-sized base as shapes alone."""
    keys = json.loads((HERE / "data" / keys).read_text())
    shapes = keys["core"] | keys["text_encoder"]
    wanted = (name for name in shapes if not name.startswith("control_model."))
    base = {name: torch.empty(shapes[name], device="meta", dtype=dtype) for name in wanted}
    return {name: t.long() if name.endswith("position_ids") else t for name, t in base.items()}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """(yaml, base path) of a model that is built in no time, with a text encoder."""
    folder = tmp_path_factory.mktemp("small")
    config = OmegaConf.load(MODELS / "cldm_tiny.yaml")
    for stage in ("unet_config", "control_stage_config"):
        config.model.params[stage].params.update(model_channels=32, num_heads=2)
    OmegaConf.save(config, folder / "small.yaml")
    torch.manual_seed(0)
    state = create_model(folder / "small.yaml").state_dict()
    base = {name: tensor for name, tensor in state.items() if not name.startswith("control_model.")}
    write_state_dict(base, folder / "base.safetensors")
    return folder / "small.yaml", folder / "base.safetensors"


@pytest.fixture(scope="module")
def golden_run(tmp_path_factory):
    """(base, output, printed lines) of the script's main, run in another folder on a wrapped .ckpt."""
    base, printed = base_of(GOLDEN_YAML), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.chdir(tmp_path_factory.mktemp("golden"))
        torch.save({"state_dict": base}, "in.ckpt")
        patch.setattr(
            sys, "argv", ["tool_add_control.py", "in.ckpt", "out.ckpt", "--config", str(GOLDEN_YAML)]
        )
        tool_add_control.main()
        return base, torch.load("out.ckpt", weights_only=True), printed.getvalue().splitlines()


def test_the_script_makes_what_the_original_made(golden_run):
    base, output, printed = golden_run
    golden = json.loads((HERE / "golden" / "tool_add_control.json").read_text())
    assert len(output) == golden["n_output"]
    for name in golden["copied"]:
        assert torch.equal(output["control_model." + name], base["model.diffusion_model." + name]), name
    kept = [name for name in base if name not in golden["dropped"]]
    assert len(kept) == golden["n_kept"]
    assert all(torch.equal(output[name], base[name]) for name in kept)
    assert all(name in output for name in golden["new"])
    assert not any(output[name].any() for name in golden["new_all_zero"])
    assert (
        "946 tensors kept, 298 copied into the control branch, 43 new, dropped: 2 of model_ema" in printed[1]
    )
    assert len(printed) == 3


def test_the_output_has_the_order_and_the_names_of_the_model(golden_run):
    with torch.device("meta"):
        wanted = create_model(GOLDEN_YAML).state_dict()
    assert list(golden_run[1]) == list(wanted)


@pytest.mark.parametrize("keys, family", [("keys_sd15.json", "SD1.5"), ("keys_sd21.json", "SD2.1")])
def test_a_published_base_is_recognised_and_grafted_whole(keys, family):
    base = published_base(keys)
    name, yaml = recognise(base, "base")
    assert name == family
    state, report = graft(base, yaml)
    published = json.loads((HERE / "data" / keys).read_text())
    shapes = published["core"] | published["text_encoder"]
    assert {name: list(tensor.shape) for name, tensor in state.items()} == shapes
    assert (report.copied, report.new, sum(report.dropped.values())) == (298, 42, 0)


def test_the_tiny_base_is_recognised():
    with torch.device("meta"):
        base = create_model(MODELS / "cldm_tiny.yaml").state_dict()
    assert recognise(base, "base") == ("the tiny base", MODELS / "cldm_tiny.yaml")


def test_a_base_of_other_latents_is_grafted_and_loaded_by_its_own_yaml(small, tmp_path):
    config = OmegaConf.load(small[0])
    four_channels(config.model.params)
    yaml, path, output = tmp_path / "own.yaml", tmp_path / "base.ckpt", tmp_path / "out.ckpt"
    OmegaConf.save(config, yaml)
    state = create_model(yaml).state_dict()
    write_state_dict({n: t for n, t in state.items() if not n.startswith("control_model.")}, path)
    add_control(path, output, yaml)
    assert load_model(yaml, output).model.diffusion_model.out[2].weight.shape[0] == 4
    with pytest.raises(CheckpointError, match="takes 4 channels, a base with 16 is wanted"):
        add_control(path, tmp_path / "other.ckpt", small[0])
    with pytest.raises(ValueError, match="is not its yaml; --config gives another yaml"):
        load_model(small[0], output)


def test_half_precision_stays_locked_and_control_becomes_float32():
    base = published_base("keys_sd15.json", torch.float16)
    state, _ = graft(base, MODELS / "cldm_v15.yaml")
    assert {t.dtype for n, t in state.items() if n.startswith("control_model.")} == {torch.float32}
    assert {t.dtype for n, t in state.items() if n.startswith(("model.", "first_stage"))} == {torch.float16}
    assert not state["alphas_cumprod"].is_meta, "a schedule rounded to 16 bits is replaced by the exact one"
    assert state["alphas_cumprod"].dtype == torch.float32


def test_todays_transformers_names_are_taken():
    base = {name.replace(".text_model.", "."): t for name, t in published_base("keys_sd15.json").items()}
    del base["cond_stage_model.transformer.embeddings.position_ids"]
    state, report = graft(base, MODELS / "cldm_v15.yaml")
    assert "cond_stage_model.transformer.text_model.embeddings.position_ids" in state
    assert not report.dropped


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
def test_a_graft_loads_as_a_model_and_its_control_changes_nothing(small, tmp_path, suffix):
    yaml, base = small
    output = tmp_path / f"out{suffix}"
    add_control(base, output, yaml)
    model, normal = load_model(yaml, output), create_model(yaml)
    normal.load_state_dict(read_state_dict(output), strict=True)
    ours, theirs = model.state_dict(), normal.state_dict()
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)
    x, t, context = torch.randn(1, model.channels, 8, 8), torch.tensor([5]), torch.randn(1, 77, 64)
    cond = {"c_crossattn": [context], "c_concat": [torch.rand(1, 3, 64, 64)]}
    with torch.no_grad():
        assert torch.equal(model.apply_model(x, t, cond), model.apply_model(x, t, cond | {"c_concat": None}))


def test_the_control_branch_has_memory_of_its_own(small, tmp_path):
    yaml, base = small
    add_control(base, tmp_path / "out.ckpt", yaml)
    model = load_model(yaml, tmp_path / "out.ckpt")
    name = "input_blocks.0.0.weight"
    with torch.no_grad():
        model.control_model.get_parameter(name).zero_()
    assert model.model.diffusion_model.get_parameter(name).any()


def test_fresh_tensors_follow_the_seed_and_are_zero_where_a_normal_build_is(small):
    def fresh(seed):
        with torch.device("meta"):
            control = create_model(small[0]).control_model
        return fresh_control(control, seed)

    one, again, other = fresh(0), fresh(0), fresh(1)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(
        one["control_model.input_hint_block.0.weight"], other["control_model.input_hint_block.0.weight"]
    )
    normal = create_model(small[0]).state_dict()
    assert {n for n in one if not one[n].any()} == {n for n in one if not normal[n].any()}
    for name, tensor in one.items():
        assert abs(tensor.std(correction=0) - normal[name].std(correction=0)) < 0.03, name


def test_without_sd15_the_tiny_base_is_taken_and_the_way_to_sd15_told(tmp_path):
    base, output, told = default_files(tmp_path)
    assert base == tmp_path / "tiny" / "base.safetensors"
    assert output.name == "control_tiny_ini.ckpt"
    assert "README.md says where to get SD1.5" in told
    (tmp_path / "v1-5-pruned-emaonly.ckpt").touch()
    (tmp_path / "v1-5-pruned.safetensors").touch()
    base, output, told = default_files(tmp_path)
    assert base.name == "v1-5-pruned.safetensors"
    assert output.name == "control_sd15_ini.ckpt"
    assert str(base) in told


def test_help_comes_before_torch():
    code = """
import runpy, sys
sys.argv = ["tool_add_control.py", "--help"]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit:
    sys.exit("torch" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
