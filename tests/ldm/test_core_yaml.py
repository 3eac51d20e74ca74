"""Every published key is accepted; a value that would promise something that is not done is refused."""

import pytest
from omegaconf import OmegaConf

from ldm.modules.attention import BasicTransformerBlock, CrossAttention, SpatialTransformer
from ldm.modules.diffusionmodules.openaimodel import UNetEncoder
from ldm.util import get_obj_from_str, instantiate_from_config
from small import small_config, small_model

LIES = {
    "use_ema": True,
    "conditioning_key": "concat",
    "num_timesteps_cond": 2,
    "beta_schedule": "cosine",
    "parameterization": "sigma",
    "cond_stage_trainable": True,
    "unet_config.params.use_spatial_transformer": False,
    "control_stage_config.params.use_spatial_transformer": False,
    "unet_config.params.num_head_channels": 8,
    "control_stage_config.params.num_heads": -1,
    "first_stage_config.params.lossconfig.target": "ldm.modules.losses.LPIPSWithDiscriminator",
    "first_stage_config.params.ckpt_path": "vae.ckpt",
    "first_stage_config.params.ddconfig.attn_resolutions": [16],
    "first_stage_config.params.ddconfig.attn_type": "linear",
}
NODES = ["", "unet_config.params.", "control_stage_config.params.", "first_stage_config.params."]


@pytest.mark.parametrize("key", LIES)
def test_a_lie_is_refused_by_name(key):
    config = small_config()
    OmegaConf.update(config.params, key, LIES[key], force_add=True)
    with pytest.raises(ValueError, match=key.split(".")[-1].replace("target", "lossconfig")):
        instantiate_from_config(config)


@pytest.mark.parametrize("node", [*NODES, "first_stage_config.params.ddconfig."])
def test_an_unknown_key_is_refused_by_name(node):
    config = small_config()
    OmegaConf.update(config.params, f"{node}use_sorcery", True, force_add=True)
    with pytest.raises(ValueError, match="unknown key of .*use_sorcery"):
        instantiate_from_config(config)


def test_keys_without_effect_take_any_value():
    plain = small_model().state_dict()
    config = small_config(unet=dict(image_size=99, legacy=True), autoencoder=dict(resolution=512))
    other = instantiate_from_config(config).state_dict()
    assert {k: v.shape for k, v in plain.items()} == {k: v.shape for k, v in other.items()}


def test_middle_control_of_the_yaml_locks_the_zero_convolutions():
    model = small_model(only_mid_control=True)
    assert model.only_mid_control and not any(
        p.requires_grad for p in model.control_model.zero_convs.parameters()
    )


@pytest.mark.parametrize("config", [dict(params={}), {}])
def test_a_config_without_target_is_refused(config):
    with pytest.raises(ValueError, match="target"):
        instantiate_from_config(config)
    with pytest.raises(ValueError, match="dotted path"):
        get_obj_from_str("ControlNet")


class OtherAttention(CrossAttention):
    pass


def test_attention_is_exchanged_by_subclasses(monkeypatch):
    """The seams for reference tokens and image prompts."""
    block = type("Block", (BasicTransformerBlock,), dict(cross_attention=OtherAttention))
    transformer = type("Transformer", (SpatialTransformer,), dict(block=block))
    monkeypatch.setattr(UNetEncoder, "transformer", transformer)
    model = small_model()
    blocks = [m for m in model.modules() if isinstance(m, BasicTransformerBlock)]
    assert blocks and all(type(b.attn2) is OtherAttention and type(b.attn1) is CrossAttention for b in blocks)
