"""From a yaml and a checkpoint file to a model: what is accepted, what is refused, and in which words."""

import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import save_file

from cldm.model import create_model, get_state_dict, load_model, load_state_dict
from small import small_config, small_model

TEXT = dict(version=None, vocab_size=100, hidden_size=16, intermediate_size=32, num_hidden_layers=1)
CLIP = dict(
    cond_stage_config=dict(
        target="ldm.modules.encoders.modules.FrozenCLIPEmbedder", params=TEXT | dict(num_attention_heads=2)
    )
)


@pytest.fixture
def files(tmp_path):
    """A function: (state dict, **options of the model) -> (yaml path, checkpoint path)."""

    def write(state, suffix=".ckpt", **options):
        config, checkpoint = tmp_path / "model.yaml", tmp_path / f"model{suffix}"
        OmegaConf.save(OmegaConf.create(dict(model=small_config(**options))), config)
        state = {k: v.clone() for k, v in state.items()}
        save_file(state, checkpoint) if suffix == ".safetensors" else torch.save(state, checkpoint)
        return config, checkpoint

    return write


@pytest.fixture(scope="module")
def trained():
    return small_model(zeros=False)


def test_create_model_builds_what_the_yaml_describes(files):
    config, _ = files({})
    for path in (config, str(config)):
        model = create_model(path)
        assert model.device.type == "cpu" and model.control_key == "hint"


def test_a_yaml_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.yaml"):
        create_model(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
def test_a_loaded_model_has_the_files_weights_and_is_ready(files, trained, suffix):
    model = load_model(*files(trained.state_dict(), suffix))
    ours = model.state_dict()
    assert all(torch.equal(ours[k], v) for k, v in trained.state_dict().items())
    assert not model.training and model.device.type == "cpu"
    assert {k.split(".")[0] for k, p in model.named_parameters() if p.requires_grad} == {"control_model"}


def test_a_wrapped_state_dict_is_unwrapped(tmp_path, trained):
    state = trained.state_dict()
    assert get_state_dict(dict(state_dict=state)) is state and get_state_dict(state) is state
    torch.save(dict(state_dict=state, global_step=3), tmp_path / "lightning.ckpt")
    loaded = load_state_dict(tmp_path / "lightning.ckpt", location="cpu")
    assert loaded.keys() == state.keys()


def test_16_bit_weights_stay_16_bit_and_the_schedule_exact(files, trained):
    half = {k: v.half() for k, v in trained.state_dict().items()}
    model = load_model(*files(half))
    assert {p.dtype for p in model.parameters()} == {torch.float16}
    assert torch.equal(model.alphas_cumprod, trained.alphas_cumprod)


def test_a_schedule_that_the_file_leaves_out_is_the_yamls(files, trained):
    weights = {k: v for k, v in trained.state_dict().items() if k in dict(trained.named_parameters())}
    assert torch.equal(load_model(*files(weights)).alphas_cumprod, trained.alphas_cumprod)


def test_text_towers_of_newer_transformers_load(files):
    """They lack the level `text_model.` and the buffer `position_ids`."""
    model = small_model(zeros=False, **CLIP)
    state = {
        k.replace(".text_model.", "."): v for k, v in model.state_dict().items() if "position_ids" not in k
    }
    loaded = load_model(*files(state, **CLIP)).state_dict()
    assert all(torch.equal(loaded[k], v) for k, v in model.state_dict().items())


@pytest.mark.parametrize(
    "change, complaint",
    [
        (
            lambda state: state.pop("control_model.zero_convs.0.0.weight"),
            "no tensor for control_model.zero_convs.0.0",
        ),
        (lambda state: state.update({"model_ema.decay": torch.ones(1)}), "beyond it, model_ema.decay"),
        (lambda state: state.update({"betas": torch.ones(7)}), "another shape for betas"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused_by_name(files, trained, change, complaint):
    state = dict(trained.state_dict())
    change(state)
    config, checkpoint = files(state)
    with pytest.raises(ValueError, match=complaint) as error:
        load_model(config, checkpoint)
    assert str(config) in str(error.value) and str(checkpoint) in str(error.value)


def test_a_base_without_control_is_refused_with_a_count(files, trained):
    state = {k: v for k, v in trained.state_dict().items() if not k.startswith("control_model.")}
    with pytest.raises(ValueError, match=r"no tensor for control_model\..* and \d+ more"):
        load_model(*files(state))


@pytest.mark.parametrize(
    ("part", "remedy"),
    [
        ("model.", "graft it first, python tool_add_control.py"),
        ("control_model.", "tool_convert.py .* --full"),
    ],
)
def test_half_a_model_is_refused_with_the_command_that_makes_it_whole(files, trained, part, remedy):
    half = {name: tensor for name, tensor in trained.state_dict().items() if name.startswith(part)}
    with pytest.raises(ValueError, match=remedy):
        load_model(*files(half))
