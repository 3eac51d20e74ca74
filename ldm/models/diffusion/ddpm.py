"""Diffusion in a locked autoencoder's latents: a training step, its noise, dropout of prompts, and loss."""

import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn.functional import mse_loss

from jobs.devices import send
from ldm.models.diffusion.encoded import context_of, draw_kept, empty_prompts, posterior_of
from ldm.models.diffusion.schedule import NoiseSchedule
from ldm.models.diffusion.weighting import min_snr_weights
from ldm.modules.attention import ProjectedContext
from ldm.modules.diffusionmodules.model import DiagonalGaussianDistribution
from ldm.modules.diffusionmodules.util import draw_normal, make_beta_schedule, row_generators
from ldm.util import Size, instantiate_from_config, is_listed, refuse_unless

PARAMETERIZATIONS = ("eps", "v", "x0")
SCALE_FACTORS = 1e-3, 1e3  # of latents to about unit variance: beyond, no autoencoder's are
NO_TEXT_ENCODER = (
    "cond_stage_config: {} is no text encoder; FrozenCLIPEmbedder or FrozenOpenCLIPEmbedder of "
    "ldm.modules.encoders.modules is wanted"
)
# one picture of 512 x 512: the autoencoder takes far more memory a picture than the U-Net
PIXELS_AT_ONCE = 512 * 512
LATENTS_AT_ONCE = PIXELS_AT_ONCE // 64


