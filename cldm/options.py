"""What a training run depends on: typed options, and the values that each may take."""

import difflib
import math
from dataclasses import dataclass, field

RANGES = (  # options, lowest value, highest value
    ("max_steps batch_size accumulate checkpoint_every measure_every measure_maps num_nodes", 1, math.inf),
    ("warmup_steps image_log_every num_workers effective_batch devices keep_every", 0, math.inf),
    ("min_snr_gamma gradient_clip max_bad_steps", 0, math.inf),
    ("mask_dilation mask_simplification", 0, 128),
    ("seed", 0, 2**32 - 1),
    ("sampling_steps", 1, 1000),
    ("guidance", 0, 100),
    ("prompt_dropout hint_dropout learning_rate", 0, 1),
    ("ema_decay", 0, 0.999999),
    ("zero_conv_factor", 0, 1000),
)
CHOICES = dict(optimizer=("adamw", "adamw8bit"), lr_schedule=("constant", "linear", "cosine"))


def option(default, help):
    return field(default=default, metadata=dict(help=help))


@dataclass
class TrainOptions:
    """Everything a run depends on. Steps are optimizer steps, however many micro-batches each accumulates."""

    run: str = option("runs/control", "folder of this run; the same command again resumes it")
    data: str = option("training/dolls", "training folder with prompt.json")
    model: str = option("models/cldm_v15.yaml", "yaml of the model")
    base: str = option(
        "models/control_sd15_ini.ckpt", "grafted checkpoint to start from (tool_add_control.py)"
    )
    segmenter: str = option("", "weights of the judge of control mIoU; empty: do not measure")
    dry_run: bool = option(False, "print what would train, its memory and the data's rate, and stop")
    # batches and memory
    preset: str = option("", "memory of the card: 12gb, 16gb, 24gb, 40gb or 80gb; sets the next six")
    precision: str = option(
        "auto", "Lightning's precision; auto: bf16-mixed where the device computes it, else 32-true"
    )
    recompute: bool = option(True, "recompute activations in the backward pass: less memory, more time")
    optimizer: str = option("adamw", "adamw (fused) or adamw8bit (of bitsandbytes: a quarter of its memory)")
    batch_size: int = option(4, "pictures per micro-batch and device")
    accumulate: int = option(1, "micro-batches per optimizer step")
    effective_batch: int = option(0, "pictures per optimizer step, sets accumulate; 0: as accumulate says")
    compile: bool = option(False, "torch.compile U-Net and branch: minutes at the start, faster steps")
    # optimization
    max_steps: int = option(20000, "optimizer steps in all")
    learning_rate: float = option(1e-5, "of AdamW, after warm-up")
    zero_conv_factor: float = option(1.0, "learning rate factor for zero convolutions and hint block")
    warmup_steps: int = option(0, "steps over which the learning rate rises from 0")
    lr_schedule: str = option("constant", "after warm-up: constant, or linear or cosine to 0 at max_steps")
    gradient_clip: float = option(1.0, "largest norm of a step's gradient; 0: any")
    ema_decay: float = option(0.0, "average the trained weights over steps, 0.999 say; 0: do not")
    min_snr_gamma: float = option(0.0, "weigh timesteps by min(SNR, gamma), 5 in the paper; 0: alike")
    zero_terminal_snr: bool = option(False, "end the noise schedule in pure noise; for v-prediction")
    prompts: str = option("", "how prompts are built: a name in models/prompts or a yaml; empty: as they are")
    prompt_dropout: float = option(0.5, "share of prompts replaced by the empty one")
    hint_dropout: float = option(0.0, "share of maps replaced by an empty one")
    mask_dilation: int = option(0, "grow or shrink regions by up to so many pixels, so that rough maps work")
    mask_simplification: int = option(0, "straighten outlines by up to so many pixels, to the same end")
    after_convergence: str = option("", "accumulate:N takes N micro-batches a step once the map is obeyed")
    sd_locked: bool = option(True, "false: train the U-Net's decoder as well")
    only_mid_control: bool = option(False, "control through the middle residual alone")
    max_bad_steps: int = option(10, "stop after so many steps whose loss or gradient is no number")
    # data and devices
    num_workers: int = option(4, "processes that load pictures")
    cached: bool = option(True, "take latents and prompts from the data's cache, where it has one")
    flip: bool = option(False, "mirror half of the pictures and maps, unless a prompt says left or right")
    seed: int = option(0, "of order, flips, noise, timesteps and everything else that is drawn")
    devices: int = option(0, "how many of the machine's; 0: all")
    num_nodes: int = option(1, "machines")
    strategy: str = option("auto", "Lightning's: auto, ddp, fsdp, ...")
    # what is left behind
    image_log_every: int = option(1000, "steps between image grids in image_log/; 0: none")
    checkpoint_every: int = option(1000, "steps between checkpoints")
    keep_every: int = option(0, "steps between checkpoints that are kept for good; 0: keep newest and best")
    full_checkpoints: bool = option(False, "also write the whole model, not only what was trained")
    measure_every: int = option(1000, "steps between measurements on held-out maps")
    measure_maps: int = option(32, "held-out maps per measurement")
    sampling_steps: int = option(20, "sampler steps per measured or logged picture")
    guidance: float = option(9.0, "guidance scale of measured and logged pictures")


def check_known(key, known: list[str], kind: str):
    """Raise ValueError for a key that is none of the known ones, with the nearest."""
    if key not in known:
        near = difflib.get_close_matches(str(key), known, n=1)
        raise ValueError(
            f"unknown {kind} {key!r}" + (f", did you mean {near[0]!r}?" if near else f"; known: {known}")
        )


def check_options(options: TrainOptions):
    """Raise ValueError for the first option whose value no run can be made from."""
    for names, low, high in RANGES:
        for name in names.split():
            value = getattr(options, name)
            if not low <= value <= high:
                wanted = f"at least {low}" if high == math.inf else f"between {low} and {high}"
                raise ValueError(f"{name} must be {wanted}, got {value}")
    for name in ("run", "data", "model", "base", "precision", "strategy"):
        if not getattr(options, name):
            raise ValueError(f"{name} must not be empty")
    for name, choices in CHOICES.items():
        if getattr(options, name) not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}, got {getattr(options, name)!r}")
    accumulate_after_convergence(options)


def accumulate_after_convergence(options: TrainOptions) -> int:
    """The N of `after_convergence=accumulate:N`, 0 where it is empty."""
    if not options.after_convergence:
        return 0
    action, _, number = options.after_convergence.partition(":")
    if action != "accumulate" or not number.isdecimal() or not int(number):
        raise ValueError(
            f"after_convergence must be empty or accumulate:N, 32 micro-batches say, "
            f"got {options.after_convergence!r}"
        )
    return int(number)
