"""Weights of others: what they say of themselves runs nothing and misleads nobody, what they lack is told."""

import json
import shutil

import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file

from batches.cache.encoders import load_encoders
from cldm.model import load_model
from cldm.weights.convert import convert, read_weights
from cldm.weights.families import Weights, base_of, config_of, own_config
from cldm.weights.graft import CONTROL, MODELS, UNET, add_control, graft
from cldm.weights.load import load_control
from cldm.weights.transfer import transfer
from ldm.checkpoint import CheckpointError, read_metadata, read_state_dict, write_state_dict
from small_formats import same, trained_model, write_whole, write_yaml

TINY, TINY_YAML = MODELS / "tiny" / "base.safetensors", MODELS / "cldm_tiny.yaml"
TOWER = "cond_stage_model.model."


@pytest.fixture(scope="module")
def grafted(tmp_path_factory):
    """The tensors of the tiny base with a fresh branch."""
    path = tmp_path_factory.mktemp("grafted") / "ini.ckpt"
    torch.manual_seed(0)
    add_control(TINY, path)
    return read_state_dict(path)


def control_file(path, grafted, **metadata):
    state = {name: tensor for name, tensor in grafted.items() if name.startswith(CONTROL)}
    write_state_dict(state, path, metadata)
    return path


@pytest.fixture
def evil(tmp_path):
    """A yaml on the disk whose target would leave a file."""
    config = OmegaConf.load(TINY_YAML)
    command = dict(target="subprocess.check_output", params=dict(args=["touch", str(tmp_path / "victim")]))
    config.model.params.cond_stage_config = command
    (tmp_path / "models").mkdir()
    OmegaConf.save(config, tmp_path / "models" / "evil.yaml")
    yield tmp_path / "models" / "evil.yaml"
    assert not (tmp_path / "victim").exists()


def test_a_yaml_that_metadata_name_is_not_even_read(tmp_path, grafted, evil):
    """By conversion, in both keys, whole and alone, by drawing, and by a cache's encoders."""
    for i, metadata in enumerate([dict(config=str(evil)), dict(options=dict(model=str(evil)))]):
        control = control_file(tmp_path / f"{i}.safetensors", grafted, **metadata)
        said = convert(control, tmp_path / f"out{i}.safetensors")
        assert f"its yaml {evil} is no model's of models/: taken for the tiny base (cldm_tiny.yaml)" in said
        assert "give --config YAML" in said
        loaded = load_control(control, None, "cpu", TINY)
        assert loaded.config == str(TINY_YAML) and "--config" in loaded.notes[0]
        write_state_dict(grafted, tmp_path / f"whole{i}.safetensors", metadata)
        load_encoders(tmp_path / f"whole{i}.safetensors")
        convert(tmp_path / f"whole{i}.safetensors", tmp_path / f"folder{i}")
        convert(tmp_path / f"folder{i}", tmp_path / f"again{i}.safetensors")
        with pytest.raises(ValueError, match="evil.yaml: target 'subprocess.check_output' is no dotted path"):
            convert(control, tmp_path / "given.safetensors", config=evil)


HERE = "models/cldm_v21_768.yaml"


@pytest.mark.parametrize(
    ("named", "found"),
    [
        (HERE, True),
        ("cldm_v21_768.yaml", True),
        (f"/somebody/garments/{HERE}", True),
        ("\\garments\\models\\cldm_v21_768.yaml", True),
        ("models\\cldm_v21_768.yaml", True),
        ("models/../models/cldm_v21_768.yaml", True),
        ("/somebody/other/cldm_v21_768.yaml", False),
        ("models/../evil/cldm_v21_768.yaml", False),
        ("models/cldm_v21_768.yaml/..", False),
        ("models/", False),
        ("models/..", False),
        ("models/README.md", False),
        ("models/train_tiny.yaml", False),
        ("models/cldm_v21_768.yaml\\0", False),
        ("x" * 900, False),
        ("", False),
    ],
)
def test_a_yaml_counts_by_its_name_in_models_wherever_a_file_was_made(named, found):
    weights = Weights({}, dict(config=named), "x")
    assert own_config(weights) == (MODELS / "cldm_v21_768.yaml" if found else None)


