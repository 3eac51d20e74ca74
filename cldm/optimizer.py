"""The optimizer of a run and its learning rate over the steps."""

import math

import torch

from cldm.muon import Muon


def parameter_groups(model) -> list[dict]:
    """What trains, in groups: by `learning_rate`, then by each of `own_rates`, with and without weight decay.

    It is for `matrices` alone, kernels among them: it would pull biases, norms and zero convolutions back.
    """
    control, zero = model.control_model, set()
    if control is not None:
        zero = {*control.zero_convs.parameters(), *control.middle_block_out.parameters()}
    own = model.own_rates()
    names = {parameter: name for name, (parameters, _) in own.items() for parameter in parameters}
    rates = {"": model.learning_rate} | {name: rate for name, (_, rate) in own.items()}
    groups = {
        (name, decays): dict(params=[], lr=rate, weight_decay=model.weight_decay * decays, matrices=decays)
        for name, rate in rates.items()
        for decays in (True, False)
    }
    for parameter in model.parameters():
        if parameter.requires_grad:
            decays = parameter.ndim > 1 and parameter not in zero
            groups[names.get(parameter, ""), decays]["params"].append(parameter)
    return [group for group in groups.values() if group["params"]]


def build_optimizer(groups: list[dict], name: str, fused: bool = True):
    """AdamW (arXiv 1711.05101) with PyTorch's betas; `adamw8bit` keeps its state in 8 bit (2110.02861).

    muon is cldm.muon.Muon for the groups' matrices.
    """
    if name == "adamw":
        return torch.optim.AdamW(groups, fused=fused)
    if name == "muon":
        return Muon(groups)
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError as error:
        raise ValueError(
            "optimizer=adamw8bit needs the package bitsandbytes: pip install bitsandbytes, "
            "or take optimizer=adamw"
        ) from error
    return AdamW8bit(groups)


def rate_factor(step: int, schedule: str, warmup_steps: int, max_steps: int) -> float:
    """Factor on the learning rate of a step, counted from 0: linear warm-up, then `schedule`.

    constant stays at 1; linear and cosine (arXiv 1608.03983, equation 5) fall to 0 at `max_steps`.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if schedule == "constant":
        return 1.0
    progress = min(1.0, (step - warmup_steps) / max(1, max_steps - warmup_steps))
    return 1.0 - progress if schedule == "linear" else 0.5 * (1 + math.cos(math.pi * progress))


def configure_optimizer(model):
    """What `configure_optimizers` returns: the optimizer, and its schedule by steps where there is one."""
    optimizer = build_optimizer(parameter_groups(model), model.optimizer, model.fused)
    schedule, warmup, total = model.lr_schedule, model.warmup_steps, model.max_steps
    if schedule == "constant" and not warmup:
        return optimizer
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: rate_factor(step, schedule, warmup, total)
    )
    return dict(optimizer=optimizer, lr_scheduler=dict(scheduler=scheduler, interval="step"))
