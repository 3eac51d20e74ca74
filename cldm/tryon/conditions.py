"""Conditions of try-on: what each reads of a batch, how it enters the U-Net, and what it is when dropped.

A condition is encoded once a picture, prepared once for all timesteps, and written into each call. "Dropped"
means one thing in training and in guidance: `prepare` takes a mask of dropped rows, and both give it one.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from einops import rearrange
from torch import nn
from torch.nn.functional import interpolate

from cldm.tryon.image_tokens import join_prompt
from cldm.tryon.inputs import UNetInputs
from cldm.tryon.unet import choose_sites, choose_trained
from jobs.devices import to_channels_first
from ldm.models.diffusion.encoded import context_of, posterior_of
from ldm.util import check_known, instantiate_from_config

NULLS = ("zero_latent", "zero_features", "no_tokens")
TIMES = ("zero", "sync", "none")


class Condition(ABC):
    """A seam's user. Subclasses say what `keys` of a batch they read.

    Those under `moments_of` may come encoded: see ldm.models.diffusion.encoded.posterior_of.

    name: under which recipes and guidance speak of it. dropout: share of the samples that train without it.
    train: what of its parts trains, "all" or "none" unless a subclass says more.
    """

    keys: tuple[str, ...] = ()
    moments_of: tuple[str, ...] = ()

    def __init__(self, name: str, dropout: float = 0.0, train: str = "all"):
        if not 0 <= dropout < 1:
            raise ValueError(f"{name}.dropout must be at least 0 and below 1, got {dropout}")
        self.name, self.dropout, self.train = name, dropout, train

    def parts(self) -> dict[str, nn.Module]:
        """Modules that the model holds, by the name under which its state dict has them."""
        return {}

    def trainable(self) -> list[nn.Module]:
        """Those of them that train.

        Raises:
            ValueError: `train` is none of its choices.
        """
        check_known(self.train, ("none", "all"), f"choice of what trains of {self.name},")
        return [] if self.train == "none" else self.learning_parts()

    def learning_parts(self) -> list[nn.Module]:
        """Those that train by "all"."""
        return list(self.parts().values())

    def input_channels(self, latent_channels: int) -> dict[str, int]:
        """How many of the U-Net's input channels it fills, by the batch's key of what they show."""
        return {}

    @abstractmethod
    def encode(self, model, batch, num=None, generator=None) -> dict[str, torch.Tensor]:
        """The first `num` items' pictures or prompts -> latents or features, without gradients; cacheable.

        `generator` draws what is sampled: one, a list of one a row, or None for the global random source.
        """

    @abstractmethod
    def prepare(self, model, encoded, dropped, text=None) -> dict:
        """What the calls of all timesteps share; `dropped`, bool (b,), are the rows that go without.

        `text`: the person's context (b, n, d), dropped rows of it being the null's already.
        """

    @abstractmethod
    def write(self, model, inputs: UNetInputs, prepared) -> None:
        """Enter a call."""


class TextCondition(Condition):
    """Prompts as the context of cross-attention; dropped is the empty or the negative prompt.

    prompt: the one that all persons have, in the place of their own.
    """

    keys = ("txt",)

    def __init__(self, name, prompt=None, dropout=0.0):
        super().__init__(name, dropout)
        self.prompt = prompt

    def encode(self, model, batch, num=None, generator=None):
        if self.prompt is None:
            context = context_of(model, batch, "txt", num)
        else:
            context = shared_context(model, batch, self.name, self.prompt)
        if "empty_context" in batch and not batch.get("negative"):
            return dict(context=context, null=batch["empty_context"][:1].to(model.device))
        null = batch.get("negative") or [""]
        return dict(context=context, null=model.get_learned_conditioning(list(null[:num])))

    def prepare(self, model, encoded, dropped, text=None):
        context, null = encoded["context"], encoded["null"]
        return dict(context=torch.where(dropped[:, None, None], null.expand_as(context), context))

    def write(self, model, inputs, prepared):
        inputs.add_text(prepared["context"])


class LatentChannels(Condition):
    """A picture's latents beside or onto the noisy ones: an agnostic person, a pose, DensePose.

    key: the batch's pictures (b, H, W, 3) in [-1, 1]. scaled: whether latents are multiplied by the model's
    scale (OOTDiffusion's are not). draw: "mode" of the posterior or a "sample". how: "channels" or "sum".
    drop_to: what dropped rows are: "kept" stays as it is, "zeros" are latents of zeros.
    """

    def __init__(self, name, key, scaled=True, draw="mode", how="channels", drop_to="kept", dropout=0.0):
        super().__init__(name, dropout)
        check_choice(f"{name}.draw", draw, ("mode", "sample"))
        check_choice(f"{name}.how", how, ("channels", "sum"))
        check_choice(f"{name}.drop_to", drop_to, ("kept", "zeros"))
        self.keys = self.moments_of = (key,)
        self.key = key
        self.scaled, self.draw, self.how, self.drop_to = scaled, draw, how, drop_to

    def input_channels(self, latent_channels):
        return {self.key: latent_channels} if self.how == "channels" else {}

    def encode(self, model, batch, num=None, generator=None):
        return dict(latents=read_latents(model, batch, self.key, num, self.scaled, self.draw, generator))

    def prepare(self, model, encoded, dropped, text=None):
        latents = encoded["latents"]
        return dict(latents=empty_rows(latents, dropped) if self.drop_to == "zeros" else latents)

    def write(self, model, inputs, prepared):
        latents = prepared["latents"]
        if self.how == "sum":
            inputs.added.append(latents)
        else:
            inputs.channels[self.name] = latents


class MaskChannel(Condition):
    """What is to be repainted, 1, at the latents' size: by nearest neighbour, after the threshold.

    key: the batch's masks (b, H, W) or (b, H, W, 1) in [0, 1]. factor: of the autoencoder.
    """

    def __init__(self, name, key="mask", threshold=0.5, factor=8):
        super().__init__(name)
        self.keys, self.key, self.threshold, self.factor = (key,), key, threshold, factor

    def input_channels(self, latent_channels):
        return {self.key: 1}

    def encode(self, model, batch, num=None, generator=None):
        return dict(mask=shrink_mask(batch[self.key][:num].to(model.device), self.factor, self.threshold))

    def prepare(self, model, encoded, dropped, text=None):
        return dict(encoded)

    def write(self, model, inputs, prepared):
        inputs.channels[self.name] = prepared["mask"]


class GarmentReference(Condition):
    """A garment's own U-Net, whose tokens enter the person's self-attention.

    Args:
        network: config of a GarmentUNet; its `sites` and `norm` must be the person's. None reads the garment
            with the person's own U-Net, but for a first convolution of `channels` inputs (FastFit).
        sites: of a shared network, see cldm.tryon.unet.choose_sites.
        key: the batch's garments (b, H, W, 3) in [-1, 1].
        time: "zero" runs it once at t = 0, "sync" at every call's t, "none" once with a class embedding in
            the place of the timestep, by `category_key` of the batch (one-way, FastFit).
        drop_to: dropped is a garment of a "zero_latent", tokens of "zero_features", or "no_tokens" at all.
        context: "person" reads the person's prompt, "none" no text (networks that skip it), all else is the
            prompt that every garment has.
        scaled, draw: see LatentChannels.
        num_classes: of the class embedding.
        train: of its own network, names of cldm.tryon.unet.TRAINED joined by +.
    """

    def __init__(
        self,
        name,
        network=None,
        key="garment",
        time="zero",
        drop_to="zero_latent",
        context="person",
        scaled=True,
        draw="mode",
        dropout=0.0,
        category_key="category_id",
        num_classes=5,
        train="all",
        sites=None,
        channels=4,
        width=None,
    ):
        super().__init__(name, dropout, train)
        check_choice(f"{name}.time", time, TIMES)
        check_choice(f"{name}.drop_to", drop_to, NULLS)
        self.network = None if network is None else instantiate_from_config(network)
        self.first = None if self.network else nn.Conv2d(channels, width, 3, padding=1)
        self.sites, width = sites, self.network.model_channels if self.network else width
        self.keys, self.moments_of = (key, category_key) if time == "none" else (key,), (key,)
        self.key, self.category_key, self.time, self.drop_to = key, category_key, time, drop_to
        self.context, self.scaled, self.draw = context, scaled, draw
        self.classes = nn.Embedding(num_classes, 4 * width) if time == "none" else None

    @property
    def prompt(self) -> str | None:
        """The prompt that every garment has, if there is one."""
        return None if self.context in ("person", "none") else self.context

    def parts(self):
        named = dict(model=self.network, first=self.first, classes=self.classes)
        return {f"{self.name}_{part}": module for part, module in named.items() if module is not None}

    def trainable(self):
        if self.network is None:
            return super().trainable()
        classes = [] if self.classes is None or self.train == "none" else [self.classes]
        return choose_trained(self.network, self.train) + classes

    def pictures(self, batch, num=None):
        """The first `num` garments (b, H, W, 3) in [-1, 1]."""
        return batch[self.key][:num]

    def encode(self, model, batch, num=None, generator=None):
        given = {**batch, self.key: self.pictures(batch)} if self.key in batch else batch
        encoded = dict(latents=read_latents(model, given, self.key, num, self.scaled, self.draw, generator))
        if self.prompt is not None:
            encoded["text"] = shared_context(model, batch, self.name, self.prompt)
        if self.classes is not None:
            encoded["category"] = torch.as_tensor(batch[self.category_key][:num], device=model.device)
        return encoded

    def prepare(self, model, encoded, dropped, text=None):
        latents = encoded["latents"]
        if self.drop_to == "zero_latent":
            latents = empty_rows(latents, dropped)
        given = dict(latents=latents, text=text if self.context == "person" else None, dropped=dropped)
        if "text" in encoded:
            given["text"] = encoded["text"].expand(len(latents), -1, -1)
        if self.time == "sync":
            return given
        if self.classes is not None:
            emb = self.classes(encoded["category"])
        else:
            emb = self._network(model).embed_time(latents.new_zeros(len(latents), dtype=torch.long))
        return dict(tokens=self._record(model, given, emb), dropped=dropped)

    def write(self, model, inputs, prepared):
        tokens = prepared.get("tokens")
        if tokens is None:
            tokens = self._record(model, prepared, self._network(model).embed_time(inputs.t))
        inputs.add_references(tokens)
        if self.drop_to == "no_tokens" and prepared["dropped"].any():
            inputs.kept = ~prepared["dropped"]

    def _network(self, model):
        return self.network or model.model.diffusion_model

    def _record(self, model, given, emb):
        network = self._network(model)
        dtype = next(network.parameters()).dtype
        text = given["text"] if given["text"] is None else given["text"].to(dtype)
        if self.network is None:
            sites = choose_sites([site for site, _ in network.named_sites()], self.sites)
            tokens = network.record(given["latents"].to(dtype), emb, text, sites, self.first)
        else:
            tokens = network(given["latents"].to(dtype), emb, text)
        if self.drop_to == "zero_features":
            tokens = {site: empty_rows(recorded, given["dropped"]) for site, recorded in tokens.items()}
        return tokens


class MaskedGarment(GarmentReference):
    """A GarmentReference that sees the garment on grey (Magic Clothing).

    mask_key: the batch's masks of the garments (b, H, W, 1) in [0, 1].
    """

    def __init__(self, name, mask_key="garment_mask", **options):
        super().__init__(name, **options)
        self.keys, self.mask_key = (*self.keys, mask_key), mask_key

    def pictures(self, batch, num=None):
        return grey_outside(super().pictures(batch, num), batch[self.mask_key][:num])


class StackedGarment(Condition):
    """The garment below the person, in the noisy latents and in the channels (CatVTON, DeCo-VTON).

    Args:
        below: the channel that holds the garment's clean latents, under the agnostic person's.
        drop_to: dropped is "condition", zeros in that channel (CatVTON), or "garment_free", zeros in all
            of the garment's rows, the noisy ones as well (DeCo-VTON, garment-free guidance).
        anchored: the sampler's state is the person's half; the garment's noisy rows are its latents noised to
            each timestep with one noise (DeCo-VTON, clean-latent anchoring). Otherwise the state has both.
    """

    def __init__(
        self,
        name,
        key="garment",
        below="agnostic",
        drop_to="condition",
        anchored=False,
        draw="sample",
        dropout=0.0,
    ):
        super().__init__(name, dropout)
        check_choice(f"{name}.drop_to", drop_to, ("condition", "garment_free"))
        self.keys = self.moments_of = (key,)
        self.key, self.below, self.drop_to = key, below, drop_to
        self.anchored, self.draw = anchored, draw

    def encode(self, model, batch, num=None, generator=None):
        return dict(latents=read_latents(model, batch, self.key, num, True, self.draw, generator))

    def prepare(self, model, encoded, dropped, text=None):
        latents = encoded["latents"]
        noise = encoded.get("noise")
        return dict(clean=latents, condition=empty_rows(latents, dropped), dropped=dropped, noise=noise)

    def write(self, model, inputs, prepared):
        inputs.rows[self.below] = prepared["condition"]
        if self.anchored:
            rows = model.q_sample(prepared["clean"], inputs.t, prepared["noise"])
        else:
            person, rows = inputs.x.chunk(2, dim=2)
            inputs.x = person
        if self.drop_to == "garment_free":
            rows = empty_rows(rows, prepared["dropped"])
        inputs.rows["x"] = rows


class ImageTokens(Condition):
    """An image encoder's features, projected to tokens beside or in the place of the text.

    Args:
        encoder: config of a frozen one: uint8 pictures (b, H, W, 3) -> features (b, width) or (b, n, width).
        projector: config of a module of cldm.tryon.image_tokens.
        key: the batch's pictures, uint8 (b, H, W, 3).
        site: how tokens join the text, "append", "replace" or "fill" of image_tokens.join_prompt; a garment
            that stands behind this condition, and reads the person's prompt, reads them, too. "decoupled" is
            attention of their own (the U-Net's context must be text+image).
        drop_to: dropped is the projector of "zero_features", of a "black" picture's, or tokens of "zeros".
        scale: factor on decoupled attention.
    """

    def __init__(self, name, encoder, projector, key="garment_pixels", site="append", drop_to="zero_features",
                 scale=1.0, dropout=0.0, train="all"):  # fmt: skip
        super().__init__(name, dropout, train)
        check_choice(f"{name}.site", site, ("append", "replace", "fill", "decoupled"))
        check_choice(f"{name}.drop_to", drop_to, ("zero_features", "black", "zeros"))
        self.encoder, self.projector = instantiate_from_config(encoder), instantiate_from_config(projector)
        self.keys, self.key, self.site, self.drop_to, self.scale = (key,), key, site, drop_to, scale

    def parts(self):
        return {f"{self.name}_encoder": self.encoder, f"{self.name}_proj": self.projector}

    def learning_parts(self):
        return [self.projector]

    def pixels(self, batch, num=None):
        """The first `num` pictures, uint8 (b, H, W, 3)."""
        return batch[self.key][:num]

    @torch.no_grad()
    def encode(self, model, batch, num=None, generator=None):
        if f"{self.name}_features" in batch:
            encoded = dict(features=batch[f"{self.name}_features"][:num].to(model.device))
            if self.drop_to == "black":
                encoded["null"] = batch[f"{self.name}_null"][:1].to(model.device)
            return encoded
        pictures = check_pixels(self.pixels(batch, num), self.name).to(model.device)
        encoded = dict(features=self.encoder(pictures))
        if self.drop_to == "black":
            encoded["null"] = self.encoder(torch.zeros_like(pictures[:1]))
        return encoded

    def prepare(self, model, encoded, dropped, text=None):
        features = encoded["features"]
        if self.drop_to == "zero_features":
            features = empty_rows(features, dropped)
        elif self.drop_to == "black":
            chosen = rearrange(dropped, f"b -> b {'1 ' * (features.ndim - 1)}")
            features = torch.where(chosen, encoded["null"].expand_as(features), features)
        tokens = self.projector(features)
        tokens = empty_rows(tokens, dropped) if self.drop_to == "zeros" else tokens
        if self.site == "decoupled":
            return dict(tokens=tokens)
        return dict(context=join_prompt(text, tokens, self.site))

    def write(self, model, inputs, prepared):
        if self.site != "decoupled":
            inputs.text = prepared["context"]
            return
        tokens = prepared["tokens"]
        inputs.image = tokens if inputs.image is None else torch.cat([inputs.image, tokens], dim=1)
        inputs.image_scale = self.scale


class ControlHint(Condition):
    """A control branch's residuals, as in ControlNet; dropped is an empty hint.

    branch: config of a ControlNet. key: the batch's hints (b, H, W, c) in [0, 1]. empty: what all of a
    dropped hint is.
    """

    def __init__(self, name, branch, key="hint", empty=0.0, dropout=0.0, part="control_model", train="all"):
        super().__init__(name, dropout, train)
        self.branch, self.keys, self.key = instantiate_from_config(branch), (key,), key
        self.empty, self.part = empty, part

    def parts(self):
        return {self.part: self.branch}

    def hints(self, batch, num=None):
        """The first `num` hints (b, H, W, c)."""
        return batch[self.key][:num]

    def encode(self, model, batch, num=None, generator=None):
        known = batch.get(f"{self.name}_hint")
        hints = self.hints(batch, num) if known is None else known[:num]
        return dict(hint=to_channels_first(hints, model.device))

    def prepare(self, model, encoded, dropped, text=None):
        hint = torch.where(
            dropped[:, None, None, None], torch.full_like(encoded["hint"], self.empty), encoded["hint"]
        )
        hint = hint.to(next(self.branch.parameters()).dtype)
        return dict(hint=hint, features=self.branch.input_hint_block(hint))

    def write(self, model, inputs, prepared):
        context = inputs.text
        found = self.branch(inputs.x.to(prepared["hint"].dtype), prepared["hint"], inputs.t, context,
                            hint_features=prepared["features"])  # fmt: skip
        inputs.add_residuals(found)


def shared_context(model, batch, name: str, prompt: str):
    """The context (1, n, d) of a prompt that all items of a batch have, which may bring it."""
    known = batch.get(f"{name}_context")
    return (model.get_learned_conditioning([prompt]) if known is None else known[:1]).to(model.device)


def encode_pictures(model, pictures, scaled=True, draw="mode", generator=None):
    """Pictures (b, H, W, 3) in [-1, 1] -> latents (b, c, h, w)."""
    return read_latents(model, dict(pictures=pictures), "pictures", None, scaled, draw, generator)


def read_latents(model, batch, key, num=None, scaled=True, draw="mode", generator=None):
    """Latents (b, c, h, w) of the pictures under a batch's `key`, or of their moments if it brings those."""
    posterior = posterior_of(model, batch, key, num)
    latents = posterior.mode() if draw == "mode" else posterior.sample(generator)
    return latents * model.scale_factor if scaled else latents


def shrink_mask(mask, factor: int = 8, threshold: float = 0.5):
    """Masks (b, H, W) or (b, H, W, 1) in [0, 1] -> (b, 1, H/f, W/f) of 0 and 1, by nearest neighbour."""
    mask = mask[..., 0] if mask.ndim == 4 else mask
    mask = (mask >= threshold).float()[:, None]
    return interpolate(mask, size=(mask.shape[2] // factor, mask.shape[3] // factor), mode="nearest")


def grey_outside(pictures, masks):
    """Pictures (b, H, W, 3) in [-1, 1], grey where their masks (b, H, W, 1) in [0, 1] are 0.5 or less."""
    return pictures * (masks > 0.5)


def empty_rows(values, dropped):
    """values (b, ...) with zeros in the rows that are dropped, bool (b,)."""
    return torch.where(
        rearrange(dropped, f"b -> b {'1 ' * (values.ndim - 1)}"), torch.zeros_like(values), values
    )


def check_pixels(pictures, name: str):
    """Pictures for an image encoder: uint8, so that nobody can normalise them twice.

    Raises:
        ValueError: another dtype, with the name of the condition.
    """
    if pictures.dtype != torch.uint8 or pictures.shape[-1] != 3:
        raise ValueError(
            f"{name} reads uint8 pictures (b, H, W, 3) from 0 to 255, got {pictures.dtype} "
            f"{tuple(pictures.shape)}"
        )
    return pictures


def check_choice(key: str, value, known: Sequence[str]) -> None:
    if value not in list(known):  # a list, say, has no hash, by which a dict would look it up
        raise ValueError(f"{key} must be one of {', '.join(known)}, got {value!r}")