@pytest.mark.parametrize("named", ["models/train_tiny.yaml", "models/of_nobody.yaml"])
def test_a_yaml_that_is_missing_or_no_models_gives_way_to_the_shapes_in_one_line(tmp_path, grafted, named):
    line = (
        f"its yaml {named} is no model's of models/: taken for the tiny base (cldm_tiny.yaml) by its shapes"
    )
    for metadata in (dict(config=named), dict(options=dict(model=named))):
        write_state_dict(grafted, tmp_path / "whole.safetensors", metadata, overwrite=True)
        control = tmp_path / "control.safetensors"
        control.unlink(missing_ok=True)
        for path in (tmp_path / "whole.safetensors", control_file(control, grafted, **metadata)):
            loaded = load_control(path, None, "cpu", None if path != control else TINY)
            assert loaded.config == str(TINY_YAML)
            assert len(loaded.notes) == 1 and loaded.notes[0].startswith(line)
    assert load_encoders(tmp_path / "whole.safetensors")[1] == load_encoders(TINY)[1]


def test_a_link_in_models_is_no_yaml_of_ours(tmp_path, evil, monkeypatch):
    (tmp_path / "own").mkdir()
    shutil.copy(TINY_YAML, tmp_path / "own")
    (tmp_path / "own" / "link.yaml").symlink_to(evil)
    monkeypatch.setattr("cldm.weights.families.MODELS", tmp_path / "own")
    assert own_config(Weights({}, dict(config="link.yaml"), "x")) is None
    assert own_config(Weights({}, dict(config="cldm_tiny.yaml"), "x"))


@pytest.mark.parametrize("value", [5, ["a"], dict(a=1), 2.5, "x" * 2000])
@pytest.mark.parametrize("key", ["config", "base", "model"])
def test_metadata_of_a_wrong_type_are_told_by_key_and_file(key, value):
    weights = Weights({}, dict(options={key: value}), "x.safetensors")
    wrong = r"a text of 2,000 letters, 1,000 at most are read" if isinstance(value, str) else "no text"
    with pytest.raises(CheckpointError, match=f"x.safetensors: {key} of its metadata is {wrong}: ") as caught:
        base_of(weights) if key == "base" else own_config(weights)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("value", ["perhaps", [1], {"a": 1}])
def test_a_claim_that_is_neither_true_nor_false_is_told(value):
    with pytest.raises(
        CheckpointError, match="x: zero_terminal_snr of its metadata is neither true nor false"
    ):
        Weights({}, dict(options=dict(zero_terminal_snr=value)), "x").recorded("zero_terminal_snr", bool)
    for text, flag in (("False", False), ("true", True)):
        assert Weights({}, dict(zero_terminal_snr=text), "x").recorded("zero_terminal_snr", bool) is flag


@pytest.mark.parametrize(
    "hint", ["red", [1], dict(names=3), dict(names=["a"] * 300, colours=[[0, 0, 0]] * 300)]
)
def test_a_damaged_hint_is_told_by_its_file(tmp_path, grafted, hint):
    control = control_file(tmp_path / "x.safetensors", grafted, hint=hint)
    with pytest.raises(CheckpointError, match="x.safetensors: hint of its metadata: "):
        load_control(control, None, "cpu", TINY)


def test_a_base_is_found_by_its_name_in_models(tmp_path, monkeypatch):
    (tmp_path / "base.safetensors").touch()
    monkeypatch.setattr("cldm.weights.families.MODELS", tmp_path)
    for named in (
        "/gone/base.safetensors",
        "\\gone\\base.safetensors",
        "\\\\evil\\share\\base.safetensors",
    ):
        assert base_of(Weights({}, dict(base=named), "x")) == tmp_path / "base.safetensors"
    assert not base_of(Weights({}, dict(base="//evil/share/other.safetensors"), "x")).is_absolute()
    monkeypatch.chdir(tmp_path.parent)
    assert base_of(Weights({}, dict(base=f"{tmp_path.name}\\base.safetensors"), "x")).samefile(
        tmp_path / "base.safetensors"
    )


def test_a_control_of_other_shapes_names_its_yaml_and_the_option(tmp_path):
    yaml, _, whole = write_whole(tmp_path, "sd15")
    with pytest.raises(
        CheckpointError, match=r"fits no known family .*give --config .*metadata name .*sd15.yaml"
    ):
        read_and_find(whole)
    state = read_state_dict(whole)
    first = f"{CONTROL}input_hint_block.0.weight"
    state[first] = torch.zeros(16, 6, 3, 3)
    write_state_dict(state, tmp_path / "six.safetensors")
    with pytest.raises(CheckpointError, match="its hints have 6 channels: give --config .* hint_channels: 6"):
        convert(tmp_path / "six.safetensors", tmp_path / "out.safetensors", config=yaml)


def read_and_find(path):
    return config_of(read_weights(path))


