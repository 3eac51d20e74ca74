"""The model that a run trains: weights, what is locked, precision, and how it computes."""

import torch

from cldm.caching.encoders import read_encoders
from cldm.model import load_model
from cldm.options import TrainOptions

# attributes of the model that are options of the same name
FROM_OPTIONS = """seed learning_rate zero_conv_factor warmup_steps lr_schedule max_steps optimizer
prompt_dropout hint_dropout min_snr_gamma sd_locked only_mid_control""".split()


def resolve_precision(precision: str) -> str:
    """`auto` -> bf16-mixed where the first device has bf16 matrix units, else 32-true."""
    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    return "bf16-mixed" if torch.cpu.get_capabilities().get("amx_bf16") else "32-true"


def build_model(options: TrainOptions, without=()):
    """The grafted model with the options that concern it; locked weights may stay in 16 bit on a GPU.

    `without` names what of cldm.training.stages.STAGES is left on the disk until `stages_present` asks for
    it.
    """
    model = load_model(options.model, options.base, without)
    model.load_stages = lambda: read_encoders(options.base, options.model)[0].float()
    for name in FROM_OPTIONS:
        setattr(model, name, getattr(options, name))
    if options.zero_terminal_snr:
        model.use_zero_terminal_snr()
    precision = resolve_precision(options.precision)
    model.fused = precision != "16-mixed"  # fused steps unscale gradients themselves, past our clipping
    for module in model.modules():
        if hasattr(module, "use_checkpoint"):
            module.use_checkpoint = options.recompute
    halved = torch.cuda.is_available() and precision == "bf16-mixed"
    model.cast_locked(torch.bfloat16 if halved else torch.float32)
    for network in (model.model.diffusion_model, model.control_model):
        network.to(memory_format=torch.channels_last)
        if options.compile:
            network.compile()
    model.strict_loading = False  # a resumed checkpoint holds the trained weights alone
    return model.train()


def trainable_table(model) -> str:
    """What trains and what is locked: module, tensors, parameters, dtype, learning rate, a line each."""
    rows = [f"{'module':<34}{'tensors':>8}{'parameters':>14}  dtype           learning rate"]
    for name, module in model.named_children():
        for trains in (True, False):
            part = [p for p in module.parameters() if p.requires_grad == trains]
            if part:
                dtypes = ", ".join(sorted({str(p.dtype).removeprefix("torch.") for p in part}))
                new = model.learning_rate * model.zero_conv_factor
                new = f", new layers {new:g}" if name == "control_model" else ""
                rate = f"{model.learning_rate:g}{new}" if trains else "locked"
                rows.append(
                    f"{name:<34}{len(part):>8}{sum(p.numel() for p in part):>14,}  {dtypes:<15} {rate}"
                )
    return "\n".join(rows)
