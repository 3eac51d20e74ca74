"""The try-on model: a latent diffusion model whose prediction depends on any number of conditions."""

from collections.abc import Mapping

import torch
from einops import repeat
from torch.nn.functional import mse_loss

from cldm.cldm import ControlLDM
from cldm.controls import add_residuals
from cldm.guidance import Guidance, Term
from cldm.tryon.conditions import (
    Condition,
    GarmentReference,
    StackedGarment,
    TextCondition,
    check_choice,
    shrink_mask,
)
from cldm.tryon.flow import flow_loss
from cldm.tryon.inputs import UNetInputs
from cldm.tryon.record import REPAINTS
from cldm.tryon.unet import choose_trained
from jobs.devices import to_channels_first
from ldm.models.diffusion.encoded import draw_kept, posterior_of
from ldm.models.diffusion.samplers import ddim
from ldm.modules.attention import ProjectedContext, tile_rows
from ldm.modules.diffusionmodules.openaimodel import Downsample
from ldm.modules.diffusionmodules.util import draw_normal, draw_rows, make_ddim_timesteps
from ldm.util import check_known, instantiate_from_config


class TryonLDM(ControlLDM):
    """Latent diffusion under conditions of cldm.tryon.conditions; all else is ControlLDM's.

    Args:
        conditions: the recipe: configs of Conditions by name, in the order in which they enter. Guidance
            and dropout speak of these names.
        guidance: terms of cldm.guidance as [[names], weight] lists; what sampling uses by default.
        repaint: what stays outside the mask by default, one of REPAINTS, see generation.fitting.
        train_unet: what of the person's U-Net trains: names of cldm.tryon.unet.TRAINED, joined by +: "first"
            is the first convolution, "reference" and "image" are the layers that read garments or image
            prompts alone. Conditions say their own `train`; `let_train` changes both.
        loss_rows: "both" or "person", of a layout that stacks pictures.
        dream: power of DREAM's weight (arXiv 2312.00210), None is off.
        flow_weight: of Leffa's term (cldm.tryon.flow), 0 is off; the batch then has the garment's condition's
            pictures and, under `worn_key`, masks (b, H, W) of the worn garment.
    """

    published = "tryon"
    learning_rates: Mapping[str, float] = {}  # of parts that do not learn at `learning_rate`

    def __init__(
        self,
        conditions,
        guidance=(((), 1.0),),
        repaint="none",
        train_unet="none",
        loss_rows="both",
        dream=None,
        flow_weight=0.0,
        worn_key="worn_mask",
        **options,
    ):
        check_choice("loss_rows", loss_rows, ("both", "person"))
        check_choice("repaint", repaint, REPAINTS)
        self.train_unet, self.loss_rows, self.dream = train_unet, loss_rows, dream
        self.flow_weight, self.worn_key, self.repaint = flow_weight, worn_key, repaint
        super().__init__(control_stage_config=None, **options)
        self.conditions = {name: build_condition(name, config) for name, config in conditions.items()}
        self.guidance = Guidance.read(guidance)
        self.check_guidance(self.guidance)
        for condition in self.conditions.values():
            for part, module in condition.parts().items():
                setattr(self, part, module)
        self.lock()

    def check_guidance(self, guidance: Guidance) -> None:
        """Raise ValueError for guidance that drops what is no condition."""
        if unknown := guidance.names - self.conditions.keys():
            raise ValueError(
                f"guidance drops {sorted(unknown)[0]!r}, conditions are {', '.join(self.conditions)}"
            )

    def guidance_without_garment(self) -> Guidance:
        """The prediction of all conditions but those that read a batch's garment, whatever else they read."""
        reading = [name for name, c in self.conditions.items() if any("garment" in key for key in c.keys)]
        return Guidance((Term(tuple(reading), 1.0),))

    def part_modules(self) -> dict[str, list[str]]:
        """The names of the modules of each part that can train: the person's "unet", and conditions."""
        owners = {name: list(c.parts()) for name, c in self.conditions.items()}
        return {"unet": ["model"]} | {name: modules for name, modules in owners.items() if modules}

    def choices(self) -> dict[str, str]:
        """What trains of each part, as the recipe says or `let_train` has said."""
        return {
            part: self.train_unet if part == "unet" else self.conditions[part].train
            for part in self.part_modules()
        }

    def let_train(self, choices: Mapping[str, str], learning_rates: Mapping[str, float]) -> None:
        """Let other things train than the recipe says, or at other rates, by the names of `choices`.

        Raises:
            ValueError: an unknown part or choice, or one by which nothing trains; the nearest is named.
        """
        for option, given in (("train", choices), ("learning_rates", learning_rates)):
            for part in given:
                check_known(part, self.part_modules(), f"part of the recipe, {option}.PART:")
        for part, choice in choices.items():
            if part == "unet":
                self.train_unet = choice
            else:
                self.conditions[part].train = choice
            try:
                self.lock()
            except ValueError as error:
                raise ValueError(f"train.{part}={choice}: {error}") from error
        self.learning_rates = dict(learning_rates)
        for part, choice in self.choices().items():
            trains = any(p.requires_grad for p in self._parameters_of(part))
            if choice != "none" and not trains:
                raise ValueError(f"train.{part}={choice}: the recipe's {part} has nothing of that kind")
            if part in learning_rates and not trains:
                raise ValueError(f"learning_rates.{part} is given, but with train.{part}=none it has no use")
        if not any(p.requires_grad for p in self.parameters()):
            parts = ", ".join(f"train.{part}" for part in self.choices())
            raise ValueError(f"nothing trains: all of {parts} are none")

    def attention_alone(self) -> dict[str, str]:
        """Choices by which less trains: self-attention alone of each U-Net that trains by more."""
        large, found = {"all", "decoder", "transformers"}, {}
        for part, choice in self.choices().items():
            network = self.model if part == "unet" else getattr(self.conditions[part], "network", None)
            if network is not None and large & {*choice.split("+")}:
                found[part] = "attn1"
        return found

    def _parameters_of(self, part):
        return [p for name in self.part_modules()[part] for p in getattr(self, name).parameters()]

    def own_rates(self):
        return {part: (self._parameters_of(part), rate) for part, rate in self.learning_rates.items()}

    def trainable_parts(self):
        if not hasattr(self, "guidance"):
            return []
        parts = choose_trained(self.model.diffusion_model, self.train_unet)
        return parts + [part for condition in self.conditions.values() for part in condition.trainable()]

    def lock(self):
        super().lock()
        for module in self.modules():
            for part in module.unused_parts() if hasattr(module, "unused_parts") else ():
                part.requires_grad_(False)

    @property
    def size_multiple(self) -> int:
        """Of the sides of pictures, so that the U-Net can halve their latents often enough."""
        halvings = sum(isinstance(m, Downsample) for m in self.model.diffusion_model.input_blocks.modules())
        return 8 * 2**halvings

    @property
    def inputs(self) -> dict[str, int]:
        """The U-Net's input channels by what they show: the noisy latents, then the conditions' in order."""
        shown = {"noisy": self.channels}
        for condition in self.conditions.values():
            shown |= condition.input_channels(self.channels)
        return shown

    def wanted_keys(self):
        keys = [(f"a key of conditions.{name}", key) for name, c in self.conditions.items() for key in c.keys]
        return [("first_stage_key", self.first_stage_key), *keys]

    def encode_held_out(self, batch):
        latents = self.scale_factor * posterior_of(self, batch, self.first_stage_key).mode()
        generators = [torch.Generator().manual_seed(0) for _ in latents]
        encoded = {name: c.encode(self, batch, generator=generators) for name, c in self.conditions.items()}
        found = dict(latent=latents, encoded=encoded)
        if "mask" in batch:
            mask = batch["mask"].to(latents.device)
            found["mask"] = shrink_mask(mask, mask.shape[1] // latents.shape[2])
        return found

    def held_out_losses(self, encoded, t, generators, controlled=True):
        """The loss at timesteps t (b,); `controlled` False drops all that the guidance drops.

        Where the batch had masks, also "inside" and "outside" of them, of the person's rows alone.
        """
        x, mask = encoded["latent"], encoded.get("mask")
        encoded = {name: dict(part) for name, part in encoded["encoded"].items()}
        dropped = {
            name: torch.full((len(x),), not controlled and name in self.guidance.names, device=x.device)
            for name in self.conditions
        }
        x, noise = self.stack(x, encoded, generators)
        output, target = self.compare(x, self.prepare(encoded, dropped), t, noise)
        errors = (output - target).square()
        found = dict(loss=float(errors.mean()))
        if mask is not None:
            person = errors[:, :, : mask.shape[2]].mean(1, keepdim=True)
            for name, part in dict(inside=mask, outside=1 - mask).items():
                found[name] = float(
                    ((person * part).sum((1, 2, 3)) / part.sum((1, 2, 3)).clamp(min=1)).mean()
                )
        return found

    def stack(self, x, encoded, generator=None):
        """(latents to noise, their noise) of a person's latents, the garment below where a layout stacks.

        Anchored rows of a garment get their noise into `encoded`. `generator`: see draw_normal.
        """
        stacked = self.stacked
        if stacked is not None and not stacked.anchored:
            x = torch.cat([x, encoded[stacked.name]["latents"]], dim=2)
        noise = draw_normal(x, generator)
        if stacked is not None and stacked.anchored:
            encoded[stacked.name] |= dict(noise=draw_normal(x, generator))
        return x, noise

    def get_input(self, batch, k, bs=None, generator=None):
        """(scaled latents (b, c, h, w), what each condition makes of the batch, by name)."""
        x = self.get_first_stage_encoding(posterior_of(self, batch, k, bs), generator)
        return x, {name: c.encode(self, batch, bs, generator) for name, c in self.conditions.items()}

    def drop_conditions(self, batch, generator=None):
        """The batch, and which of its rows train without which condition; `generator` is the CPU's."""
        num = len(batch[self.cond_stage_key])  # a cache's batches bring no pictures
        return {**batch, "dropped": self.draw_dropped(num, generator)}

    def draw_dropped(self, num: int, generator=None) -> dict[str, torch.Tensor]:
        """bool (num,) by the names of conditions; those without dropout drop nothing."""
        return {name: ~draw_kept(num, c.dropout, generator) for name, c in self.conditions.items()}

    def prepare(self, encoded, dropped: Mapping[str, torch.Tensor]) -> dict:
        """What all timesteps share, by condition. The text comes first, since garments may read it."""
        prepared, text = {}, None
        for name, condition in self.conditions.items():
            prepared[name] = condition.prepare(self, encoded[name], dropped[name], text)
            text = prepared[name].get("context", text)
        return prepared

    def apply_model(self, x_noisy, t, cond, shares=None, residuals=None):
        """Noisy latents (b, c, h, w), timesteps (b,), prepared conditions -> a prediction of their shape.

        residuals: what controls beside the conditions add to the person's skips and middle.
        """
        inputs, unet = UNetInputs(x_noisy, t, shares=shares, residuals=residuals), self.model.diffusion_model
        for name, prepared in cond.items():
            self.conditions[name].write(self, inputs, prepared)
        x, tokens, residuals = inputs.join()
        output = unet(x.to(next(unet.parameters()).dtype), t, tokens, control=residuals)
        return output[:, :, : x_noisy.shape[2]]

    @property
    def stacked(self) -> StackedGarment | None:
        """The condition that stacks a garment below the person."""
        return next((c for c in self.conditions.values() if isinstance(c, StackedGarment)), None)

    def shared_step(self, batch, generator=None):
        """(loss, logs) of a batch, with timesteps drawn uniformly and conditions dropped as they say."""
        x, encoded = self.get_input(batch, self.first_stage_key, generator=generator)
        t = self.draw_timesteps(len(x), generator)
        x, noise = self.stack(x, encoded, generator)
        none = dict.fromkeys(self.conditions, torch.zeros(len(x), dtype=torch.bool))
        dropped = {name: rows.to(x.device) for name, rows in batch.get("dropped", none).items()}
        pictures = self.flow_pictures(batch) if self.flow_weight else None
        return self.p_losses(x, self.prepare(encoded, dropped), t, noise=noise, pictures=pictures)

    def flow_pictures(self, batch):
        """(garment, person, worn) for the flow term, (b, c, H, W) each."""
        (garment,) = (c for c in self.conditions.values() if isinstance(c, GarmentReference))
        named = batch[garment.key], batch[self.first_stage_key], batch[self.worn_key][..., None]
        return [to_channels_first(x, self.device) for x in named]

    def p_losses(self, x_start, cond, t, noise=None, pictures=None):
        """(loss, logs): mean squared error over the rows that count, and the flow term of `pictures`."""
        noise = torch.randn_like(x_start) if noise is None else noise
        shares = None if pictures is None else {}
        loss = mse_loss(*self.compare(x_start, cond, t, noise, shares))
        split = "train" if self.training else "val"
        logs = {f"{split}/loss_simple": loss.detach()}
        if shares is not None:
            flow = flow_loss({s: x for s, x in shares.items() if "middle" not in s}, *pictures, t)
            logs[f"{split}/loss_flow"], loss = flow.detach(), loss + self.flow_weight * flow
        return loss, {**logs, f"{split}/loss": loss.detach()}

    def compare(self, x_start, cond, t, noise, shares=None):
        """(prediction, target), float32 (b, c, h, w), of the rows that count; `shares` as of UNetInputs."""
        x_noisy = self.q_sample(x_start, t, noise)
        if self.dream is not None:
            x_noisy, noise = self.rectify(x_noisy, cond, t, noise)
        target = self.get_target(x_start, noise, t)
        output = self.apply_model(x_noisy, t, cond, shares).float()
        if self.loss_rows == "person" and self.stacked is not None and not self.stacked.anchored:
            output, target = (rows.chunk(2, dim=2)[0] for rows in (output, target))
        return output, target.float()

    @torch.no_grad()
    def log_images(self, batch, N=4, ddim_steps=20, unconditional_guidance_scale=None, split="train"):
        """Name -> images (n, 3, H, W) in [-1, 1] of the first N items: what enters, and DDIM's samples.

        The recipe's guidance is used; `unconditional_guidance_scale` and `split` change nothing.
        """
        batch = {key: value[:N] for key, value in batch.items()}
        z = self.encode_held_out(batch)
        log = dict(reconstruction=self.decode_first_stage(z["latent"]))
        for name in dict.fromkeys(key for c in self.conditions.values() for key in c.keys):
            if f"{name}_moments" in batch:
                latents = self.scale_factor * posterior_of(self, batch, name).mode()
                log[name] = self.decode_first_stage(latents)
            elif is_picture(batch.get(name)):
                log[name] = to_channels_first(batch[name], self.device)
        generators = [torch.Generator().manual_seed(i) for i in range(len(z["latent"]))]
        timesteps = make_ddim_timesteps(self.timestep_spacing, ddim_steps, self.num_timesteps)
        shape = z["latent"].shape[1:]
        x = self.start_sampling(z["encoded"], lambda: draw_rows(shape, generators).to(z["latent"]))
        drawn = ddim(tryon_denoiser(self, z["encoded"]), x, self.alphas_cumprod, timesteps)
        return log | dict(samples=self.decode_first_stage(drawn[:, :, : z["latent"].shape[2]]))

    def start_sampling(self, encoded, draw):
        """The noise that sampling starts from, with rows for a garment below where a layout stacks.

        `draw` gives normal noise (b, c, h, w); anchored rows of a garment get theirs into `encoded`.
        """
        x, stacked = draw(), self.stacked
        if stacked is not None and stacked.anchored:
            encoded[stacked.name] |= dict(noise=draw())
        elif stacked is not None:
            x = torch.cat([x, draw()], dim=2)
        return x

    @torch.no_grad()
    def rectify(self, x_noisy, cond, t, noise):
        """DREAM's (noisy latents, noise): both moved by the model's own error (arXiv 2312.00210, equation 9).

        With w = sqrt(1 - a_t)^power, eps' = eps + w (eps - eps_model) and x' = q_sample(x_0, eps').
        """
        training = self.training
        self.eval()
        predicted, _ = self.predictions(x_noisy, t, self.apply_model(x_noisy, t, cond))
        self.train(training)
        sigma = (1 - self.alphas_cumprod[t]).sqrt()[:, None, None, None]
        error = sigma**self.dream * (noise - predicted.to(noise.dtype))
        return x_noisy + sigma * error, noise + error


def is_picture(value) -> bool:
    """Whether a batch's value is of pictures (b, H, W, 3) in [-1, 1]."""
    return isinstance(value, torch.Tensor) and value.is_floating_point() and value.shape[-1] == 3


def build_condition(name: str, config) -> Condition:
    """The Condition of a recipe's entry.

    Raises:
        ValueError: the config's class is no Condition.
    """
    params = dict(config.get("params") or {}, name=name)
    condition = instantiate_from_config(dict(target=config["target"], params=params))
    if not isinstance(condition, Condition):
        raise ValueError(
            f"conditions.{name} must be a Condition of cldm.tryon.conditions, got {config['target']}"
        )
    return condition


def tryon_denoiser(
    model: TryonLDM, encoded, guidance: Guidance | None = None, controls=(), text=None, rows=None
):
    """A denoiser (x, timestep) -> (noise, x_0) under a guidance's terms, in one call for all of them.

    Args:
        encoded: what `get_input` gives, or a cache. Garment tokens and their keys are computed once a
            picture.
        controls: ActiveControls, whose residuals are added in all terms alike, at the timesteps at which they
            act. They read the person's noisy latents, the first `rows` rows of x.
        text: the context (b, n, d) that they read, where the recipe has no prompts to read them with.
    """
    guidance = guidance or model.guidance
    terms = guidance.terms
    prepared = model.prepare(*_rows_of_terms(model, encoded, terms))
    if controls:
        texts = [
            name for name, c in model.conditions.items() if isinstance(c, TextCondition) and not c.prompt
        ]
        context = ProjectedContext(prepared[texts[0]]["context"] if texts else tile(text, len(terms)))
    for values in prepared.values():
        if "tokens" in values and isinstance(values["tokens"], dict):
            values["tokens"] = remember(values["tokens"])

    @torch.no_grad()
    def denoise(x, t):
        steps, residuals = torch.full((len(x),), int(t), device=x.device, dtype=torch.long), None
        if acting := [control for control in controls if int(t) in control.steps]:
            person = x[:, :, :rows].to(context.dtype)
            found = add_residuals(acting, person, steps, context)
            residuals = [tile_rows(residual, len(terms) * len(x)) for residual in found]
        x_of_terms, steps_of_terms = tile(x, len(terms)), tile(steps, len(terms))
        output = model.apply_model(x_of_terms, steps_of_terms, prepared, residuals=residuals)
        return model.predictions(x, steps, guidance.combine(output).to(x.dtype))

    return denoise


def _rows_of_terms(model, encoded, terms):
    """(what is encoded, tiled for the terms; which rows are dropped, by condition)."""
    rows = max(len(v) for values in encoded.values() for v in values.values())
    tiled = {  # what is one for all rows, an empty prompt say, stays one
        name: {k: tile(v, len(terms)) if len(v) == rows else v for k, v in values.items()}
        for name, values in encoded.items()
    }
    dropped = {}
    for name in encoded:
        flags = [name in term.dropped for term in terms]
        dropped[name] = torch.tensor(flags, device=model.device).repeat_interleave(rows)
    return tiled, dropped


def tile(value, times: int):
    """Prepared values for `times` copies of a batch, one behind the other."""
    if isinstance(value, torch.Tensor):
        return repeat(value, "b ... -> (k b) ...", k=times)
    return value


def remember(tokens: dict) -> dict:
    """Garment tokens by site as memos, for a sampling whose every step reads the same."""
    return {site: ProjectedContext(recorded) for site, recorded in tokens.items()}
