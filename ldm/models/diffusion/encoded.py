"""Batches whose pictures and prompts may have been encoded before: a cache's moments and contexts."""

import torch

from jobs.devices import fast_layout, to_channels_first
from ldm.modules.diffusionmodules.model import DiagonalGaussianDistribution


def posterior_of(model, batch, key, num=None):
    """The posterior over the unscaled latents of a batch's first `num` items.

    From moments (b, 2 c, h, w) where it brings them, else of its images (b, H, W, 3) under `key`.
    """
    if (name := name_moments(model, key)) in batch:
        # the layout that encoding gives them, so that the U-Net rounds as it does without a cache
        moments = batch[name][:num].to(model.device, memory_format=fast_layout(model.device))
        return DiagonalGaussianDistribution(moments)
    return model.encode_first_stage(to_channels_first(batch[key][:num], model.device))


def name_moments(model, key: str) -> str:
    """Under what name a batch has the moments of its images under `key`; those of the photo are "moments"."""
    return "moments" if key == model.first_stage_key else f"{key}_moments"


def context_of(model, batch, key, num=None):
    """The context (b, n, d) of its first `num` items: its "context", else that of the prompts under `key`."""
    if "context" in batch:
        return batch["context"][:num].to(model.device)
    return model.get_learned_conditioning(batch[key][:num])


def draw_kept(num, dropout, generator):
    """Booleans (num,) on the CPU, as `generator` or each of a list is, False with probability `dropout`."""
    if isinstance(generator, list):
        return torch.cat([torch.rand(1, generator=own) for own in generator]) >= dropout
    return torch.rand(num, generator=generator) >= dropout


def empty_prompts(batch, key, kept):
    """The batch with the empty prompt, and its context, wherever `kept` (b,) is False."""
    prompts = [prompt if keep else "" for prompt, keep in zip(batch[key], kept.tolist(), strict=True)]
    if "context" not in batch:
        return {**batch, key: prompts}
    kept = kept.to(batch["context"].device)[:, None, None]
    return {**batch, key: prompts, "context": torch.where(kept, batch["context"], batch["empty_context"])}
