"""The training step of diffusers' examples/controlnet/train_controlnet.py, on this project's weights.

What the script does in a step, with its networks and its order: both encoders at every step, weights that do
not train in the compute dtype, the branch alone under autocast. Random numbers come from the generator in the
order in which ControlLDM draws them, so that both sides take the same step.
"""

import torch
from diffusers import AutoencoderKL, ControlNetModel, DDPMScheduler, UNet2DConditionModel
from einops import rearrange
from omegaconf import OmegaConf
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from cldm.cldm import ControlLDM
from cldm.model import load_model, read_config
from cldm.optimizer import configure_optimizer
from diffusers_names import to_diffusers_unet
from diffusers_pair import diffusers_unet, diffusers_vae
from ldm.models.diffusion.ddpm import LatentDiffusion
from ldm.modules.diffusionmodules.util import draw_normal


def diffusers_text(embedder):
    """transformers' CLIPTextModel with the weights of a FrozenCLIPEmbedder."""
    tower = embedder.transformer.text_model
    layers, tokens = tower.encoder["layers"], tower.embeddings.token_embedding.weight
    config = CLIPTextConfig(
        vocab_size=tokens.shape[0],
        hidden_size=tokens.shape[1],
        intermediate_size=layers[0].mlp.fc1.out_features,
        num_hidden_layers=len(layers),
        num_attention_heads=layers[0].self_attn.num_heads,
        hidden_act="quick_gelu",
        bos_token_id=None,
        eos_token_id=embedder.tokenizer.end,
    )
    with torch.device("meta"):
        theirs = CLIPTextModel(config)
    state = {k: v for k, v in tower.state_dict().items() if not k.endswith("position_ids")}
    theirs.load_state_dict(state, strict=False, assign=True)
    theirs.embeddings.position_ids = tower.embeddings.position_ids
    if left := [name for name, tensor in theirs.state_dict().items() if tensor.is_meta]:
        raise ValueError(f"no weights for {left[0]} of diffusers' text encoder")
    return theirs


FROM_OPTIONS = "learning_rate zero_conv_factor lr_schedule warmup_steps max_steps prompt_dropout".split()


class DiffusersStep(nn.Module):
    """What a training loop asks of ControlLDM, computed as the script does.

    Args:
        options: TrainOptions; `recompute` is the script's --gradient_checkpointing, of the branch alone.
    """

    cond_stage_key = "txt"
    optimizer, fused, weight_decay = "adamw", None, 0.01
    # which picture gets which random numbers and loses its prompt must be this project's rule
    draw_timesteps, drop_prompts = LatentDiffusion.draw_timesteps, LatentDiffusion.drop_prompts
    own_rates, alignment = ControlLDM.own_rates, None

    def __init__(self, options):
        super().__init__()
        params = OmegaConf.to_container(read_config(options.model).params)
        model = load_model(options.model, options.base)
        model.cast_locked(torch.float32)
        unet, vae = params["unet_config"]["params"], params["first_stage_config"]["params"]["ddconfig"]
        self.unet = diffusers_unet(UNet2DConditionModel, model.model.diffusion_model, unet)
        with torch.device("meta"):
            self.controlnet = ControlNetModel.from_unet(self.unet, load_weights_from_unet=False)
        branch = to_diffusers_unet(model.control_model.state_dict(), unet["num_res_blocks"])
        self.controlnet.load_state_dict(branch, assign=True)
        self.vae: AutoencoderKL = diffusers_vae(model.first_stage_model, vae)
        self.vae.register_to_config(scaling_factor=model.scale_factor)
        self.text_encoder = diffusers_text(model.cond_stage_model)
        self.tokenizer = model.cond_stage_model.tokenizer
        self.scheduler = DDPMScheduler(
            beta_schedule="scaled_linear",
            beta_start=params["linear_start"],
            beta_end=params["linear_end"],
            prediction_type={"eps": "epsilon", "v": "v_prediction"}[model.parameterization],
        )
        for name in FROM_OPTIONS:
            setattr(self, name, getattr(options, name))
        self.num_timesteps = len(self.scheduler)
        self.weight_dtype = torch.bfloat16 if options.precision == "bf16-mixed" else torch.float32
        for part in (self.vae, self.unet, self.text_encoder):
            part.requires_grad_(False).eval()
            if self.weight_dtype != torch.float32:
                part.to(dtype=self.weight_dtype)
        self.controlnet.requires_grad_(True).train()
        if options.recompute:
            self.controlnet.enable_gradient_checkpointing()

    @property
    def device(self):
        return self.controlnet.device

    @property
    def control_model(self):
        """The branch's new layers under this project's names, for `cldm.optimizer`."""
        branch = nn.Module()
        branch.zero_convs = self.controlnet.controlnet_down_blocks
        branch.middle_block_out = self.controlnet.controlnet_mid_block
        branch.input_hint_block = self.controlnet.controlnet_cond_embedding
        return branch

    def configure_optimizers(self):
        """As ControlLDM's, but by AdamW in PyTorch's default implementation, which the script takes."""
        return configure_optimizer(self)

    def get_input(self, batch, generator=None):
        """A batch -> (scaled latents (b, 4, h, w), context (b, 77, d), hint (b, 3, H, W))."""
        images, hint = (
            rearrange(batch[key], "b h w c -> b c h w").to(self.device, self.weight_dtype)
            for key in ("jpg", "hint")
        )
        posterior = self.vae.encode(images).latent_dist
        noise = draw_normal(posterior.mean.float(), generator)
        latents = posterior.mean + posterior.std * noise.to(self.weight_dtype)
        tokens = self.tokenizer(batch["txt"]).to(self.device)
        return latents * self.vae.config.scaling_factor, self.text_encoder(tokens)[0], hint

    def shared_step(self, batch, generator=None):
        """(loss, {}) of a batch."""
        latents, context, hint = self.get_input(batch, generator)
        timesteps = self.draw_timesteps(len(latents), generator)
        noise = draw_normal(latents.float(), generator).to(latents.dtype)
        noisy = self.scheduler.add_noise(latents.float(), noise.float(), timesteps).to(self.weight_dtype)
        with torch.autocast(self.device.type, self.weight_dtype, enabled=self.weight_dtype != torch.float32):
            down, middle = self.controlnet(
                noisy, timesteps, encoder_hidden_states=context, controlnet_cond=hint, return_dict=False
            )
        predicted = self.unet(
            noisy,
            timesteps,
            encoder_hidden_states=context,
            down_block_additional_residuals=[residual.to(self.weight_dtype) for residual in down],
            mid_block_additional_residual=middle.to(self.weight_dtype),
            return_dict=False,
        )[0]
        target = noise
        if self.scheduler.config.prediction_type == "v_prediction":
            target = self.scheduler.get_velocity(latents, noise, timesteps)
        return nn.functional.mse_loss(predicted.float(), target.float(), reduction="mean"), {}
