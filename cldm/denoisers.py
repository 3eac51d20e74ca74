"""What a sampler asks at every step, made of a model: its guided predictions, with regions kept or not."""

import torch


def guided_denoiser(model, cond, uncond=None, scale=1.0):
    """A denoiser (x, timestep) -> (noise, x_0) of `model` under classifier-free guidance (arXiv 2207.12598).

    Both predictions come from one call on a doubled batch when the two conditions have the same structure,
    from two otherwise (guess mode controls only one of them). `scale` 1 or no `uncond` needs one prediction.
    """

    @torch.no_grad()
    def denoise(x, t):
        t = torch.full((len(x),), int(t), device=x.device, dtype=torch.long)
        if uncond is None or scale == 1.0:
            output = model.apply_model(x, t, cond)
        elif _same_structure(cond, uncond):
            both = {k: None if cond[k] is None else _doubled(uncond[k], cond[k]) for k in cond}
            base, conditional = model.apply_model(torch.cat([x, x]), torch.cat([t, t]), both).chunk(2)
            output = base + scale * (conditional - base)
        else:
            conditional, base = (model.apply_model(x, t, c) for c in (cond, uncond))
            output = base + scale * (conditional - base)
        return model.predictions(x, t, output.to(x.dtype))

    return denoise


def _same_structure(a, b):
    shapes = [{k: v and [tuple(x.shape) for x in v] for k, v in cond.items()} for cond in (a, b)]
    return shapes[0] == shapes[1]


def _doubled(a, b):
    return [torch.cat(pair) for pair in zip(a, b, strict=True)]


def keeping_denoiser(denoise, model, mask, x0):
    """`denoise` behind a step that first puts the latents `x0`, noised, where `mask` is 1 (inpainting).

    `denoise` itself, where both are None.
    """
    if (mask is None) != (x0 is None):
        raise ValueError("mask and x0, the latents to keep where it is 1, are given together or not at all")
    if mask is None:
        return denoise

    def kept(x, t):
        steps = torch.full((len(x),), int(t), device=x.device, dtype=torch.long)
        original = model.q_sample(x0, steps, torch.randn_like(x0))
        return denoise(original * mask + (1.0 - mask) * x, t)

    return kept
