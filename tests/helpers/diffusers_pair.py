"""A ControlLDM and diffusers' networks with the same weights."""

import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from omegaconf import OmegaConf

from diffusers_names import to_diffusers_unet, to_diffusers_vae
from golden.weights import golden_state
from ldm.util import instantiate_from_config


def diffusers_unet(kind, network, unet, **options):
    """diffusers' U-Net or control branch as the yaml's parameters describe it, with a network's weights."""
    widths = [unet["model_channels"] * mult for mult in unet["channel_mult"]]
    attends = [2**level in unet["attention_resolutions"] for level in range(len(widths))]
    down = ["CrossAttnDownBlock2D" if attention else "DownBlock2D" for attention in attends]
    per_head = unet.get("num_head_channels")
    num_heads = [width // per_head for width in widths] if per_head else unet["num_heads"]
    if kind is UNet2DConditionModel:
        options["up_block_types"] = ["CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attends)]
        options["out_channels"] = unet["out_channels"]
    with torch.device("meta"):
        theirs = kind(
            in_channels=unet["in_channels"],
            down_block_types=down,
            block_out_channels=widths,
            layers_per_block=unet["num_res_blocks"],
            cross_attention_dim=unet["context_dim"],
            attention_head_dim=num_heads,  # by this name diffusers means the number of heads
            use_linear_projection=unet.get("use_linear_in_transformer", False),
            **options,
        )
    theirs.load_state_dict(to_diffusers_unet(network.state_dict(), unet["num_res_blocks"]), assign=True)
    return theirs.eval()


def diffusers_vae(network, ddconfig):
    widths = [ddconfig["ch"] * mult for mult in ddconfig["ch_mult"]]
    with torch.device("meta"):
        theirs = AutoencoderKL(
            down_block_types=["DownEncoderBlock2D"] * len(widths),
            up_block_types=["UpDecoderBlock2D"] * len(widths),
            block_out_channels=widths,
            layers_per_block=ddconfig["num_res_blocks"],
            norm_num_groups=ddconfig.get("num_groups", 32),
            latent_channels=ddconfig["z_channels"],
        )
    theirs.load_state_dict(to_diffusers_vae(network.state_dict()), assign=True)
    return theirs.eval()


class Pair:
    """A ControlLDM and diffusers' networks that share its tensors."""

    def __init__(self, model, config):
        params = OmegaConf.to_container(config)["params"]
        unet, control = (params[part]["params"] for part in ("unet_config", "control_stage_config"))
        self.ours = model.eval()
        self.schedule = dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
        self.schedule["prediction_type"] = {"eps": "epsilon", "v": "v_prediction"}[model.parameterization]
        self.unet = diffusers_unet(UNet2DConditionModel, model.model.diffusion_model, unet)
        self.control = diffusers_unet(ControlNetModel, model.control_model, control)
        self.vae = diffusers_vae(model.first_stage_model, params["first_stage_config"]["params"]["ddconfig"])

    def residuals(self, x, t, cond):
        context, hint = cond["c_crossattn"][0], cond["c_concat"][0]
        return self.control(x, t, context, controlnet_cond=hint, return_dict=False)

    def apply(self, x, t, cond):
        """What ControlLDM.apply_model computes."""
        residuals = {}
        if cond["c_concat"] is not None:
            down, middle = self.residuals(x, t, cond)
            residuals = dict(down_block_additional_residuals=down, mid_block_additional_residual=middle)
        return self.unet(x, t, cond["c_crossattn"][0], **residuals).sample

    def sample(self, scheduler, x, cond, uncond, scale):
        for t in scheduler.timesteps:
            conditional, base = (self.apply(x, t, c) for c in (cond, uncond))
            x = scheduler.step(base + scale * (conditional - base), t, x).prev_sample
        return x


def build_pair(config):
    model = instantiate_from_config(config)
    model.load_state_dict(golden_state(model))
    return Pair(model, config)