@pytest.fixture(scope="module")
def sd21(tmp_path_factory):
    """(yaml, tensors of a base of SD2.1's shapes)."""
    yaml = write_yaml(tmp_path_factory.mktemp("sd21") / "small.yaml", "sd21_v")
    state = trained_model(yaml).state_dict()
    return yaml, {name: tensor for name, tensor in state.items() if not name.startswith(CONTROL)}


def unused(name):
    return name.startswith(
        (f"{TOWER}text_projection", f"{TOWER}logit_scale", f"{TOWER}transformer.resblocks.2.")
    )


@torch.no_grad()
def test_what_no_context_depends_on_may_lack(sd21, tmp_path):
    """As in files of SD2.1 that diffusers' own script has written."""
    yaml, base = sd21
    partial = {name: tensor for name, tensor in base.items() if not unused(name)}
    assert len(base) - len(partial) == 14
    whole, cut = (graft(state, yaml)[0] for state in (base, partial))
    assert whole.keys() == cut.keys() and all(torch.equal(whole[n], cut[n]) for n in whole if not unused(n))
    prompts, contexts = ["a red dress", ""], []
    for i, state in enumerate((whole, cut)):
        write_state_dict(state, tmp_path / f"{i}.ckpt")
        contexts.append(load_model(yaml, tmp_path / f"{i}.ckpt").get_learned_conditioning(prompts))
    assert torch.equal(*contexts)
    write_state_dict(partial, tmp_path / "base.safetensors")
    encoders, digest = load_encoders(tmp_path / "base.safetensors", yaml)
    assert torch.equal(encoders.cond_stage_model(prompts), contexts[0])
    assert digest == load_encoders(tmp_path / "1.ckpt", yaml)[1]
    convert(tmp_path / "base.safetensors", tmp_path / "out.safetensors", config=yaml)
    del partial[f"{TOWER}transformer.resblocks.1.ln_1.bias"]
    with pytest.raises(CheckpointError, match="1 of cond_stage_model; the first is .*resblocks.1.ln_1.bias"):
        graft(partial, yaml)


NEW = dict(q="to_q", k="to_k", v="to_v", proj_out="to_out.0")
OLD = dict(q="query", k="key", v="value", proj_out="proj_attn")


