"""A yaml builds classes of ours from numbers within bounds, and nothing else, whoever wrote it."""

import copy
import re
from itertools import chain

import pytest
import torch
import yaml
from omegaconf import OmegaConf

from cldm.model import create_model, create_part, create_with_branch, read_config
from cldm.weights.graft import MODELS
from ldm.util import TARGETS, get_obj_from_str, instantiate_from_config, register_target
from small import AUTOENCODER, small_config

FOREIGN = [
    "subprocess.check_output",
    "os.system",
    "builtins.eval",
    "torch.load",
    "torch.hub.load",
    "torch.nn.Linear",
    "cldm.cldm.torch.hub.load",
    "cldm.cldm.ControlLDM.load_from_checkpoint",
    "cldm.cldm.ControlLDM.__init__.__globals__",
    "cldm.cldm.instantiate_from_config",
    "ldm.util.get_obj_from_str",
    "ldm.util.register_target",
    "cldm.cldm.controlldm",
    " cldm.cldm.ControlLDM",
    "cldm..cldm.ControlLDM",
    "ControlLDM",
    "",
]
PARTS = "control_stage_config unet_config first_stage_config cond_stage_config".split()


@pytest.mark.parametrize("target", [*FOREIGN, None, 7, ["cldm.cldm.ControlLDM"], {"a": 1}])
def test_a_target_that_is_not_listed_is_neither_imported_nor_called(target):
    with pytest.raises(ValueError, match="no dotted path of a class that a yaml may name"):
        get_obj_from_str(target)
    with pytest.raises(ValueError, match="no dotted path of a class that a yaml may name"):
        instantiate_from_config(dict(target=target, params=dict(args="touch victim", shell=True)))


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("target", FOREIGN[:2])
def test_a_target_below_another_is_no_exception(tmp_path, part, target):
    config = small_config()
    config.params[part] = dict(target=target, params=dict(args=["touch", str(tmp_path / "victim")]))
    with pytest.raises(ValueError, match=f"x.yaml: target '{target}' is no dotted path"):
        create_model(written(tmp_path, config))
    assert not (tmp_path / "victim").exists()


def test_every_listed_class_is_there_and_a_class_of_ones_own_is_listed_from_python():
    assert all(isinstance(get_obj_from_str(path), type) for path in list(TARGETS))
    with pytest.raises(ValueError, match="register_target makes one of your own known"):
        instantiate_from_config(dict(target=f"{__name__}.Own"))
    assert register_target(Own) is Own
    try:
        assert instantiate_from_config(dict(target=f"{__name__}.Own", params=dict(size=3))).size == 3
        with pytest.raises(ValueError, match="size of .*Own must be a whole number, got 'x'"):
            instantiate_from_config(dict(target=f"{__name__}.Own", params=dict(size="x")))
    finally:
        del TARGETS[f"{__name__}.Own"]


class Own(torch.nn.Module):
    def __init__(self, size: int):
        super().__init__()
        self.size = size


def written(folder, config):
    OmegaConf.save(OmegaConf.create(dict(model=config)), folder / "x.yaml")
    return folder / "x.yaml"