def few_at_a_time(x, places: int):
    """A batch (b, c, h, w) in parts of as many as have so many places (h, w) together, one at least."""
    return x.split(max(1, places // (x.shape[-2] * x.shape[-1])))


class DiffusionWrapper(nn.Module):
    """Holds the U-Net under the checkpoints' name `model.diffusion_model`."""

    def __init__(self, unet_config):
        super().__init__()
        self.diffusion_model = instantiate_from_config(unet_config)


def check_scale_factor(value):
    """Raise ValueError for a factor that brings no autoencoder's latents to about unit variance."""
    least, most = SCALE_FACTORS
    if not least <= value <= most:
        raise ValueError(f"scale_factor must be a number from {least:g} to {most:g}, got {value}")


class LatentDiffusion(NoiseSchedule, pl.LightningModule):
    """Stable Diffusion 1.x/2.x: autoencoder, text encoder, U-Net and their noise schedule.

    Args are the published yaml's. `cond_stage_trainable` trains the text encoder along with the U-Net, as one
    does before there is a checkpoint. Set from outside before training: `learning_rate`, `prompt_dropout`
    (share of prompts replaced by the empty one), `min_snr_gamma` (0 weighs timesteps alike).
    """

    learning_rate = 1e-5
    prompt_dropout = min_snr_gamma = 0.0

    def __init__(
        self,
        first_stage_config: dict,
        cond_stage_config: dict,
        unet_config: dict,
        timesteps: Size = 1000,
        beta_schedule: str = "linear",
        linear_start: float = 1e-4,
        linear_end: float = 2e-2,
        parameterization: str = "eps",
        scale_factor: float = 1.0,
        first_stage_key: str = "jpg",
        cond_stage_key: str = "txt",
        image_size: Size = 64,
        channels: Size = 4,
        conditioning_key="crossattn",
        cond_stage_trainable: bool = False,
        num_timesteps_cond: int = 1,
        log_every_t: Size = 200,
        monitor=None,
        use_ema: bool = False,
    ):
        super().__init__()
        if parameterization not in PARAMETERIZATIONS:
            raise ValueError(f"parameterization must be one of {PARAMETERIZATIONS}, got {parameterization!r}")
        refuse_unless(conditioning_key == "crossattn", "conditioning_key", conditioning_key, "only crossattn")
        refuse_unless(num_timesteps_cond == 1, "num_timesteps_cond", num_timesteps_cond, "prompts stay clean")
        refuse_unless(
            not use_ema, "use_ema", use_ema, "the U-Net is locked, an average of it is the U-Net itself"
        )
        check_scale_factor(scale_factor)
        self.parameterization, self.scale_factor = parameterization, scale_factor
        self.log_every_t = log_every_t
        self.first_stage_key, self.cond_stage_key = first_stage_key, cond_stage_key
        self.image_size, self.channels, self.monitor = image_size, channels, monitor
        self.cond_stage_trainable = cond_stage_trainable
        self.model = DiffusionWrapper(unet_config)
        self.first_stage_model = instantiate_from_config(first_stage_config)
        if not hasattr(self.first_stage_model, "decode"):
            raise ValueError(f"first_stage_config: {first_stage_config['target']} is no autoencoder")
        self.cond_stage_model = instantiate_from_config(cond_stage_config)
        # Identity stands in published yamls of models that are given contexts; a class of one's own, which no
        # list of ours knows, may take prompts in its own way
        takes_none = isinstance(self.cond_stage_model, torch.nn.Identity)
        listed = is_listed(cond_stage_config["target"])
        if listed and not takes_none and not hasattr(self.cond_stage_model, "tokenizer"):
            raise ValueError(NO_TEXT_ENCODER.format(cond_stage_config["target"]))
        self.register_schedule(make_beta_schedule(beta_schedule, timesteps, linear_start, linear_end))
        self.lock()

    def trainable_parts(self) -> list[nn.Module]:
        """The modules that training changes; everything else is locked."""
        return [self.model.diffusion_model] + [self.cond_stage_model] * self.cond_stage_trainable

    def lock(self):
        """Ask the parts what trains and take the gradient from everything else."""
        self.requires_grad_(False)
        for part in self.trainable_parts():
            part.requires_grad_(True)

    def cast_locked(self, dtype):
        """Hold locked weights in `dtype`; all others, and the autoencoder's against overflow, in fp32."""
        for name, parameter in self.named_parameters():
            locked = not parameter.requires_grad and not name.startswith("first_stage_model.")
            parameter.data = parameter.data.to(dtype if locked else torch.float32)

    def train(self, mode=True):
        """Training mode for the trainable parts only, so that locked ones never drop out."""
        super().train(False)
        self.training = mode
        for part in self.trainable_parts():
            part.train(mode)
        return self

    def configure_optimizers(self):
        self.lock()
        return torch.optim.AdamW([p for p in self.parameters() if p.requires_grad], lr=self.learning_rate)

    def get_first_stage_encoding(self, posterior, generator=None):
        """Posterior over latents -> scaled latents, drawn with `generator` or the global random source."""
        return self.scale_factor * posterior.sample(generator)

    @torch.no_grad()
    def encode_first_stage(self, x):
        """Images (b, 3, H, W) in [-1, 1] -> the posterior over unscaled latents, encoded a few at a time."""
        posteriors = [self.first_stage_model.encode(part) for part in few_at_a_time(x, PIXELS_AT_ONCE)]
        return DiagonalGaussianDistribution(torch.cat([posterior.parameters for posterior in posteriors]))

    @torch.no_grad()
    def decode_first_stage(self, z):
        """Scaled latents (b, c, h, w) -> images (b, 3, H, W), about [-1, 1], decoded a few at a time."""
        parts = few_at_a_time(z / self.scale_factor, LATENTS_AT_ONCE)
        return torch.cat([self.first_stage_model.decode(part) for part in parts])

    def get_learned_conditioning(self, prompts: list[str]):
        """Prompts -> context (b, n, context_dim).

        Raises:
            ValueError: torch.nn.Identity stands for a text encoder: it hands on contexts alone.
        """
        if isinstance(self.cond_stage_model, torch.nn.Identity) and any(isinstance(p, str) for p in prompts):
            raise ValueError(NO_TEXT_ENCODER.format("torch.nn.Identity"))
        return self.cond_stage_model(prompts)

    def get_unconditional_conditioning(self, num_samples: int):
        """The context of `num_samples` empty prompts."""
        return self.get_learned_conditioning([""] * num_samples)

    def get_input(self, batch, k, bs=None, generator=None):
        """A batch -> (scaled latents (b, c, h, w), condition dict). `k` names the images, `bs` cuts it.

        A batch that brings "moments" (b, 2 c, h, w), encoded before, needs no images; with "context"
        (b, n, context_dim) its prompts are not encoded either.
        """
        posterior = posterior_of(self, batch, k, bs)
        context = context_of(self, batch, self.cond_stage_key, bs)
        return self.get_first_stage_encoding(posterior, generator), dict(c_crossattn=[context])

    def apply_model(self, x_noisy, t, cond):
        """Noisy latents, timesteps (b,), condition dict -> the U-Net's output, shaped like the latents."""
        context = self.join_conditions(cond["c_crossattn"])
        return self.model.diffusion_model(x_noisy.to(context.dtype), t, context)

    def join_conditions(self, conditions):
        """Conditions of one kind as one tensor, in the dtype of the U-Net's weights; a memo of one stays."""
        if isinstance(conditions[0], ProjectedContext):
            return conditions[0]
        return torch.cat(conditions, 1).to(next(self.model.parameters()).dtype)

    def p_losses(self, x_start, cond, t, noise=None):
        """(loss, logs): mean squared error of what the parameterization predicts; loss_simple unweighted."""
        noise = torch.randn_like(x_start) if noise is None else noise
        output = self.apply_model(self.q_sample(x_start, t, noise), t, cond)
        loss, simple = self.squared_error(output, self.get_target(x_start, noise, t), t)
        split = "train" if self.training else "val"
        return loss, {f"{split}/loss_simple": simple.detach(), f"{split}/loss": loss.detach()}

    def get_target(self, x_start, noise, t):
        """What the parameterization predicts of latents (b, c, h, w) with noise at timesteps (b,)."""
        target = {"eps": noise, "x0": x_start}.get(self.parameterization)
        return self.get_v(x_start, noise, t) if target is None else target

    def squared_error(self, output, target, t):
        """Mean squared error of predictions (b, c, h, w): (with `min_snr_gamma`'s weights, without)."""
        output, target = output.float(), target.float()
        simple = mse_loss(output, target)
        if not self.min_snr_gamma:
            return simple, simple
        weights = min_snr_weights(self.alphas_cumprod[t], self.min_snr_gamma, self.parameterization)
        return (weights * mse_loss(output, target, reduction="none").mean((1, 2, 3))).mean(), simple

    def shared_step(self, batch, generator=None):
        """(loss, logs) of a batch, with timesteps drawn uniformly."""
        x, cond = self.get_input(batch, self.first_stage_key, generator=generator)
        t = self.draw_timesteps(len(x), generator)
        return self.p_losses(x, cond, t, noise=draw_normal(x, generator))

    def draw_timesteps(self, num: int, generator=None, low=0):
        """Timesteps (num,) from `low` on, each as likely as any; `generator` may be a list of one a row."""
        if isinstance(generator, list):
            drawn = [torch.randint(low, self.num_timesteps, (1,), generator=own) for own in generator]
            return send(torch.cat(drawn), self.device)
        return torch.randint(low, self.num_timesteps, (num,), generator=generator, device=self.device)

    def training_step(self, batch, batch_idx):
        """The loss of a batch; what a row drops and draws depends on its seed alone, where it has one."""
        # the CPU's, where prompts are: nobody waits for the device to learn which of them are emptied
        generators = row_generators(batch)
        loss, logs = self.shared_step(self.drop_conditions(batch, generators), generators)
        logs = {**logs, "global_step": float(self.global_step)}
        # not for Lightning's progress bar, which would wait for the device to read each of them
        self.log_dict(logs, batch_size=len(batch[self.cond_stage_key]))
        return loss

    def drop_conditions(self, batch, generator=None):
        """The batch with some of its conditions emptied, as a step trains on it; `generator` is the CPU's."""
        return self.drop_prompts(batch, generator)

    def drop_prompts(self, batch, generator=None):
        """The batch with a share `prompt_dropout` of its prompts emptied (0.5 in arXiv 2302.05543, 3.3)."""
        if not self.prompt_dropout:
            return batch
        kept = draw_kept(len(batch[self.cond_stage_key]), self.prompt_dropout, generator)
        return empty_prompts(batch, self.cond_stage_key, kept)
