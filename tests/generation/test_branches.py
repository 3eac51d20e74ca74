"""Further controls are loaded over a model that is there; one of another family is refused by name."""

import pytest
import torch
from omegaconf import OmegaConf

from cldm.weights.convert import control_alone, read_weights
from cldm.weights.load import load_control
from generation.branches import load_branch
from generation.control_files import ControlFile, load_controls
from ldm.checkpoint import CheckpointError, write_state_dict
from small import small_config, small_model

HINT = dict(names=["nothing", "cloth"], colours=[[9, 9, 9], [1, 2, 3]])


def control_of(model, prefix="control_model."):
    return {prefix + name: tensor for name, tensor in model.control_model.state_dict().items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A base, its yaml, and the control branch that was trained on it."""
    folder = tmp_path_factory.mktemp("branches")
    model = small_model(zeros=False)
    OmegaConf.save(OmegaConf.create(dict(model=small_config())), folder / "small.yaml")
    base = {name: t for name, t in model.state_dict().items() if not name.startswith("control_model.")}
    write_state_dict(base, folder / "base.safetensors")
    facts = dict(base=str(folder / "base.safetensors"), config=str(folder / "small.yaml"), hint=HINT)
    write_state_dict(control_of(model), folder / "control.safetensors", facts)
    return folder


@pytest.fixture(scope="module")
def loaded(folder):
    return load_control(folder / "control.safetensors", folder / "small.yaml", "cpu")


@pytest.mark.parametrize("prefix", ["control_model.", ""])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_branch_has_its_files_weights_in_the_models_dtype(folder, loaded, tmp_path, prefix, dtype):
    path = tmp_path / "other.safetensors"
    state = {name: tensor.to(dtype) + 1 for name, tensor in control_of(loaded.model, prefix).items()}
    write_state_dict(state, path, dict(hint=HINT))
    branch = load_branch(path, loaded)
    ours = branch.network.state_dict()
    assert all(torch.equal(ours[name.removeprefix(prefix)], state[name].float()) for name in state)
    assert not branch.network.training and not any(p.requires_grad for p in branch.network.parameters())
    assert branch.encoder.names == ("nothing", "cloth")


def test_a_whole_model_is_a_control_without_its_base(folder, loaded, tmp_path):
    write_state_dict(small_model(zeros=False).state_dict(), tmp_path / "full.ckpt")
    branch = load_branch(tmp_path / "full.ckpt", loaded)
    wanted = loaded.model.control_model.state_dict()
    assert all(torch.equal(t, wanted[name]) for name, t in branch.network.state_dict().items())
    assert branch.encoder is None


def test_hints_of_other_channels_are_no_other_family(loaded, tmp_path):
    write_state_dict(control_of(small_model(zeros=False, hint_channels=5)), tmp_path / "five.safetensors")
    assert load_branch(tmp_path / "five.safetensors", loaded).network.hint_channels == 5
    with pytest.raises(ValueError, match="five.safetensors takes hints of 5 channels, not pictures"):
        load_controls(
            [ControlFile(loaded.source.split(" on ")[0]), ControlFile(str(tmp_path / "five.safetensors"))],
            loaded.config,
            "cpu",
        )


def test_a_control_of_another_family_is_refused_by_name(folder, loaded, tmp_path):
    wider = small_model(zeros=False, unet=dict(context_dim=24))
    write_state_dict(control_of(wider), tmp_path / "sd21.safetensors")
    with pytest.raises(CheckpointError, match=r"sd21.safetensors is a control of another family than .*base"):
        load_branch(tmp_path / "sd21.safetensors", loaded)
    with pytest.raises(CheckpointError, match="base.safetensors holds no control branch"):
        load_branch(folder / "base.safetensors", loaded)


def test_a_control_of_another_noise_schedule_is_refused_by_name(loaded, tmp_path):
    path = tmp_path / "other.safetensors"
    write_state_dict(control_of(loaded.model), path, dict(options=dict(zero_terminal_snr=True)))
    with pytest.raises(CheckpointError, match="other.safetensors was trained with another zero_terminal_snr"):
        load_branch(path, loaded)


def test_the_first_control_brings_the_model_and_the_base_is_read_once(folder, monkeypatch):
    from cldm.weights import convert

    read, paths = convert.read_state_dict, []
    monkeypatch.setattr(convert, "read_state_dict", lambda path: (paths.append(str(path)), read(path))[1])
    path = str(folder / "control.safetensors")
    loaded, controls = load_controls(
        [ControlFile(path), ControlFile(path, 0.5)], folder / "small.yaml", "cpu"
    )
    assert [path.rpartition("/")[2] for path in paths] == [
        f"{n}.safetensors" for n in ("control", "base", "control")
    ]
    assert controls[0].branch is None and controls[1].branch is not loaded.model.control_model
    assert control_alone(read_weights(path)).state.keys() == control_of(loaded.model).keys()
    with pytest.raises(ValueError, match="one number or 5, one a residual, got 3"):
        load_controls([ControlFile(path, (1.0, 1.0, 0.5))], folder / "small.yaml", "cpu")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pose.safetensors", ("pose.safetensors", 1.0, 0.0, 1.0, None)),
        ("a/pose.ckpt:0.8", ("a/pose.ckpt", 0.8, 0.0, 1.0, None)),
        ("pose.pth:0.8:0.1-0.6@maps/poses", ("pose.pth", 0.8, 0.1, 0.6, "maps/poses")),
        ("pose.pth:guess", ("pose.pth", 1.0, 0.0, 1.0, None, True)),
        ("pose.pth:0.8:guess", ("pose.pth", 0.8, 0.0, 1.0, None, True)),
        ("pose.pth:2:0-0.5:guess@poses", ("pose.pth", 2.0, 0.0, 0.5, "poses", True)),
        ("pose.pth@guess", ("pose.pth", 1.0, 0.0, 1.0, "guess")),
        ("guess:0.5", ("guess", 0.5, 0.0, 1.0, None)),
        ("pose.pth@poses", ("pose.pth", 1.0, 0.0, 1.0, "poses")),
        ("pose.pth:0,0.5,1", ("pose.pth", (0.0, 0.5, 1.0), 0.0, 1.0, None)),
        ("C:" + "\\pose.pth:2", ("C:" + "\\pose.pth", 2.0, 0.0, 1.0, None)),
    ],
)
def test_a_control_is_named_with_strength_range_and_maps(text, expected):
    file = ControlFile.parse(text)
    found = file.path, file.strength, file.start, file.end, file.maps and str(file.maps)
    assert (*found, file.guess_mode) == (*expected, False)[:6]


@pytest.mark.parametrize(
    "text",
    ["pose.pth:strong", "pose.pth:0.5:now-later", "pose.pth:", "pose.pth:guess:0.5", "pose.pth:guess:guess"],
)
def test_a_control_that_is_named_otherwise_is_refused(text):
    with pytest.raises(ValueError, match=r"a control is FILE\[:STRENGTH"):
        ControlFile.parse(text)


def laid_out_last(network):
    """Of the kernels of more than a pixel: whether all, or none, have their channels last."""
    kernels = [p for p in network.parameters() if p.ndim == 4 and p.shape[-1] > 1 and p.shape[1] > 1]
    (found,) = {p.is_contiguous(memory_format=torch.channels_last) for p in kernels}
    return found


def test_convolutions_have_their_channels_last_where_that_is_faster(gpu, folder):
    for device in ("cpu", "cuda"):
        loaded = load_control(folder / "control.safetensors", folder / "small.yaml", device)
        branch = load_branch(folder / "control.safetensors", loaded).network
        for network in (loaded.model, branch):
            assert laid_out_last(network) == (device == "cuda")
            assert next(network.parameters()).device.type == device
