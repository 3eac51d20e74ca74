"""Small whole models with real text encoders, as files: three levels, the shapes of SD1.5 and of SD2.1."""

import torch
from omegaconf import OmegaConf

from cldm.model import create_model
from cldm.weights.graft import MODELS
from ldm.checkpoint import write_state_dict

UNET = dict(model_channels=32, channel_mult=[1, 2, 2], attention_resolutions=[2, 1], num_res_blocks=2)
LINEAR = dict(num_heads=-1, num_head_channels=16, use_linear_in_transformer=True)
OPEN_CLIP = dict(
    target="ldm.modules.encoders.modules.FrozenOpenCLIPEmbedder",
    params=dict(
        arch=None,
        version=None,
        layer="penultimate",
        text_cfg=dict(context_length=77, vocab_size=1000, width=64, heads=4, layers=3),
    ),
)
KINDS = "sd15", "sd21_v"


def four_channels(params):
    """Make a yaml's model one of four latent channels, as the published families have it."""
    for stage in ("unet_config", "control_stage_config"):
        params[stage].params.in_channels = 4
    params.channels = params.unet_config.params.out_channels = params.first_stage_config.params.embed_dim = 4
    params.first_stage_config.params.ddconfig.z_channels = 4


def write_yaml(path, kind, **unet):
    config = OmegaConf.load(MODELS / "cldm_tiny.yaml")
    params = config.model.params
    params.parameterization = "v" if kind == "sd21_v" else "eps"
    four_channels(params)
    for stage in ("unet_config", "control_stage_config"):
        params[stage].params.update(UNET | (LINEAR if kind == "sd21_v" else {}) | unet)
    params.first_stage_config.params.ddconfig.ch_mult = [1, 1, 2, 2]
    if kind == "sd21_v":
        params.cond_stage_config = OPEN_CLIP
    else:
        params.cond_stage_config.params.vocab_size = 1000
    OmegaConf.save(config, path)
    return path


def trained_model(yaml, seed=0):
    """A model without zeros, as after training."""
    torch.manual_seed(seed)
    model = create_model(yaml).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(std=0.05)
    return model


def metadata_of(yaml, base="base.safetensors"):
    """What training writes beside weights."""
    hint = dict(names=["background", "top"], colours=[[0, 0, 0], [255, 0, 0]])
    options = dict(prompt_dropout=0.5, model=str(yaml))
    return dict(config=str(yaml), base=str(base), step="500", hint=hint, options=options)


def write_whole(folder, kind):
    """(yaml, model, file) of a trained whole model."""
    yaml = write_yaml(folder / f"{kind}.yaml", kind)
    model = trained_model(yaml)
    write_state_dict(model.state_dict(), folder / "whole.safetensors", metadata_of(yaml))
    return yaml, model, folder / "whole.safetensors"


def same(a, b):
    """Whether two state dicts have the same names, dtypes and bits."""
    return a.keys() == b.keys() and all(a[n].dtype == b[n].dtype and torch.equal(a[n], b[n]) for n in a)