@pytest.mark.parametrize("names", [NEW, OLD, {}])
@pytest.mark.parametrize("flat", [True, False])
def test_an_autoencoder_of_diffusers_names_and_shapes_is_the_same(sd21, tmp_path, names, flat):
    yaml, base = sd21
    theirs = {}
    for name, tensor in base.items():
        before, found, after = name.partition(".mid.attn_1.")
        part, _, kind = after.rpartition(".")
        convolution = found and kind == "weight" and part in OLD
        name = f"{before}{found}{names.get(part, part)}.{kind}" if found else name
        theirs[name] = tensor[:, :, 0, 0].contiguous() if convolution and flat else tensor
    assert bool(names) == (theirs.keys() != base.keys())
    assert same(graft(theirs, yaml)[0], graft(base, yaml)[0])
    write_state_dict(theirs, tmp_path / "base.safetensors")
    convert(tmp_path / "base.safetensors", tmp_path / "out.safetensors", config=yaml)
    assert same(read_state_dict(tmp_path / "out.safetensors"), base)
    assert (
        load_encoders(tmp_path / "base.safetensors", yaml)[1]
        == load_encoders(tmp_path / "out.safetensors", yaml)[1]
    )


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("name", [f"{UNET}out.2.bias", "first_stage_model.decoder.conv_in.bias"])
def test_one_number_that_is_none_is_refused_by_its_tensor(sd21, tmp_path, name, value):
    yaml, base = sd21
    write_state_dict(base, tmp_path / "good.safetensors")
    broken = {**base, name: base[name].clone()}
    broken[name][0] = value
    write_state_dict(broken, tmp_path / "bad.safetensors")
    bad, good = tmp_path / "bad.safetensors", tmp_path / "good.safetensors"
    add_control(good, tmp_path / "whole.safetensors", yaml)
    with pytest.raises(CheckpointError, match=f"bad.safetensors: {name} holds infinite values or no numbers"):
        add_control(bad, tmp_path / "out.safetensors", yaml)
    with pytest.raises(CheckpointError, match=f"bad.safetensors: {name} holds infinite values or no numbers"):
        convert(bad, tmp_path / "out.safetensors", config=yaml)
    for base_path, new in ((bad, good), (good, bad)):
        with pytest.raises(CheckpointError, match=f"bad.safetensors: {name} holds infinite"):
            transfer(base_path, tmp_path / "whole.safetensors", new, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_a_yaml_with_less_attention_than_the_base_drops_nothing_in_silence(sd21, tmp_path):
    yaml, base = sd21
    config = OmegaConf.load(yaml)
    for stage in ("unet_config", "control_stage_config"):
        config.model.params[stage].params.attention_resolutions = [2]
    OmegaConf.save(config, tmp_path / "less.yaml")
    with pytest.raises(
        CheckpointError, match="has a larger U-Net than .*less.yaml: no place for [0-9]+ of its"
    ):
        graft(base, tmp_path / "less.yaml")


@pytest.fixture
def folder(grafted, tmp_path):
    """A ControlNetModel's folder, and the tensors in it by our names."""
    state = {n: t + 0.1 if "hint" in n else t for n, t in grafted.items()}
    control_file(tmp_path / "control.safetensors", state)
    convert(tmp_path / "control.safetensors", tmp_path / "control")
    return tmp_path / "control", read_state_dict(tmp_path / "control.safetensors")


def change(folder, **settings):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


@torch.no_grad()
def test_hints_of_blue_green_red_give_the_same_residuals(folder):
    path, state = folder
    change(path, controlnet_conditioning_channel_order="bgr")
    weights = read_weights(path)
    first = f"{CONTROL}input_hint_block.0.weight"
    assert {n for n, t in weights.state.items() if not torch.equal(t, state[n])} == {first}
    hint = torch.rand(1, 3, 8, 8)
    ours = torch.nn.functional.conv2d(hint, weights.state[first])
    assert torch.allclose(ours, torch.nn.functional.conv2d(hint.flip(1), state[first]), atol=1e-6)
    convert(path, path.with_name("again"))
    assert (
        json.loads((path.with_name("again") / "config.json").read_text())[
            "controlnet_conditioning_channel_order"
        ]
        == "rgb"
    )
    assert same(read_weights(path.with_name("again")).state, weights.state)
    assert "BGR" in " ".join(weights.notes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(global_pool_conditions=True), "global_pool_conditions is True"),
        (dict(controlnet_conditioning_channel_order="grb"), "controlnet_conditioning_channel_order is 'grb'"),
        (dict(attention_head_dim=5), "attention_head_dim is 5"),
        (dict(act_fn="gelu"), "act_fn is gelu"),
        (dict(flip_sin_to_cos=False), "flip_sin_to_cos is False"),
        (dict(conditioning_channels=6), "conditioning_channels is 6"),
        (dict(block_out_channels="many"), "block_out_channels is many"),
    ],
)
def test_settings_that_compute_otherwise_are_refused_by_file_and_key(folder, settings, message):
    change(folder[0], **settings)
    with pytest.raises(CheckpointError, match=f"config.json: {message}") as caught:
        read_weights(folder[0])
    assert len(str(caught.value).splitlines()) == 1


def test_settings_that_a_pipelines_parts_have_are_looked_at(grafted, tmp_path):
    write_state_dict(grafted, tmp_path / "whole.safetensors")
    convert(tmp_path / "whole.safetensors", tmp_path / "pipeline")
    for part, settings in {
        "vae": dict(scaling_factor=0.13025),
        "text_encoder": dict(hidden_act="gelu"),
        "unet": dict(resnet_time_scale_shift="scale_shift"),
        "scheduler": dict(beta_end=0.02),
    }.items():
        name = "scheduler_config.json" if part == "scheduler" else "config.json"
        path = tmp_path / "pipeline" / part / name
        before = path.read_text()
        path.write_text(json.dumps(json.loads(before) | settings))
        with pytest.raises(CheckpointError, match=f"{part}/{name}: {next(iter(settings))} is "):
            read_weights(tmp_path / "pipeline")
        path.write_text(before)
    assert same(read_weights(tmp_path / "pipeline").state, grafted)


def test_a_folder_one_level_down_is_found_and_one_further_is_named(folder, tmp_path):
    path, state = folder
    for step in (500, 1000):
        shutil.copytree(path, tmp_path / "out" / f"checkpoint-{step}" / "controlnet")
    assert same(read_weights(tmp_path / "out" / "checkpoint-500").state, state)
    with pytest.raises(CheckpointError, match="give one of its checkpoints, such as .*checkpoint-1000"):
        read_weights(tmp_path / "out")


def test_settings_without_end_are_told(folder):
    (folder[0] / "config.json").write_text("[" * 100_000)
    with pytest.raises(CheckpointError, match="config.json is no JSON"):
        read_weights(folder[0])


def test_wrapped_weights_of_a_folder_are_unwrapped(folder):
    path, state = folder
    file = path / "diffusion_pytorch_model.safetensors"
    save_file({f"module.{name}": tensor for name, tensor in load_file(file).items()}, file)
    assert same(read_weights(path).state, state)
    assert read_metadata(file) == {}
