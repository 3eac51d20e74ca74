"""ControlNet (arXiv 2302.05543): a trainable copy of the U-Net's encoder that steers the locked U-Net."""

from contextlib import contextmanager, nullcontext

import torch
from torch import nn

from cldm.alignment import make_head
from cldm.controls import ActiveControl, add_residuals
from cldm.image_log import ImageLog
from cldm.optimizer import configure_optimizer
from cldm.parts_present import STAGES
from jobs.devices import to_channels_first
from ldm.models.diffusion.ddpm import LatentDiffusion
from ldm.models.diffusion.encoded import context_of, draw_kept, posterior_of
from ldm.modules.diffusionmodules.openaimodel import UNetEncoder, UNetModel
from ldm.modules.diffusionmodules.util import draw_rows, zero_module
from ldm.util import Size, instantiate_from_config, refuse_unless


class ControlledUnetModel(UNetModel):
    """A U-Net that adds residuals to its skips and to its middle features."""

    def forward(self, x, timesteps, context, control=None, only_mid_control=False, with_plain=False):
        """`control`: one residual per skip, outermost first, then the middle's; None for the plain U-Net.

        With `only_mid_control` only the last one is used, and only that one needs to be there. `with_plain`
        returns (the output, that of the plain U-Net, without a gradient), which share the encoder's pass.
        """
        emb = self.embed_time(timesteps)
        h, skips = self.encode(x, emb, context)
        if with_plain:
            with torch.no_grad():
                plain = self.decode(h, skips, emb, context)
        if control is not None:
            h = h + control[-1]
            if not only_mid_control:
                skips = [skip + residual for skip, residual in zip(skips, control[:-1], strict=True)]
        output = self.decode(h, skips, emb, context)
        return (output, plain) if with_plain else output


class ControlNet(UNetEncoder):
    """Turn a hint (b, hint_channels, 8 h, 8 w) into one residual per U-Net skip, plus one for its middle."""

    def __init__(self, hint_channels: Size, **encoder_options):
        super().__init__(**encoder_options)
        self.hint_channels = hint_channels
        # the checkpoints, and optimizer states with them, list the middle block behind the hint block
        middle_block = self._modules.pop("middle_block")
        self.zero_convs = nn.ModuleList(zero_conv(channels) for channels in self.skip_channels)
        widths = [hint_channels, 16, 16, 32, 32, 96, 96, 256]
        layers = []
        for i, (a, b) in enumerate(zip(widths, widths[1:], strict=False)):
            layers += [nn.Conv2d(a, b, 3, padding=1, stride=2 if i in (2, 4, 6) else 1), nn.SiLU()]
        layers.append(zero_module(nn.Conv2d(256, self.model_channels, 3, padding=1)))
        self.input_hint_block = nn.Sequential(*layers)
        self.middle_block = middle_block
        self.middle_block_out = zero_conv(self.skip_channels[-1])

    @property
    def is_trained(self) -> bool:
        """Whether any zero convolution has moved away from zero; before that, the branch changes nothing."""
        return any(p.any() for part in (self.zero_convs, self.middle_block_out) for p in part.parameters())

    def forward(self, x, hint, timesteps, context, only_mid_control=False, hint_features=None, tap=None):
        """Latents (b, c, h, w) and hint -> the residuals; with `only_mid_control` the middle's alone.

        `hint_features` are `input_hint_block(hint)`, where they are known from an earlier call. With `tap`,
        "down_5" or "mid" say, it returns (residuals, what enters that residual's zero convolution).
        """
        self._check_hint(x, hint)
        emb = self.embed_time(timesteps)
        features = self.input_hint_block(hint) if hint_features is None else hint_features
        h, skips = self.encode(x, emb, context, stem_residual=features)
        residuals = [self.middle_block_out(h)]
        if not only_mid_control:
            residuals = [conv(x) for conv, x in zip(self.zero_convs, skips, strict=True)] + residuals
        if tap is None:
            return residuals
        return residuals, h if tap == "mid" else skips[int(tap.removeprefix("down_"))]

    def _check_hint(self, x, hint):
        wanted = (self.hint_channels, 8 * x.shape[-2], 8 * x.shape[-1])
        if tuple(hint.shape[1:]) != wanted:
            raise ValueError(
                f"for latents {tuple(x.shape[1:])} a hint must be {wanted}, got {tuple(hint.shape[1:])}"
            )