UNET, STAGE = "unet_config.params", "first_stage_config.params"
OPENAI = "ldm.modules.diffusionmodules.openaimodel"
WRONG = [
    (
        f"{UNET}.model_channels",
        10**30,
        "model_channels of .*ControlledUnetModel must be a whole number from 1",
    ),
    (f"{UNET}.model_channels", True, "model_channels .* got True"),
    (f"{UNET}.channel_mult", 2, "channel_mult .* must be a list of 16 values at most, got 2"),
    (f"{UNET}.channel_mult", "abc", "channel_mult .* must be a list"),
    (f"{UNET}.channel_mult", [1, "b"], "channel_mult .* must be a list, each value a whole number"),
    (f"{UNET}.channel_mult", [], "channel_mult"),
    (f"{UNET}.channel_mult", [1] * 1000, "channel_mult"),
    (f"{UNET}.num_res_blocks", 10**6, "num_res_blocks .* from 1 to 64"),
    (f"{UNET}.transformer_depth", 64, "differ in depth, 1 and 64"),
    (f"{UNET}.transformer_depth", [1, 2], "transformer_depth"),
    (f"{UNET}.num_heads", 0, "num_heads 0"),
    (f"{UNET}.num_heads", 33, "num_heads 33"),
    (f"{UNET}.dropout", 2, "dropout"),
    (f"{UNET}.use_checkpoint", "perhaps", "use_checkpoint .* must be true or false"),
    (f"{UNET}.contxt_dim", 4, "unknown key of .*: 'contxt_dim', did you mean 'context_dim'"),
    ("unet_config.parms", {}, "unknown key beside target and params: 'parms', did you mean 'params'"),
    ("unet_config.params", [1], "params of cldm.cldm.ControlledUnetModel must be keys with values"),
    ("unet_config", 3, "unet_config of cldm.cldm.ControlLDM must be keys with values, got 3"),
    ("unet_config.target", "cldm.cldm.ControlNet", "hint_channels|out_channels"),
    ("unet_config.target", f"{OPENAI}.UNetModel", "needs a ControlledUnetModel"),
    ("control_stage_config.target", "torch.nn.Identity", "needs a ControlNet, got a Identity"),
    ("first_stage_config.target", "torch.nn.Identity", "torch.nn.Identity is no autoencoder"),
    (f"{STAGE}.ddconfig", 1, "ddconfig of .*AutoencoderKL must be keys with values, got 1"),
    (f"{STAGE}.ddconfig.ch_mult", 4, "ch_mult of ddconfig must be a list"),
    (f"{STAGE}.ddconfig.ch_mult", [], "ch_mult"),
    (f"{STAGE}.ddconfig.ch", 33, "num_channels|divisible"),
    (f"{STAGE}.ddconfig.num_res_block", 1, "unknown key of ddconfig: 'num_res_block', did you mean"),
    (f"{STAGE}.ckpt_path", "/etc/passwd", "ckpt_path"),
    ("timesteps", 10**12, "timesteps of cldm.cldm.ControlLDM must be a whole number from 1 to 65536"),
    ("linear_start", -1, "linear_start and linear_end must rise within 0..1"),
    ("linear_end", "much", "linear_end of .* must be a number"),
    ("linear_end", float("inf"), "linear_end of .* must be a number"),
    *(
        ("scale_factor", value, "scale_factor must be a number from 0.001 to 1000, got ")
        for value in (0, -1, 1e-30, 1e30)
    ),
    ("scale_factor", float("nan"), "scale_factor of .* must be a number"),
    ("scale_factor", "1.0", "scale_factor of .* must be a number"),
    *(
        (
            "cond_stage_config",
            dict(target=target, params=params),
            f"cond_stage_config: {target} is no text enc",
        )
        for target, params in {
            "ldm.models.autoencoder.AutoencoderKL": dict(embed_dim=4, ddconfig=AUTOENCODER),
        }.items()
    ),
    ("control_key", ["hint"], "control_key of .* must be a text"),
    ("image_size", "64", "image_size"),
    ("first_stage_key", "${oc.env:HOME}", "is no value: write down what it stands for"),
    ("first_stage_key", "???", "is no value"),
]


@pytest.mark.parametrize(("key", "value", "message"), WRONG, ids=lambda value: str(value)[:40])
def test_a_wrong_value_gives_one_line_with_key_and_file(tmp_path, key, value, message):
    config = OmegaConf.to_container(small_config())
    *path, name = key.split(".")
    node = config["params"]
    for part in path:
        node = node[part]
    node[name] = value
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(dict(model=config)))
    with pytest.raises(ValueError, match=f"x.yaml: .*({message})") as caught:
        create_with_branch(tmp_path / "x.yaml")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("part", PARTS[:3])
def test_a_missing_part_or_param_is_named(tmp_path, part):
    config = small_config()
    del config.params[part]
    with pytest.raises(ValueError, match=f"x.yaml.* {part}"):
        create_with_branch(written(tmp_path, config))
    config = small_config()
    del config.params[part].target
    with pytest.raises(ValueError, match="x.yaml: a config needs a `target`"):
        create_with_branch(written(tmp_path, config))
    config = small_config()
    lacking = next(name for name in ("model_channels", "ddconfig") if name in config.params[part].params)
    del config.params[part].params[lacking]
    with pytest.raises(ValueError, match=f"x.yaml: {config.params[part].target} lacks {lacking}"):
        create_with_branch(written(tmp_path, config))


