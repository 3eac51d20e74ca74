"""What a sampler asks at every step: predictions under classifier-free guidance, with regions kept or not."""

import torch

from ldm.modules.attention import ProjectedContext, tile_rows


def guided_denoiser(model, cond, uncond=None, scale=1.0, rescale=0.0):
    """A denoiser (x, timestep) -> (noise, x_0) of `model` under classifier-free guidance (arXiv 2207.12598).

    Both predictions come from one call when the two conditions have the same structure, from two otherwise
    (guess mode controls only one of them). `scale` 1 or no `uncond` needs one prediction. A call may bring
    another scale; not 1, where this one isn't. For `rescale`, see `restore_deviation`.
    """
    guided = uncond is not None and scale != 1.0
    if guided and _same_structure(cond, uncond):
        parts = [_together(uncond, cond)]
    else:
        parts = [uncond, cond] if guided else [cond]
    parts = [precompute(model, part) for part in parts]
    return lambda x, t, scale=scale: _predictions(model, x, t, parts, guided, scale, rescale)


def controlled_denoiser(model, text, negative, controls, scale=1.0, rescale=0.0):
    """As `guided_denoiser`, under the contexts (b, n, context_dim) of prompts and negative prompts.

    At each timestep those of the ActiveControls act whose `steps` have it; those in guess mode on the
    prediction under `text` alone. Each attention layer projects the contexts once, whoever acts.
    """
    guided = scale != 1.0
    joined = [torch.cat([negative, text]), negative, text]
    both, negative, text = (ProjectedContext(model.join_conditions([tokens])) for tokens in joined)

    def denoise(x, t):
        acting = [control for control in controls if int(t) in control.steps]
        always = [control for control in acting if not control.guess_mode]
        if not guided:
            parts = [(text, acting)]
        else:
            parts = [(both, acting)] if len(always) == len(acting) else [(negative, always), (text, acting)]
        parts = [dict(c_crossattn=[context], c_concat=None, controls=active) for context, active in parts]
        return _predictions(model, x, t, parts, guided, scale, rescale)

    return denoise


@torch.no_grad()
def _predictions(model, x, t, parts, guided, scale, rescale):
    """(noise, x_0) by conditions: one of both halves of guidance, or one each, or one without guidance."""
    t = torch.full((len(x),), int(t), device=x.device, dtype=torch.long)
    output = torch.cat([_outputs(model, x, t, part) for part in parts])
    if guided:
        base, conditional = output.chunk(2)
        output = base + scale * (conditional - base)
        output = restore_deviation(output, conditional, rescale) if rescale else output
    return model.predictions(x, t, output.to(x.dtype))


@torch.no_grad()
def precompute(model, cond):
    """A condition dict for many calls: what depends on it alone is computed once, not in every step.

    These are the hint's features, and each layer's projections of the context.
    """
    kept = {**cond, "c_crossattn": [ProjectedContext(model.join_conditions(cond["c_crossattn"]))]}
    if cond.get("c_concat") is None:
        return kept
    hint = model.join_conditions(cond["c_concat"])
    return {**kept, "hint_features": model.control_model.input_hint_block(hint)}


def restore_deviation(output, conditional, share):
    """`output` (b, ...), by a `share` of the way at the deviation of the prediction without guidance.

    Large scales overexpose pictures where the terminal SNR is zero (arXiv 2305.08891, equations 15, 16).
    """
    std, wanted = (x.flatten(1).std(dim=1)[:, None, None, None] for x in (output, conditional))
    return share * (output * (wanted / std)) + (1 - share) * output


def _outputs(model, x, t, cond):
    """Of latents (b, c, h, w), or of these tiled to the rows of the hint, where it has more."""
    hint = cond.get("c_concat")
    x, t = (tile_rows(value, len(hint[0]) if hint else 0) for value in (x, t))
    return model.apply_model(x, t, cond)


def _same_structure(a, b):
    shapes = [{k: v and [tuple(x.shape) for x in v] for k, v in cond.items()} for cond in (a, b)]
    return shapes[0] == shapes[1]


def _together(a, b):
    """Two conditions as one with the rows of both; of hints, only where they differ."""
    return {name: _pairs(a[name], b[name], name == "c_crossattn") for name in a}


def _pairs(a, b, always):
    if a is None or not always and all(map(torch.equal, a, b)):
        return a
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