def zero_conv(channels):
    return nn.Sequential(zero_module(nn.Conv2d(channels, channels, 1)))


def check_branch(branch, unet):
    """Raise ValueError where a yaml's branch cannot control its U-Net, or is no copy of its encoder."""
    for part, kind in ((branch, ControlNet), (unet, ControlledUnetModel)):
        if not isinstance(part, kind):
            raise ValueError(f"a model under control needs a {kind.__name__}, got a {type(part).__name__}")
    for name, (value, other) in compare_encoders(branch, unet).items():
        both = f"{value} and {other}"
        raise ValueError(
            f"control_stage_config and unet_config differ in {name}, {both}, of which a branch is a copy"
        )


def compare_encoders(a, b) -> dict[str, tuple]:
    """In what two encoders differ, of which one is to be a copy of the other: both values by name."""
    theirs = _structure(b)
    return {name: (value, theirs[name]) for name, value in _structure(a).items() if value != theirs[name]}


def _structure(network):
    names = "in_channels model_channels channel_mult num_res_blocks num_heads num_head_channels".split()
    shared = {name: getattr(network, name) for name in names}
    shared["attention_resolutions"] = sorted(network.attention_resolutions)
    return shared | {
        name: network.transformer_options[name] for name in ("context_dim", "depth", "use_linear")
    }