@pytest.mark.parametrize("key", ["channel_mult", "num_res_blocks", "context_dim", "attention_resolutions"])
def test_a_branch_unlike_its_unet_is_refused(tmp_path, key):
    config = small_config()
    config.params.control_stage_config.params[key] = dict(channel_mult=[1, 3], attention_resolutions=[2]).get(
        key, 2
    )
    with pytest.raises(ValueError, match=f"x.yaml: control_stage_config and unet_config differ in {key}, "):
        create_with_branch(written(tmp_path, config))


def test_every_target_of_our_yamls_is_listed():
    named = [re.findall(r"target: *([\w.]+)", path.read_text()) for path in MODELS.glob("*.yaml")]
    assert {*chain(*named)} <= TARGETS.keys() and len(named) > 5


@pytest.mark.parametrize("path", sorted(MODELS.glob("cldm_*.yaml")), ids=lambda path: path.stem)
def test_every_yaml_of_ours_builds(path):
    model = create_with_branch(path)
    assert {"control_model", "model", "first_stage_model"} <= {name for name, _ in model.named_children()}


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (dict(hf_model_name="evil/model"), "unknown key of text_cfg: 'hf_model_name'"),
        (dict(hf_tokenizer_name="evil/model"), "unknown key of text_cfg: 'hf_tokenizer_name'"),
        (dict(act_kwargs=dict(a=1)), "unknown key of text_cfg: 'act_kwargs'"),
        (dict(context_length=10**6), "context_length of text_cfg must be a whole number from 3 to 77"),
        (dict(layers=10**6), "layers of text_cfg must be"),
        (dict(width=63), "4 attention heads do not divide a text encoder's width 63"),
    ],
)
def test_a_text_encoder_is_built_from_sizes_alone(sizes, message):
    text_cfg = dict(width=64, heads=4, layers=2) | sizes
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        instantiate_from_config(open_clip(arch=None, version=None, text_cfg=text_cfg))


@pytest.mark.parametrize("arch", ["hf-hub:evil/model", "local-dir:/tmp", "hf-hub:", "ViT-H-15"])
def test_no_architecture_is_looked_for_in_folders_or_on_the_network(arch, monkeypatch):
    import open_clip.factory as factory

    monkeypatch.setattr(factory, "_get_hf_config", None)
    with torch.device("meta"), pytest.raises(ValueError, match="open_clip knows no architecture"):
        instantiate_from_config(open_clip(arch=arch))


def test_an_architecture_of_another_library_is_refused():
    with torch.device("meta"), pytest.raises(ValueError, match="text_cfg of roberta-ViT-B-32: "):
        instantiate_from_config(open_clip(arch="roberta-ViT-B-32", version="laion2b_s12b_b32k"))


def open_clip(**params):
    return dict(target="ldm.modules.encoders.modules.FrozenOpenCLIPEmbedder", params=params)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: 1",
        "model:",
        "model: 3",
        "model: {target: cldm.cldm.ControlLDM}",
        "model: {params: [1]}",
        "- model",
    ],
)
def test_what_describes_no_model_is_told(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text)
    for read in (
        read_config,
        create_model,
        create_with_branch,
        lambda path: create_part(path, "unet_config"),
    ):
        with pytest.raises(ValueError, match="x.yaml describes no model") as caught:
            read(tmp_path / "x.yaml")
        assert len(str(caught.value).splitlines()) == 1


def test_a_yaml_of_a_model_without_a_branch_is_told(tmp_path):
    config = small_config()
    config.target = "ldm.models.diffusion.ddpm.LatentDiffusion"
    for name in ("control_stage_config", "control_key"):
        del config.params[name]
    create_model(written(tmp_path, copy.deepcopy(config)))
    with pytest.raises(
        ValueError, match="x.yaml describes no model with a control_stage_config: give one such"
    ):
        create_with_branch(tmp_path / "x.yaml")


@pytest.mark.parametrize("missing", [False, True])
def test_a_model_without_its_control_branch_is_refused_by_key(missing):
    config = small_config()
    config.params.control_stage_config = None
    if missing:
        del config.params["control_stage_config"]
    with pytest.raises(ValueError, match="control_stage_config is null or missing"):
        instantiate_from_config(config)


def test_a_model_that_is_given_contexts_has_no_text_encoder_and_refuses_prompts():
    """Published yamls of such models have Identity there, and take anything."""
    config = small_config()
    config["params"]["cond_stage_config"] = dict(target="torch.nn.Identity")
    model = instantiate_from_config(config)
    with pytest.raises(ValueError, match="cond_stage_config: torch.nn.Identity is no text encoder"):
        model.get_learned_conditioning(["a red top"])
