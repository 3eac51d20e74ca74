"""Both sides of bench_generate.py: this project's `generate`, and diffusers' pipeline on the same tensors."""

import time
from dataclasses import dataclass, field

import numpy as np
import torch
from diffusers import ControlNetModel, DDIMScheduler, StableDiffusionControlNetPipeline, UNet2DConditionModel
from omegaconf import OmegaConf

from cldm.model import create_model, read_config
from diffusers_pair import diffusers_unet, diffusers_vae
from generation.generate import Settings, generate

# a random network's guidance points nowhere: this scale keeps its latents about as large as noise
GUIDANCE = 2.0
BETAS = dict(timesteps=1000, linear_start=1e-4, linear_end=2e-2)


@dataclass
class Drawn:
    """Pictures float (b, H, W, 3) in [0, 1], latents, and the clocks at the start, every step, the end."""

    pictures: np.ndarray | None = None
    latents: torch.Tensor | None = None
    clocks: list[tuple[float, float]] = field(default_factory=list)

    def tick(self, device):
        """Note (wall seconds, CPU seconds of this process), when the device has done what was asked of it."""
        if device.type != "cpu":
            torch.accelerator.synchronize(device)
        self.clocks.append((time.perf_counter(), time.process_time()))


def random_model(yaml, dtype, device):
    """A ControlLDM with kernels of unit gain, the control's zero convolutions too, in `dtype`."""
    with torch.device("meta"):
        model = create_model(yaml)
    generator, state = torch.Generator().manual_seed(0), model.state_dict()
    for name, tensor in state.items():
        if not tensor.is_meta:
            continue
        random = torch.randn(tensor.shape, generator=generator)
        if tensor.ndim > 1:
            state[name] = random / tensor[0].numel() ** 0.5
        else:
            state[name] = 0.1 * random + float(name.endswith(".weight"))
    model.load_state_dict(state, assign=True)
    model.requires_grad_(False)
    for part in (model.model, model.control_model, model.first_stage_model, model.cond_stage_model):
        part.to(dtype)
    return model.to(device).eval()


class Ours:
    def __init__(self, model):
        self.model = model

    def draw(self, hint, prompt, num, steps) -> Drawn:
        drawn, device = Drawn(), self.model.device
        settings = Settings(prompt=prompt, num_samples=num, steps=steps, scale=GUIDANCE)

        def report(step):
            drawn.tick(device)
            drawn.latents = step["x"]

        drawn.tick(device)
        pictures = generate(self.model, hint, settings, callback=report)
        drawn.tick(device)
        drawn.pictures = pictures / 255.0
        return drawn


class Diffusers:
    """StableDiffusionControlNetPipeline; prompts are encoded by our tower, whose time is not counted here."""

    def __init__(self, model, yaml):
        params = OmegaConf.to_container(read_config(yaml).params)
        unet, control = (params[part]["params"] for part in ("unet_config", "control_stage_config"))
        vae = diffusers_vae(model.first_stage_model, params["first_stage_config"]["params"]["ddconfig"])
        vae.register_to_config(scaling_factor=model.scale_factor)
        betas = {name: params.get(name, default) for name, default in BETAS.items()}
        scheduler = DDIMScheduler(
            num_train_timesteps=betas["timesteps"],
            beta_start=betas["linear_start"],
            beta_end=betas["linear_end"],
            beta_schedule="scaled_linear",
            prediction_type={"eps": "epsilon", "v": "v_prediction"}[model.parameterization],
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        )
        self.model = model
        self.pipeline = StableDiffusionControlNetPipeline(
            vae=vae,
            text_encoder=None,
            tokenizer=None,
            unet=diffusers_unet(UNet2DConditionModel, model.model.diffusion_model, unet),
            controlnet=diffusers_unet(ControlNetModel, model.control_model, control),
            scheduler=scheduler,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        self.pipeline.set_progress_bar_config(disable=True)

    @torch.no_grad()
    def draw(self, hint, prompt, num, steps) -> Drawn:
        drawn, model = Drawn(), self.model
        context, empty = model.get_learned_conditioning([prompt, ""])[:, None]
        channels, (h, w) = model.channels, (side // 8 for side in hint.shape[:2])
        noise = [torch.randn(channels, h, w, generator=torch.Generator().manual_seed(i)) for i in range(num)]

        def report(pipeline, i, t, tensors):
            drawn.tick(model.device)
            drawn.latents = tensors["latents"]
            return {}

        drawn.tick(model.device)
        drawn.pictures = self.pipeline(
            image=torch.from_numpy(hint).movedim(-1, 0)[None],
            prompt_embeds=context,
            negative_prompt_embeds=empty,
            latents=torch.stack(noise).to(model.device, context.dtype),
            num_images_per_prompt=num,
            num_inference_steps=steps,
            guidance_scale=GUIDANCE,
            output_type="np",
            callback_on_step_end=report,
        ).images
        drawn.tick(model.device)
        return drawn