class ControlLDM(ImageLog, LatentDiffusion):
    """Latent diffusion with a control branch. Args are the published yaml's, and LatentDiffusion's.

    Set from outside before training, besides LatentDiffusion's: `zero_conv_factor`, on the learning rate of
    the layers that do not come from the U-Net (zero convolutions, hint block), `hint_dropout` (share of maps
    replaced by an empty one, all of the colour `empty_hint` in [0, 1]), and what `cldm.optimizer`
    reads: `optimizer`, `fused`, `weight_decay`, `lr_schedule`, `warmup_steps`, `max_steps`. `load_stages`
    returns autoencoder and text encoder by name: it is called where one is wanted that was left out.
    `average` is that of the trained weights, where the run keeps one.

    `control_scales` holds one factor per residual, outermost first, the middle's last. `sd_locked` False
    trains the U-Net's decoder along; `only_mid_control` controls (and trains) by the middle residual alone.
    `align_at` gives training the term of cldm.alignment, which counts `align` times.
    """

    published = "control"  # the stem of the files that a run publishes
    size_multiple = 64  # of the sides of pictures, so that the U-Net can halve their latents often enough
    zero_conv_factor, weight_decay = 1.0, 0.01
    hint_dropout, empty_hint = 0.0, (0.0,)
    optimizer, fused = "adamw", True
    lr_schedule, warmup_steps, max_steps = "constant", 0, 0
    load_stages, average = None, None
    align = 0.0
    step_skipped = False  # whether the optimizer step that has just been counted changed nothing
    _sd_locked, _only_mid_control = True, False

    def __init__(
        self,
        control_stage_config: dict | None = None,
        control_key: str | None = None,
        only_mid_control: bool = False,
        **latent_diffusion_options,
    ):
        super().__init__(**latent_diffusion_options)
        refuse_unless(not self.cond_stage_trainable, "cond_stage_trainable", True, "it stays locked")
        self.control_key, self._only_mid_control = control_key, only_mid_control
        self.control_model, self.control_scales, self.alignment = None, [], None
        if control_stage_config is not None:
            self.control_model = instantiate_from_config(control_stage_config)
            check_branch(self.control_model, self.model.diffusion_model)
            self.control_scales = [1.0] * (len(self.control_model.zero_convs) + 1)
        self.lock()

    @property
    def sd_locked(self) -> bool:
        return self._sd_locked

    @sd_locked.setter
    def sd_locked(self, locked: bool):
        self._sd_locked = locked
        self.lock()

    @property
    def only_mid_control(self) -> bool:
        return self._only_mid_control

    @only_mid_control.setter
    def only_mid_control(self, only_mid: bool):
        self._only_mid_control = only_mid
        self.lock()

    def trainable_parts(self):
        if not hasattr(self, "control_model"):
            return []
        if self.control_model is None:
            raise ValueError("control_stage_config is null or missing, but a control branch is wanted")
        unet, alignment = self.model.diffusion_model, [self.alignment] if self.alignment else []
        return [self.control_model, *alignment] + ([] if self.sd_locked else [unet.output_blocks, unet.out])

    def align_with(self, share: float, place: str):
        """Count `share` times the term of cldm.alignment at a place in training; 0 leaves it out.

        Raises:
            ValueError: the branch has no such place.
        """
        self.align, self.alignment = share, None
        if share:
            out_channels = self.model.diffusion_model.out[2].out_channels
            self.alignment = make_head(self.control_model, place, out_channels)

    def lock(self):
        super().lock()
        if self.only_mid_control:
            self.control_model.zero_convs.requires_grad_(False)

    def configure_optimizers(self):
        self.lock()
        return configure_optimizer(self)

    def own_rates(self) -> dict[str, tuple[list, float]]:
        """Name -> (parameters, learning rate) of what does not learn at `learning_rate`."""
        control = self.control_model
        new = [control.zero_convs, control.middle_block_out, control.input_hint_block] if control else []
        new += [self.alignment] if self.alignment else []
        parameters = [parameter for part in new for parameter in part.parameters()]
        return {"new layers": (parameters, self.learning_rate * self.zero_conv_factor)}

    def networks(self) -> list[nn.Module]:
        """What is called in every step: the U-Net and what was grafted beside it."""
        grafted = [part for name, part in self.named_children() if name not in ("model", *STAGES)]
        return [self.model.diffusion_model, *grafted]

    def wanted_keys(self) -> list[tuple[str, str]]:
        """(where a yaml names a key of a batch, the key)."""
        names = ["cond_stage_key", "first_stage_key"] + ["control_key"] * (self.control_model is not None)
        return [(name, getattr(self, name)) for name in names]

    def encode_held_out(self, batch) -> dict:
        """What `held_out_losses` reads of a batch, its latents (b, c, h, w) as "latent"."""
        latents = self.scale_factor * posterior_of(self, batch, self.first_stage_key).mode()
        context = context_of(self, batch, self.cond_stage_key)
        return dict(latent=latents, context=context, hint=to_channels_first(batch[self.control_key], "cpu"))

    def held_out_losses(self, encoded, t, generators, controlled=True) -> dict[str, float]:
        """The "loss" at timesteps t (b,), with or without the map; a generator a row draws the noise."""
        hint = encoded["hint"] if controlled else None
        cond = dict(c_crossattn=[encoded["context"]], c_concat=None if hint is None else [hint])
        noise = draw_rows(encoded["latent"].shape[1:], generators).to(encoded["latent"])
        return dict(loss=float(self.p_losses(encoded["latent"], cond, t, noise)[1]["val/loss_simple"]))

    def get_input(self, batch, k, bs=None, generator=None):
        """(scaled latents, dict(c_crossattn=[context], c_concat=[hint (b, c, H, W) in [0, 1]]))."""
        z, cond = super().get_input(batch, k, bs, generator)
        return z, {**cond, "c_concat": [to_channels_first(batch[self.control_key][:bs], self.device)]}

    def drop_conditions(self, batch, generator=None):
        batch = super().drop_conditions(batch, generator)
        if not self.hint_dropout:
            return batch
        hint = batch[self.control_key]
        kept = draw_kept(len(hint), self.hint_dropout, generator).to(hint.device)
        empty = torch.tensor(self.empty_hint, dtype=hint.dtype, device=hint.device)
        return {**batch, self.control_key: torch.where(kept[:, None, None, None], hint, empty)}

    def p_losses(self, x_start, cond, t, noise=None):
        """LatentDiffusion's; in training with `align_at`, the alignment's term is added."""
        if self.alignment is None or not self.training:
            return super().p_losses(x_start, cond, t, noise)
        noise = torch.randn_like(x_start) if noise is None else noise
        target = self.get_target(x_start, noise, t)
        output, plain, features = self.apply_with_plain(self.q_sample(x_start, t, noise), t, cond)
        loss, simple = self.squared_error(output, target, t)
        term, _ = self.squared_error(self.alignment(features, t), target - plain, t)
        total = loss + self.align * term
        logs = dict(loss_simple=simple, loss_align=term, loss=total)
        return total, {f"train/{name}": value.detach() for name, value in logs.items()}

    def apply_with_plain(self, x_noisy, t, cond):
        """(output under the own control, that of the U-Net alone, the branch's features to be aligned)."""
        unet, context = self.model.diffusion_model, self.join_conditions(cond["c_crossattn"])
        x_noisy, mid = x_noisy.to(context.dtype), self.only_mid_control
        (control,) = self._own_control(cond)
        found, features = control.branch(x_noisy, control.hint, t, context, mid, tap=self.alignment.place)
        residuals = control.scaled(found)
        outputs = unet(x_noisy, t, context, control=residuals, only_mid_control=mid, with_plain=True)
        return *outputs, features

    def apply_model(self, x_noisy, t, cond):
        """The U-Net's output under control; `cond["c_concat"]` None means without.

        `cond["hint_features"]` may hold the hint block's features of `c_concat`, see `precompute`. Instead of
        these two, `cond["controls"]` may list ActiveControls, whose residuals are added.
        """
        unet, context = self.model.diffusion_model, self.join_conditions(cond["c_crossattn"])
        x_noisy, mid = x_noisy.to(context.dtype), self.only_mid_control
        controls = cond.get("controls") or self._own_control(cond)
        control = add_residuals(controls, x_noisy, t, context, mid)
        return unet(x_noisy, t, context, control=control, only_mid_control=mid)

    def _own_control(self, cond):
        if cond["c_concat"] is None:
            return []
        hint, features = self.join_conditions(cond["c_concat"]), cond.get("hint_features")
        return [ActiveControl(self.control_model, hint, features, self.control_scales)]

    def averaged(self):
        """With the averaged weights, for whatever measures, draws or publishes; as is without one."""
        return self.average.swapped_in() if self.average else nullcontext()

    @contextmanager
    def stages_present(self):
        """With autoencoder and text encoder, whatever encodes or decodes; dropped again where lacking."""
        lacking = [name for name in STAGES if getattr(self, name) is None]
        stages = self.load_stages() if lacking else {}
        try:
            for name in lacking:
                setattr(self, name, stages[name].to(self.device))
            yield
        finally:
            self.leave_out_stages(lacking)

    def leave_out_stages(self, names=STAGES):
        for name in names:
            setattr(self, name, None)

    def low_vram_shift(self, is_diffusing):
        """Send autoencoder and text encoder to the CPU while U-Net and control diffuse, those two otherwise.

        The rest goes to the model's device; where that is the CPU, nothing moves.
        """
        working, waiting = (self.model, self.control_model), (self.first_stage_model, self.cond_stage_model)
        if not is_diffusing:
            working, waiting = waiting, working
        for part in waiting:
            part.to("cpu")
        for part in working:
            part.to(self.device)
